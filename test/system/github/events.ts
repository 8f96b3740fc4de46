// What happened on the server becomes the payload that GitHub would start workflows with.
// Shapes: https://docs.github.com/en/webhooks/webhook-events-and-payloads
import type { GitHubServer } from "../github-server.ts";
import type { Origin } from "./origin.ts";
import type { Pull } from "./pulls.ts";

export interface Event {
	name: string;
	/** Who caused it; GITHUB_ACTOR. */
	actor: string;
	/** GITHUB_REF, and the ref that the workflow file is read at. */
	ref: string;
	payload: Record<string, unknown>;
}

const repo = "/repos/ann/road";

async function common(github: GitHubServer, actor: string) {
	return { repository: await github.call<object>("GET", repo), sender: { login: actor, type: "User" } };
}

/** pull_request: opened, synchronize, reopened, ready_for_review, closed. A closed one that was merged runs on its base. */
export async function pullRequestEvent(
	github: GitHubServer,
	number: number,
	action: string,
	actor = "ann",
): Promise<Event> {
	const { pull_request, ...rest } = {
		...(await common(github, actor)),
		pull_request: await github.call<Pull>("GET", `${repo}/pulls/${number}`),
	};
	const ref = pull_request.merged ? `refs/heads/${pull_request.base.ref}` : `refs/pull/${number}/merge`;
	return { name: "pull_request", actor, ref, payload: { action, number, pull_request, ...rest } };
}

/** push to a branch, from one commit to another. */
export async function pushEvent(
	github: GitHubServer,
	origin: Origin,
	before: string,
	after: string,
	actor = "ann",
	branch = "main",
): Promise<Event> {
	const list = (...args: string[]) =>
		origin
			.git(...args)
			.split("\n")
			.filter(Boolean);
	const commits = list("rev-list", "--reverse", `${before}..${after}`).map((id) => {
		const changed = (filter: string) =>
			list("diff-tree", "-m", "--first-parent", "-r", "--no-commit-id", "--name-only", `--diff-filter=${filter}`, id);
		const author = { username: origin.git("log", "-1", "--format=%an", id) };
		const message = origin.git("log", "-1", "--format=%B", id);
		return { id, message, author, added: changed("A"), modified: changed("M"), removed: changed("D") };
	});
	const ref = `refs/heads/${branch}`;
	const payload = { ref, before, after, commits, head_commit: commits.at(-1), ...(await common(github, actor)) };
	return { name: "push", actor, ref, payload };
}

/** issue_comment, created: a comment on an issue or a pull request. */
export async function commentEvent(
	github: GitHubServer,
	number: number,
	comment: { id: number },
	actor: string,
): Promise<Event> {
	const issue = await github.call<object>("GET", `${repo}/issues/${number}`);
	const written = await github.call<object>("GET", `${repo}/issues/comments/${comment.id}`);
	const payload = { action: "created", issue, comment: written, ...(await common(github, actor)) };
	return { name: "issue_comment", actor, ref: "refs/heads/main", payload };
}

/** repository_dispatch with a type and what it carries. */
export async function dispatchEvent(
	github: GitHubServer,
	type: string,
	client_payload: object,
	actor = "ann",
): Promise<Event> {
	const payload = { action: type, branch: "main", client_payload, ...(await common(github, actor)) };
	return { name: "repository_dispatch", actor, ref: "refs/heads/main", payload };
}

/** workflow_dispatch of the form, or of a request that the server has kept. */
export async function formEvent(
	github: GitHubServer,
	inputs: Record<string, string>,
	actor = "ann",
	ref = "main",
): Promise<Event> {
	const payload = { inputs, ref: `refs/heads/${ref}`, ...(await common(github, actor)) };
	return { name: "workflow_dispatch", actor, ref: `refs/heads/${ref}`, payload };
}

/** schedule, by the line of cron that struck. */
export async function scheduleEvent(github: GitHubServer, schedule: string): Promise<Event> {
	return {
		name: "schedule",
		actor: "ann",
		ref: "refs/heads/main",
		payload: { schedule, ...(await common(github, "ann")) },
	};
}
