// A comment that begins with a slash becomes what a button would do, for those who may write: the text is data, and reaches no shell.
import { InvalidInput } from "../errors.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";

/** The event of a comment, as far as it is read. */
export interface CommentEvent {
	comment: { id: number; body: string; login: string };
	/** Number of the pull request that it stands on. */
	pullRequest: number;
	/** The branch whose workflows run. */
	branch: string;
}

const COMMANDS = ["plan", "rerun", "stop", "explain", "rollback"] as const;
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
	const match = /^\/([a-z]+)(?:[ \t]+(.*))?$/.exec(line.trimEnd());
	if (!match) return null;
	const name = COMMANDS.find((command) => command === match[1]);
	return name ? { name, argument: (match[2] ?? "").trim().slice(0, MAX_ARGUMENT) } : match[1]!;
}

/** Does what a comment asks for, if its author may write, and acknowledges it by a reaction: +1 done, -1 not allowed, confused not understood. */
export async function answerCommand(event: CommentEvent, ports: CommandPorts): Promise<Answered> {
	const { github } = ports;
	const command = parseCommand(event.comment.body);
	if (command === null) return "none";
	const permission = await github.permissionOf(event.comment.login);
	if (!["admin", "maintain", "write"].includes(permission)) {
		await github.react(event.comment.id, "-1");
		return "refused";
	}
	if (typeof command === "string") {
		await github.react(event.comment.id, "confused");
		return "unknown";
	}
	const done = await obey(command, event, ports);
	await github.react(event.comment.id, done ? "+1" : "confused");
	return done ? "done" : "unknown";
}

/** False where there is nothing that the command could do. */
async function obey({ name, argument }: Command, event: CommentEvent, ports: CommandPorts): Promise<boolean> {
	const { github } = ports;
	const pull = await github.pullRequest(event.pullRequest);
	const follow = (inputs: Record<string, string>) =>
		github.dispatchWorkflow(WORKFLOWS.follow, event.branch, { "pull-request": String(pull.number), ...inputs });
	switch (name) {
		case "plan":
			// A fork's files are only read where a fork's pull request itself is the event.
			if (pull.head.fork) return github.rerun(WORKFLOWS.run, pull.head.sha);
			await follow({});
			return true;
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
