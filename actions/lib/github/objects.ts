export interface CheckRun {
	name: string;
	/** The commit it is shown on. */
	sha: string;
	status: "queued" | "in_progress" | "completed";
	conclusion: "success" | "failure" | "neutral" | "cancelled" | null;
	title: string;
	summary: string;
	annotations?: Annotation[];
	/** Annotations that there would be beside these. */
	more?: number;
}

/** A sentence on a line of a file of the commit. */
export interface Annotation {
	path: string;
	/** From 1. */
	line: number;
	level: "failure" | "warning" | "notice";
	title: string;
	message: string;
}

/** A check run as it stands on GitHub. */
export interface ShownCheck {
	name: string;
	status: string;
	conclusion: string | null;
	title: string;
}

export interface Label {
	/** At most 50 characters. */
	name: string;
	/** Six hexadecimal digits. */
	color: string;
	/** At most 100 characters. */
	description: string;
}

export interface PullRequest {
	number: number;
	title: string;
	author: string;
	state: "open" | "closed";
	merged: boolean;
	draft: boolean;
	head: { sha: string; ref: string; fork: boolean };
	base: { sha: string; ref: string };
	labels: string[];
	/** Null also in a list of many, where GitHub doesn't say. */
	mergedBy: string | null;
	mergeCommit: string | null;
}

export interface Commit {
	branch: string;
	/** The branch to begin from where there is no such branch; the same one, to commit to it itself. */
	base: string;
	message: string;
	/** Content of null deletes. */
	files: { path: string; content: string | Uint8Array | null }[];
}

export interface Opened {
	number: number;
	created: boolean;
}

/** What somebody has written on a pull request. */
export interface Remark {
	login: string;
	body: string;
}

export type Written = "created" | "updated" | "unchanged";

export type Permission = "admin" | "maintain" | "write" | "triage" | "read" | "none";

export type Reaction = "+1" | "-1" | "laugh" | "confused" | "heart" | "hooray" | "rocket" | "eyes";

/** Every method reads all pages, is safe to repeat, ends right after lost answers and races, and throws one ServiceError where it can't. */
export interface GitHub {
	/** The login under which this writes. */
	readonly author: string;
	/** Makes or changes the one comment that begins with the marker and is ours; leaves what is there where `keep` says so of it. */
	upsertComment(pullRequest: number, marker: string, body: string, keep?: (shown: string) => boolean): Promise<Written>;
	/** The texts of our comments that begin so, oldest first. */
	commentsOf(pullRequest: number, prefix: string): Promise<string[]>;
	/** Comments of people, not of bots or ours, that nobody has edited since; oldest first. */
	remarksOn(pullRequest: number): Promise<Remark[]>;
	/** Adds a reaction to a comment; the same one again changes nothing. */
	react(commentId: number, content: Reaction): Promise<void>;
	/** Makes or changes the check run of its name on its commit; an annotation is never there twice, and of jobs that raced none leaves a run open that says something else. */
	upsertCheckRun(check: CheckRun): Promise<Written>;
	/** Our check runs on a commit, the latest of each name. */
	checkRuns(sha: string): Promise<ShownCheck[]>;
	/** What all our check runs of a name on a commit say at length, the last made first. */
	checkSummaries(sha: string, name: string): Promise<string[]>;
	/** Gives a pull request these labels, making those that are missing, and takes away others that `own` calls ours. */
	setLabels(pullRequest: number, wanted: readonly Label[], own: (name: string) => boolean): Promise<Written>;
	/** One pull request, with who has merged it. */
	pullRequest(number: number): Promise<PullRequest>;
	/** The logins that approve of a pull request by their last review. */
	approversOf(number: number): Promise<string[]>;
	/** The open pull requests, oldest first. */
	openPullRequests(): Promise<PullRequest[]>;
	/** The pull requests that brought a commit, or would. */
	pullRequestsOf(sha: string): Promise<PullRequest[]>;
	/** The pull requests in any state whose branch is of this repository and begins so; with a time only those that something has happened to since, and no older ones are read. */
	pullRequestsFrom(prefix: string, since?: Date): Promise<PullRequest[]>;
	/** The pull requests in any state of one branch of this repository. */
	pullRequestsOn(branch: string): Promise<PullRequest[]>;
	/** The open pull requests with a label, as it was some minutes ago at most. */
	labelled(label: string): Promise<PullRequest[]>;
	/** The login that a commit's address belongs to; null where GitHub knows none. */
	authorOf(sha: string): Promise<string | null>;
	/** Whether a file stands at a commit. */
	hasFile(file: string, sha: string): Promise<boolean>;
	/** What somebody may do here; none also for a login that there isn't. */
	permissionOf(login: string): Promise<Permission>;
	/** Whether jobs wait for reviewers of an environment; false also where there is no such environment. */
	hasReviewers(environment: string): Promise<boolean>;
	/** Starts a workflow by hand; twice where an answer is lost, so what it starts must bear that. */
	dispatchWorkflow(file: string, ref: string, inputs: Record<string, string>): Promise<void>;
	/** Sends a repository_dispatch event; twice where an answer is lost, so who hears it must bear that. */
	emit(type: string, payload: Record<string, unknown>): Promise<void>;
	/** Cancels what still runs of a workflow for a branch or a commit, but the run that asks; returns how many. */
	cancelRuns(workflowFile: string, of: { branch?: string; headSha?: string }): Promise<number>;
	/** Runs the last run of a workflow for a commit again, as its button does; false where there is none that has ended. */
	rerun(workflowFile: string, headSha: string): Promise<boolean>;
	/** Opens an issue once for its marker, and again where it was closed as completed; leaves it closed where somebody did so as not planned. */
	openIssue(issue: { marker: string; title: string; body: string; labels: string[] }): Promise<Opened>;
	/** Closes what is open of our issues with a marker, and adds to their text why (Markdown). */
	closeIssue(marker: string, why: string): Promise<void>;
	/** Opens a pull request once for its branch, whatever became of it since. */
	openPullRequest(pullRequest: {
		branch: string;
		base: string;
		title: string;
		body: string;
		labels: Label[];
	}): Promise<Opened>;
	/** The commit that a tag is at; null where there is no such tag. */
	tagged(name: string): Promise<string | null>;
	/** Tags a commit; throws InvalidInput where the tag exists elsewhere. */
	createTag(name: string, sha: string): Promise<Written>;
	/** Makes the files of a branch be these in one commit, never forced; throws InvalidInput where there is nothing to begin from. */
	commitFiles(commit: Commit): Promise<Written>;
}
