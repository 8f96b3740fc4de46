// A comment that begins with a slash becomes what a button would do, for those who may write: the text is data, and reaches no shell.
import { approvalOffer } from "../comment/approval_section.ts";
import { InvalidInput } from "../errors.ts";
import type { GitHub, Permission, PullRequest } from "../github/objects.ts";
import { shortApproval } from "../plan/identity.ts";

/** The event of a comment, as far as it is read. */
export interface CommentEvent {
	comment: { id: number; body: string; login: string };
	/** Number of the pull request that it stands on. */
	pullRequest: number;
	/** The branch whose workflows run. */
	branch: string;
}

const COMMANDS = ["plan", "approve", "rerun", "stop", "explain", "rollback"] as const;
type Name = (typeof COMMANDS)[number];

export interface Command {
	name: Name;
	/** What stands behind the command on its line. */
	argument: string;
}

/** What was done, in a word. */
export type Answered = "done" | "refused" | "unknown" | "none";

export interface CommandPorts {
	github: GitHub;
	/** Opens the pull request that takes a merge back; false where it brought no experiment. */
	revert(pull: PullRequest): Promise<boolean>;
}

const WORKFLOWS = { run: "experiment.yml", follow: "follow.yml" };
/** Longest text that is handed on. */
const MAX_ARGUMENT = 200;

/** The command on a comment's first line; null where there is none, the word where it's none of ours. */
export function parseCommand(body: string): Command | string | null {
	const [line = ""] = body.split(/\r?\n/);
	// A phone writes a capital, and a full stop behind; four spaces before it would be a block of code.
	const match = /^ {0,3}\/([a-z]+)[.,;:!?…]*(?:\s+(.*))?$/i.exec(line.trimEnd());
	if (!match) return null;
	const word = match[1]!.toLowerCase();
	const name = COMMANDS.find((command) => command === word);
	return name ? { name, argument: (match[2] ?? "").trim().slice(0, MAX_ARGUMENT) } : word;
}

/** The digests that a comment approves: as many digits as it was shown, or more; none where anything else is among them. */
export function approvalsIn(body: string): string[] {
	const command = parseCommand(body);
	if (command === null || typeof command === "string" || command.name !== "approve") return [];
	const digests = command.argument.split(/[ \t]+/);
	return digests.every((digest) => /^[0-9a-f]{12,64}$/.test(digest)) ? digests : [];
}

/** Whether somebody may give commands. */
export function mayCommand(permission: Permission): boolean {
	return ["admin", "maintain", "write"].includes(permission);
}

/** Does what a comment asks for, if its author may write, and acknowledges it by a reaction: +1 done, -1 not allowed, confused not understood. */
export async function answerCommand(event: CommentEvent, ports: CommandPorts): Promise<Answered> {
	const { github } = ports;
	const command = parseCommand(event.comment.body);
	if (command === null) return "none";
	const permission = await github.permissionOf(event.comment.login);
	const answered = mayCommand(permission) ? await answer(command, event, ports) : "refused";
	await github.react(event.comment.id, REACTIONS[answered]);
	return answered;
}

const REACTIONS = { done: "+1", refused: "-1", unknown: "confused" } as const;

async function answer(
	command: Command | string,
	event: CommentEvent,
	ports: CommandPorts,
): Promise<keyof typeof REACTIONS> {
	if (typeof command === "string") return "unknown";
	const pull = await ports.github.pullRequest(event.pullRequest);
	// Nobody approves a spend of their own, and no bot does.
	const { login } = event.comment;
	const isOwn = login.toLowerCase() === pull.author.toLowerCase() || login.endsWith("[bot]");
	if (command.name === "approve" && isOwn) return "refused";
	return (await obey(command, pull, event, ports)) ? "done" : "unknown";
}

/** False where there is nothing that the command could do. */
async function obey(
	{ name, argument }: Command,
	pull: PullRequest,
	event: CommentEvent,
	ports: CommandPorts,
): Promise<boolean> {
	const { github } = ports;
	const follow = (inputs: Record<string, string>) =>
		github.dispatchWorkflow(WORKFLOWS.follow, event.branch, { "pull-request": String(pull.number), ...inputs });
	switch (name) {
		case "plan":
			// A fork's files are only read where a fork's pull request itself is the event.
			if (pull.head.fork) return github.rerun(WORKFLOWS.run, pull.head.sha);
			await follow({});
			return true;
		case "approve":
			return (await isOffered(pull, event.comment.body, github)) && startAgain(pull, github);
		case "rerun":
			return pull.state === "open" && github.rerun(WORKFLOWS.run, pull.head.sha);
		case "stop":
			if (pull.head.fork) return false;
			// A runner that follows the job would be kept until its end.
			await github.cancelRuns(WORKFLOWS.run, { headSha: pull.head.sha });
			await follow({ stop: "true" });
			return true;
		case "explain":
			if (pull.head.fork) return false;
			await follow({ explain: argument === "" ? "*" : argument });
			return true;
		case "rollback":
			return pull.merged && !pull.head.fork && ports.revert(pull);
	}
}

/** Whether comments of ours ask for each of these approvals; the workflow then compares them with what it plans. */
async function isOffered(pull: PullRequest, body: string, github: GitHub): Promise<boolean> {
	const digests = approvalsIn(body);
	if (pull.state !== "open" || pull.head.fork || digests.length === 0) return false;
	const shown = await github.commentsOf(pull.number, "<!-- proving-ground: ");
	const offers = digests.map((digest) => approvalOffer(shortApproval(`sha256:${digest}`)));
	return offers.every((offer) => shown.some((text) => text.includes(offer)));
}

/** Runs the workflow of a pull request again; where it still runs, a new one takes its place. What it trains goes on. */
async function startAgain({ number, head }: PullRequest, github: GitHub): Promise<true> {
	if (!(await github.rerun(WORKFLOWS.run, head.sha)))
		await github.dispatchWorkflow(WORKFLOWS.run, head.ref, { "pull-request": String(number) });
	return true;
}

/** Reads the event of a comment; throws InvalidInput where it's another event. */
export function readCommentEvent(payload: unknown): CommentEvent {
	const { comment, issue, repository } = (payload ?? {}) as {
		comment?: { id?: unknown; body?: unknown; user?: { login?: unknown } };
		issue?: { number?: unknown; pull_request?: unknown };
		repository?: { default_branch?: unknown };
	};
	const [id, body, login, number] = [comment?.id, comment?.body, comment?.user?.login, issue?.number];
	const branch = repository?.default_branch;
	if (
		typeof id !== "number" ||
		typeof body !== "string" ||
		typeof login !== "string" ||
		typeof number !== "number" ||
		typeof branch !== "string" ||
		!issue?.pull_request
	)
		throw new InvalidInput("The event isn't a comment on a pull request: run this action on issue_comment.");
	return { comment: { id, body, login }, pullRequest: number, branch };
}
