// Whoever starts a workflow by hand may name any pull request's number, and reaches that of the branch's own head alone
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { knownAuthors, openPullRequest } from "../../actions/lib/action.ts";
import { InvalidInput } from "../../actions/lib/errors.ts";
import { context } from "../../actions/lib/github/event.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";

const repo = "/repos/ann/road";
const at = { own: "a".repeat(40) };

let server: GitHubServer;
beforeEach(async () => {
	server = await startGitHub();
	const inputs = { token: "bot-token", author: BOT, "pull-request": String(server.pullRequest), sha: at.own };
	for (const [name, value] of Object.entries(inputs)) vi.stubEnv(`INPUT_${name.toUpperCase()}`, value);
	vi.stubEnv("GITHUB_REPOSITORY", server.repository);
	vi.stubEnv("GITHUB_API_URL", server.url);
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await server.close();
});

/** The event that started the workflow, which the runner's library reads once in a process. */
function event(eventName: string, sha: string, payload: object = {}): void {
	Object.assign(context, { eventName, sha, payload });
}

async function refusal(asked: Promise<unknown>): Promise<string> {
	const error = await asked.catch((reason: unknown) => reason);
	if (!(error instanceof InvalidInput)) throw new Error(`no InvalidInput: ${error}`);
	return error.message;
}
const other = () =>
	`The head of #${server.pullRequest} is ${server.sha}, but this workflow run is of ${at.own}. Somebody has pushed since, or the input pull-request names another pull request. The workflow run of that head takes over.`;

describe("a workflow that was started by hand on a branch", () => {
	test("shows nothing on another's pull request", async () => {
		event("workflow_dispatch", at.own);
		expect(await refusal(openPullRequest())).toBe(other());
		expect(server.writes()).toEqual([]);
	});

	test("doesn't take another's author for its own, who would know of no waiver that he has granted himself", async () => {
		event("workflow_dispatch", at.own);
		expect(await refusal(knownAuthors(server.pullRequest))).toBe(other());
	});

	test("shows its own", async () => {
		vi.stubEnv("INPUT_SHA", server.sha);
		event("workflow_dispatch", server.sha);
		expect((await openPullRequest())?.place).toEqual({ number: server.pullRequest, head: { sha: server.sha } });
		expect(await knownAuthors(server.pullRequest)).toMatchObject({ author: "ann" });
	});

	test("shows nothing any more once its own was pushed to", async () => {
		vi.stubEnv("INPUT_SHA", server.sha);
		event("workflow_dispatch", server.sha);
		const file = { message: "More", content: "", branch: "night" };
		await server.call("PUT", `${repo}/contents/more.yaml`, file);
		expect(await refusal(openPullRequest())).toContain("Somebody has pushed since");
	});
});

test("a workflow of a pull request shows nothing on another", async () => {
	vi.stubEnv("INPUT_SHA", server.sha);
	event("pull_request", server.sha, { pull_request: { number: 99, head: { sha: server.sha } } });
	expect(await refusal(openPullRequest())).toBe(
		`The input pull-request: found ${server.pullRequest}; the event is of #99.`,
	);
	expect(server.requests).toEqual([]);
});
