// What people see of an experiment on its pull request
import { afterEach, beforeEach, expect, test } from "vitest";
import { type GitHub, openGitHub } from "../../actions/lib/github.ts";
import { showExperiment, showLabels } from "../../actions/lib/showing.ts";
import { makePlan } from "../fixtures.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";

let server: GitHubServer;
let github: GitHub;
beforeEach(async () => {
	server = await startGitHub();
	const { repository, url: apiUrl } = server;
	github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 2 });
});
afterEach(() => server.close());

test("labels say what experiments' check runs say, and nothing of the workflows' jobs, which are check runs of the same app", async () => {
	const place = { number: server.pullRequest, head: { sha: server.sha } };
	const jobs = [
		["Plan", "success"],
		["Check and test", "failure"],
		["Show what can't be planned", "skipped"],
	];
	for (const [name, conclusion] of jobs) {
		const job = { name, head_sha: server.sha, status: "completed", conclusion };
		await server.call("POST", `/repos/${server.repository}/check-runs`, job, "bot-token");
	}
	await showExperiment(github, place, { plan: makePlan() });
	await showLabels(github, place, { models: [], all: true });
	const route = `/repos/${server.repository}/issues/${server.pullRequest}/labels`;
	const labels = await server.call<{ name: string }[]>("GET", route);
	expect(labels.map(({ name }) => name)).toEqual(["model:planned"]);
});
