// Which runs are stopped when pull requests are followed
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { follow } from "../../../actions/lib/follow/follow.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { GitHub, PullRequest } from "../../../actions/lib/github/objects.ts";
import type { Project } from "../../../actions/lib/project.ts";
import { openState } from "../../../actions/lib/state.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";
import { claim } from "../../../actions/lib/train/claims.ts";
import type { Job } from "../../../actions/lib/train/executor.ts";
import { makeJob } from "../../fixtures/plan.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";

let server: GitHubServer;
let github: GitHub;
let home: string;
beforeEach(async () => {
	home = await mkdtemp(path.join(tmpdir(), "follow-"));
	server = await startGitHub();
	const { repository, url: apiUrl } = server;
	github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 2 });
});
afterEach(async () => {
	await server.close();
	await rm(home, { recursive: true, force: true });
});

/** Follows all pull requests of a moment at which none was open yet, with one run going that the server's has asked for. */
async function stoppedOf(kind: Job["kind"], now: Partial<PullRequest>): Promise<string[]> {
	const store = folder(path.join(home, "store"));
	await claim("night-0123", { store, pullRequest: server.pullRequest } as never);
	const stopped: string[] = [];
	const executor = {
		list: async () => [makeJob({ id: "night-0123", kind })],
		stop: async (id: string) => {
			stopped.push(id);
		},
	};
	const project = { home, state: openState(home, "state"), store, executors: () => [executor] } as unknown as Project;
	const late: GitHub = {
		...github,
		openPullRequests: async () => [],
		pullRequest: async (number) => ({ ...(await github.pullRequest(number)), ...now }),
	};
	const options = { stop: false, question: "", say: () => {} };
	await follow(null, { project, git: async () => "main\n", github: late }, options);
	return stopped;
}

test("what nobody asks for any more", async () => {
	expect(await stoppedOf("train", { state: "closed" })).toEqual(["night-0123"]);
	expect(await stoppedOf("evaluate", { state: "closed" })).toEqual(["night-0123"]);
	expect(await stoppedOf("train", { state: "closed", merged: true })).toEqual(["night-0123"]);
	expect(await stoppedOf("train", { base: { ref: "elsewhere", sha: "" } })).toEqual(["night-0123"]);
});

test("but not what was asked for since the pull requests were listed, nor the evaluation that promotion needs", async () => {
	expect(await stoppedOf("train", {})).toEqual([]);
	expect(await stoppedOf("evaluate", { state: "closed", merged: true })).toEqual([]);
});
