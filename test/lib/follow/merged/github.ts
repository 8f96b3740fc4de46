// A model of GitHub as settling sees it: pull requests, tags and what is written, each kept.
import type { CheckRun, Commit, GitHub, PullRequest } from "../../../../actions/lib/github/objects.ts";

type Issue = Parameters<GitHub["openIssue"]>[0];
type Pull = PullRequest & { commits: string[] };

/** Who writes for us. */
export const BOT = "github-actions[bot]";

/** What GitHub holds. */
export class Server {
	readonly pulls: Pull[] = [];
	readonly tags = new Map<string, string>();
	readonly branches = new Map<string, Commit>();
	readonly issues: Issue[] = [];
	/** Why issues were closed, by their marker. */
	readonly closed = new Map<string, string>();
	readonly events: { type: string; payload: Record<string, unknown> }[] = [];
	/** The comment of each pull request. */
	readonly comments = new Map<number, string>();
	/** Who has approved of each pull request. */
	readonly approvals = new Map<number, string[]>();
	/** What the check run of each commit says. */
	readonly checks = new Map<string, string>();
	/** Names of the calls that write, also where they find written what they would write. */
	readonly writes: string[] = [];

	/** Opens a pull request of a head that left main at the base. */
	open(head: string, base: string, ref: string, author = "bob"): Pull {
		const pull: Pull = {
			...{ number: this.pulls.length + 1, title: ref, author, state: "open", merged: false, draft: false },
			...{ head: { sha: head, ref, fork: false }, base: { sha: base, ref: "main" }, labels: [] },
			...{ mergedBy: null, mergeCommit: null, commits: [head] },
		};
		this.pulls.push(pull);
		return pull;
	}

	/** Says that mia has merged a pull request as these commits, the last of which is GitHub's own for it. */
	merged(number: number, ...commits: string[]): void {
		const pull = this.of(number);
		pull.commits.push(...commits);
		Object.assign(pull, { state: "closed", merged: true, mergedBy: "mia", mergeCommit: commits.at(-1)! });
	}

	of(number: number): Pull {
		return this.pulls.find((pull) => pull.number === number)!;
	}

	connect(): GitHub {
		const { pulls, tags, branches, issues, closed, events, comments, checks } = this;
		const write =
			<A extends unknown[], T>(name: string, act: (...args: A) => T) =>
			async (...args: A) => {
				this.writes.push(name);
				return act(...args);
			};
		const github: Partial<GitHub> = {
			author: BOT,
			pullRequest: async (number) => this.of(number),
			pullRequestsOf: async (sha) => pulls.filter(({ commits }) => commits.includes(sha)),
			pullRequestsOn: async (branch) => pulls.filter(({ head }) => head.ref === branch),
			pullRequestsFrom: async (prefix) => pulls.filter(({ head }) => head.ref.startsWith(prefix)),
			approversOf: async (number) => this.approvals.get(number) ?? [],
			authorOf: async () => null,
			openPullRequests: async () => pulls.filter(({ state }) => state === "open"),
			checkRuns: async () => [],
			setLabels: write("setLabels", () => "unchanged" as const),
			labelled: async () => [],
			commentsOf: async (number) => [comments.get(number) ?? ""].filter(Boolean),
			checkSummaries: async (sha) => [checks.get(sha) ?? ""].filter(Boolean),
			tagged: async (name) => tags.get(name) ?? null,
			createTag: write("createTag", (name: string, sha: string) => {
				tags.set(name, sha);
				return "created" as const;
			}),
			commitFiles: write("commitFiles", (commit: Commit) => {
				branches.set(commit.branch, commit);
				return "created" as const;
			}),
			openPullRequest: write("openPullRequest", ({ branch }: { branch: string }) => ({
				number: this.open("", "", branch, BOT).number,
				created: true,
			})),
			emit: write("emit", (type: string, payload: Record<string, unknown>) => void events.push({ type, payload })),
			upsertComment: write("upsertComment", (number: number, _: string, body: string) => {
				comments.set(number, body);
				return "created" as const;
			}),
			upsertCheckRun: write("upsertCheckRun", ({ sha, summary }: CheckRun) => {
				checks.set(sha, summary);
				return "created" as const;
			}),
			openIssue: write("openIssue", (issue: Issue) => {
				const before = issues.findIndex(({ marker }) => marker === issue.marker);
				const number = 1 + (before < 0 ? issues.push(issue) - 1 : before);
				return { number, created: before < 0 };
			}),
			closeIssue: write("closeIssue", (marker: string, why: string) => {
				for (const issue of issues)
					if (issue.marker.startsWith(marker) && !closed.has(issue.marker)) closed.set(issue.marker, why);
			}),
		};
		return github as GitHub;
	}
}
