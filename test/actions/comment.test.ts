// The comment action
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type DocumentName, type DocumentTypes, writeDocument } from "../../actions/lib/documents.ts";
import { makeScores } from "../fixtures/evaluation.ts";
import { makeJudged } from "../fixtures/judged.ts";
import { makeJob, makeJobs, makePlan } from "../fixtures/plan.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";
import { type Ran, runAction } from "./runner.ts";

let github: GitHubServer;
let workspace: string;

beforeEach(async () => {
	github = await startGitHub();
	workspace = await mkdtemp(path.join(tmpdir(), "comment-"));
});
afterEach(async () => {
	await github.close();
	await rm(workspace, { recursive: true });
});

async function comment(
	documents: { [N in DocumentName]?: DocumentTypes[N] },
	changes: Record<string, string> = {},
): Promise<Ran> {
	const inputs: Record<string, string> = {
		jobs: "",
		report: "",
		verdict: "",
		promotion: "",
		"pull-request": String(github.pullRequest),
		sha: github.sha,
		token: "bot-token",
		author: BOT,
	};
	for (const [name, value] of Object.entries(documents)) {
		inputs[name] = await writeDocument(name as DocumentName, value as never, path.join(workspace, `${name}.json`));
	}
	return runAction("comment", {
		workspace,
		inputs: { ...inputs, ...changes },
		environment: { GITHUB_API_URL: github.url, GITHUB_REPOSITORY: github.repository },
	});
}

interface Comment {
	body: string;
	user: { login: string };
}
const comments = () =>
	github.call<Comment[]>("GET", `/repos/ann/road/issues/${github.pullRequest}/comments?per_page=100`);
const ours = async () => (await comments()).filter(({ user }) => user.login === BOT);
const checks = async (filter: "latest" | "all" = "latest") =>
	(
		await github.call<{
			check_runs: { name: string; status: string; conclusion: string; output: { title: string } }[];
		}>("GET", `/repos/ann/road/commits/${github.sha}/check-runs?filter=${filter}`)
	).check_runs;

test("writes the summary, one comment and one check run", async () => {
	const judged = makeJudged();
	const ran = await comment({ ...judged });
	expect(ran).toMatchObject({ code: 0, annotations: [], outputs: { comment: "created", "check-run": "created" } });
	const [only, ...more] = await comments();
	expect(more).toEqual([]);
	expect(only!.body.trimEnd()).toBe(ran.outputs["body"]!.trimEnd());
	expect(ran.summary).toContain("passed 4 of 4 checks against production v1.");
	expect(await checks()).toEqual([
		expect.objectContaining({ name: "proving-ground / more-night", status: "completed", conclusion: "success" }),
	]);
});

test("writes nothing where nothing changed", async () => {
	await comment({ ...makeJudged() });
	github.writes();
	const again = await comment({ ...makeJudged() });
	expect(again.outputs).toMatchObject({ comment: "unchanged", "check-run": "unchanged" });
	expect(github.writes()).toEqual([]);
});

test("changes the same comment and check run from planned to running to judged", async () => {
	const plan = makePlan();
	await comment({ plan });
	expect((await checks())[0]).toMatchObject({ status: "queued" });
	const running = makeJob({
		state: "running",
		progress: { stage: "train", epoch: 1, epochs: 2, step: 10, steps: 74, loss: 1, metric: null, seconds_left: 20 },
	});
	await comment({ plan, jobs: makeJobs(plan, running) });
	expect((await ours())[0]!.body).toContain("is running");
	const ran = await comment({ ...makeJudged(makeScores({ night: 0.2 })) });
	expect(ran.outputs).toMatchObject({ comment: "updated", "check-run": "updated" });
	expect(await ours()).toHaveLength(1);
	expect((await ours())[0]!.body).toContain("failed 1 of 4 checks: mAP −0.200 on `night`");
	expect(await checks()).toEqual([expect.objectContaining({ status: "completed", conclusion: "failure" })]);
});

test("leaves alone a comment of somebody else that bears its marker", async () => {
	const forged = "<!-- proving-ground: more-night -->\nforged";
	await github.call("POST", `/repos/ann/road/issues/${github.pullRequest}/comments`, { body: forged });
	await comment({ ...makeJudged() });
	expect((await comments()).map(({ body, user }) => [user.login, body === forged])).toEqual([
		["ann", true],
		[BOT, false],
	]);
});

test("finds its comment behind more than a page of others", async () => {
	await comment({ plan: makePlan() });
	for (let n = 0; n < 120; n++)
		await github.call("POST", `/repos/ann/road/issues/${github.pullRequest}/comments`, { body: `comment ${n}` });
	// Newer ones of ours without the marker are no comment of ours.
	await github.call(
		"POST",
		`/repos/ann/road/issues/${github.pullRequest}/comments`,
		{ body: "quoting <!-- proving-ground: more-night -->" },
		"bot-token",
	);
	const ran = await comment({ ...makeJudged() });
	expect(ran.outputs["comment"]).toBe("updated");
});

test("ends with one comment when the answer to its creation is lost", async () => {
	github.loseAnswer("POST", /\/comments$/);
	const ran = await comment({ ...makeJudged() });
	expect(ran.code).toBe(0);
	expect(await ours()).toHaveLength(1);
});

test("ends with one comment after two runs that raced", async () => {
	const judged = makeJudged();
	const marker = "<!-- proving-ground: more-night -->\n";
	for (const body of ["first", "second"])
		await github.call(
			"POST",
			`/repos/ann/road/issues/${github.pullRequest}/comments`,
			{ body: marker + body },
			"bot-token",
		);
	await comment({ ...judged });
	expect(await ours()).toHaveLength(1);
});

test("deletes a twin although the answer to that is lost", async () => {
	const marker = "<!-- proving-ground: more-night -->\n";
	const at = `/repos/ann/road/issues/${github.pullRequest}/comments`;
	for (const body of ["first", "second"]) await github.call("POST", at, { body: marker + body }, "bot-token");
	github.loseAnswer("DELETE", /\/comments\/\d+$/);
	expect(await comment({ ...makeJudged() })).toMatchObject({ code: 0, annotations: [] });
	expect(await ours()).toHaveLength(1);
});

test("ends with one check run when the answer to its creation is lost", async () => {
	github.loseAnswer("POST", /\/check-runs$/);
	expect(await comment({ ...makeJudged() })).toMatchObject({ code: 0, annotations: [] });
	expect(await checks("all")).toHaveLength(1);
});

test("makes a new check run where a job that failed runs again on the same commit", async () => {
	const plan = makePlan();
	await comment({ plan, jobs: makeJobs(plan, makeJob({ state: "failed", diagnosis: "out of memory" })) });
	github.writes();
	await comment({ plan, jobs: makeJobs(plan, makeJob({ state: "running" })) });
	// GitHub answers 200 to a change of a completed run's state, and leaves the state as it was.
	expect(github.writes().map(({ method, path }) => `${method} ${path}`)).toContain("POST /repos/ann/road/check-runs");
	expect((await checks())[0]).toMatchObject({ status: "in_progress", conclusion: null });
	await comment({ ...makeJudged() });
	expect((await checks())[0]).toMatchObject({ status: "completed", conclusion: "success" });
	expect(await checks("all")).toHaveLength(2);
	github.writes();
	await comment({ ...makeJudged() });
	expect(github.writes()).toEqual([]);
});

test("writes the summary alone without a pull request", async () => {
	const ran = await comment({ plan: makePlan() }, { "pull-request": "", sha: "", token: "" });
	expect(ran).toMatchObject({ code: 0, annotations: [] });
	expect(ran.summary).toContain("is planned");
	expect(github.requests).toEqual([]);
});

test("says in one error what it could not do, without the token", async () => {
	const ran = await comment({ plan: makePlan() }, { "pull-request": "999" });
	expect(ran.code).toBe(1);
	expect(ran.annotations).toHaveLength(1);
	expect(ran.annotations[0]).toContain("GitHub: could not read pull request 999: 404");
	expect(ran.log).not.toContain("bot-token");
});
