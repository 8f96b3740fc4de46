// The GitHub of the tests
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkRequest } from "../contract/github/operations.ts";
import { limits } from "./github/faults.ts";
import { createOrigin, type Origin } from "./github/origin.ts";
import { compareRights } from "./github/permissions.ts";
import type { Pull } from "./github/pulls.ts";
import { createsContent, type GitHubServer, startGitHub } from "./github-server.ts";

let github: GitHubServer;
let origin: Origin;
const at = "/repos/ann/road";

beforeEach(async () => {
	github = await startGitHub({ opened: false });
	origin = await createOrigin(github, { "README.md": "# Road\n", "experiments/a.yaml": "why: a\n" });
});
afterEach(async () => {
	await origin.close();
	await github.close();
});

async function ask(method: string, path: string, body?: object, { token = "bot-token", prefix = "" } = {}) {
	const headers = { authorization: `token ${token}`, "content-type": "application/json" };
	const answer = await fetch(github.url + prefix + path, {
		method,
		headers,
		...(body ? { body: JSON.stringify(body) } : {}),
	});
	const text = await answer.text();
	return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : null };
}

test("has the commits of the git repository under their own ids, on branches, in forks and in pull requests", async () => {
	const sha = await origin.commit("night", { "experiments/b.yaml": "why: b\n", "README.md": null });
	const pull = await origin.open("night");
	expect(pull.head.sha).toBe(sha);
	expect(origin.sha(`refs/pull/${pull.number}/head`)).toBe(sha);
	const files = await ask("GET", `${at}/pulls/${pull.number}/files`);
	expect(files.body.map((file: { filename: string; status: string }) => [file.filename, file.status])).toEqual([
		["README.md", "removed"],
		["experiments/b.yaml", "added"],
	]);
	const pushed = await origin.commit("night", { "experiments/b.yaml": "why: more\n" });
	expect((await ask("GET", `${at}/pulls/${pull.number}`)).body.head.sha).toBe(pushed);

	await origin.commit("theirs", { "experiments/c.yaml": "why: c\n" }, { fork: true });
	const theirs = await origin.open("theirs", { fork: true });
	expect(theirs.head.repo?.full_name).toBe("fan/road");
	expect(origin.git("show", `refs/pull/${theirs.number}/merge:experiments/c.yaml`)).toBe("why: c");
});

test("merges as git does, with what came to main since, and says which pull request a commit is from", async () => {
	const head = await origin.commit("night", { "experiments/b.yaml": "why: b\n" });
	const { number } = await origin.open("night");
	await origin.commit("main", { "experiments/c.yaml": "why: c\n" });
	expect((await ask("PUT", `${at}/pulls/${number}/merge`, { sha: "0".repeat(40) })).status).toBe(409);
	const merged = await origin.merge(number);
	expect(origin.git("ls-tree", "--name-only", "main", "experiments/").split("\n")).toEqual([
		"experiments/a.yaml",
		"experiments/b.yaml",
		"experiments/c.yaml",
	]);
	expect(origin.sha("main")).toBe(merged);
	const { body } = await ask("GET", `${at}/pulls/${number}`);
	expect(body).toMatchObject({ merged: true, merge_commit_sha: merged, head: { sha: head } });
	for (const sha of [merged, head])
		expect((await ask("GET", `${at}/commits/${sha}/pulls`)).body.map((pull: Pull) => pull.number)).toEqual([number]);
	expect((await ask("PUT", `${at}/pulls/${number}/merge`, {})).status).toBe(405);
});

test("gives the git repository what is committed through the API", async () => {
	const content = Buffer.from([0, 255, 10, 128]).toString("base64");
	const blob = await ask("POST", `${at}/git/blobs`, { content, encoding: "base64" });
	const head = origin.sha("main");
	const base_tree = origin.git("rev-parse", "main^{tree}");
	const entry = { path: "reports/x/deep.bin", mode: "100644", type: "blob", sha: blob.body.sha };
	const tree = await ask("POST", `${at}/git/trees`, { base_tree, tree: [entry] });
	const commit = await ask("POST", `${at}/git/commits`, { message: "By API", tree: tree.body.sha, parents: [head] });
	expect((await ask("POST", `${at}/git/refs`, { ref: "refs/heads/api", sha: commit.body.sha })).status).toBe(201);
	expect((await ask("POST", `${at}/git/refs`, { ref: "refs/heads/api", sha: commit.body.sha })).status).toBe(422);
	expect((await ask("POST", `${at}/git/refs`, { ref: "refs/tags/model/v1", sha: head })).status).toBe(201);
	expect(origin.git("rev-parse", "api:reports/x/deep.bin")).toBe(blob.body.sha);
	expect(origin.sha("refs/tags/model/v1")).toBe(head);
	const tag = { tag: "v2", message: "Two", object: head, type: "commit" };
	const annotated = await ask("POST", `${at}/git/tags`, tag);
	expect((await ask("POST", `${at}/git/refs`, { ref: "refs/tags/v2", sha: annotated.body.sha })).status).toBe(201);
	expect(origin.sha("refs/tags/v2")).toBe(head);
	expect((await ask("PATCH", `${at}/git/refs/heads/api`, { sha: head })).status).toBe(422);
	expect((await ask("DELETE", `${at}/git/refs/heads/api`)).status).toBe(204);
	expect(() => origin.sha("refs/heads/api")).toThrow();
});

test("refuses what GitHub refuses", async () => {
	await origin.commit("night", { a: "b" });
	const { number } = await origin.open("night");
	const comments = `${at}/issues/${number}/comments`;
	expect((await ask("GET", comments, undefined, { token: "stolen" })).status).toBe(401);
	expect((await ask("POST", comments, { body: "x".repeat(65_537) })).status).toBe(422);
	expect((await ask("POST", comments, { body: "x".repeat(65_536) })).status).toBe(201);
	expect(
		(await ask("POST", `${at}/pulls`, { title: "again", head: "night", base: "main" })).body.errors[0].message,
	).toBe("A pull request already exists for ann:night.");
	expect((await ask("POST", `${at}/pulls`, { title: "none", head: "nowhere", base: "main" })).status).toBe(422);
	expect((await ask("POST", `${at}/labels`, { name: "model:passed", color: "00ff00" })).status).toBe(201);
	expect((await ask("POST", `${at}/labels`, { name: "Model:Passed" })).body.errors[0].code).toBe("already_exists");
	const run = { name: "x", head_sha: origin.sha("night"), output: { title: "t", summary: "s" } };
	expect((await ask("POST", `${at}/check-runs`, run, { token: "ann-token" })).status).toBe(403);
});

test("adds up the annotations of a check run, fifty by request", async () => {
	const annotation = { path: "a", start_line: 1, end_line: 1, annotation_level: "failure", message: "m", title: "t" };
	const output = (count: number) => ({ title: "t", summary: "s", annotations: Array(count).fill(annotation) });
	const run = { name: "x", head_sha: origin.sha("main"), status: "in_progress" };
	expect((await ask("POST", `${at}/check-runs`, { ...run, output: output(51) })).status).toBe(422);
	const { body } = await ask("POST", `${at}/check-runs`, { ...run, output: output(50) });
	const updated = await ask("PATCH", `${at}/check-runs/${body.id}`, { conclusion: "failure", output: output(3) });
	expect(updated.body).toMatchObject({
		status: "completed",
		app: { slug: "github-actions" },
		output: { annotations_count: 53 },
	});
	const listed = await ask("GET", `${at}/check-runs/${body.id}/annotations?per_page=50&page=2`);
	expect(listed.body).toEqual([annotation, annotation, annotation]);
});

test("lists pull requests among the issues, by label, and changes both", async () => {
	await origin.commit("night", { a: "b" });
	const { number } = await origin.open("night");
	const issue = await ask("POST", `${at}/issues`, { title: "refused", labels: ["model:failed"] });
	await ask("PATCH", `${at}/issues/${number}`, { labels: ["model:failed"] });
	const { body } = await ask("GET", `${at}/issues?labels=model:failed&state=all`);
	expect(
		body.map((found: { number: number; pull_request?: object }) => [found.number, "pull_request" in found]),
	).toEqual([
		[issue.body.number, false],
		[number, true],
	]);
});

test("takes dispatches for the workflows and inputs that there are, and keeps them", async () => {
	const workflow = "on:\n  workflow_dispatch:\n    inputs:\n      name: { required: true }\njobs: {}\n";
	await origin.commit("main", { ".github/workflows/follow.yml": workflow });
	const to = `${at}/actions/workflows/follow.yml/dispatches`;
	expect((await ask("POST", to, { ref: "main", inputs: { name: "x" } })).status).toBe(204);
	expect((await ask("POST", to, { ref: "main", inputs: { nme: "x" } })).status).toBe(422);
	expect((await ask("POST", to, { ref: "main" })).status).toBe(422);
	expect((await ask("POST", to.replace("follow", "none"), { ref: "main" })).status).toBe(404);
	expect((await ask("POST", `${at}/dispatches`, { event_type: "dataset.published" })).status).toBe(204);
	expect(github.actions.dispatches).toMatchObject([
		{ kind: "workflow_dispatch", workflow: "follow.yml", inputs: { name: "x" } },
		{ kind: "repository_dispatch", event_type: "dataset.published" },
	]);
});

test("reacts once to a comment, and knows who may do what", async () => {
	await origin.commit("night", { a: "b" });
	const { number } = await origin.open("night");
	const { body } = await ask("POST", `${at}/issues/${number}/comments`, { body: "/plan" }, { token: "bob-token" });
	const reactions = `${at}/issues/comments/${body.id}/reactions`;
	expect((await ask("POST", reactions, { content: "eyes" })).status).toBe(201);
	expect((await ask("POST", reactions, { content: "eyes" })).status).toBe(200);
	const permission = async (login: string) =>
		(await ask("GET", `${at}/collaborators/${login}/permission`)).body.permission;
	expect([await permission("ann"), await permission("bob"), await permission("fan")]).toEqual([
		"admin",
		"write",
		"read",
	]);
});

test("goes wrong on demand, before or after the work is done", async () => {
	await origin.commit("night", { a: "b" });
	const { number } = await origin.open("night");
	const comments = `${at}/issues/${number}/comments`;
	const count = async () => (await github.call<object[]>("GET", comments)).length;
	const strike = { method: "POST", path: /comments$/ };
	github.fault({ ...strike, worked: false, answer: limits.secondary(3, 429) });
	const limited = await ask("POST", comments, { body: "x" });
	expect([limited.status, limited.headers.get("retry-after"), await count()]).toEqual([429, "3", 0]);
	github.fault({ ...strike, worked: true, answer: limits.failure(502) });
	expect([(await ask("POST", comments, { body: "x" })).status, await count()]).toEqual([502, 1]);
	github.loseAnswer("POST", /comments$/);
	await expect(ask("POST", comments, { body: "x" })).rejects.toThrow();
	expect(await count()).toBe(2);
	github.requests.length = 0;
	await ask("GET", comments);
	await ask("POST", comments, { body: "x" });
	await ask("POST", `${at}/labels`, { name: "model:running" });
	await ask("POST", `${at}/dispatches`, { event_type: "x" });
	expect(github.requests.filter(createsContent).map(({ path }) => path)).toEqual([comments, `${at}/labels`]);
});

test("gives a job's token the permissions it was granted, and tells what is missing and what is to spare", async () => {
	await origin.commit("night", { a: "b" });
	const { number } = await origin.open("night");
	github.requests.length = 0;
	const granted = { contents: "read", "pull-requests": "write", checks: "write" } as const;
	github.grant("7", "judge", granted);
	const prefix = "/_run/7/judge";
	expect((await ask("POST", `${at}/issues/${number}/comments`, { body: "x" }, { prefix })).status).toBe(201);
	const refused = await ask("POST", `${at}/dispatches`, { event_type: "x" }, { prefix });
	expect(refused).toMatchObject({ status: 403, body: { message: "Resource not accessible by integration" } });
	const asked = github.requests.filter(({ run, job }) => run === "7" && job === "judge");
	expect(asked.flatMap(checkRequest)).toEqual([]);
	expect(
		compareRights(
			asked.map(({ operation }) => operation!),
			granted,
		),
	).toEqual({
		missing: ["contents: write for POST /repos/{owner}/{repo}/dispatches"],
		spare: ["contents: read", "checks: write"],
	});
});

test("takes a job's token for a day, whatever the job still does", async () => {
	github.grant("8", "train", { "pull-requests": "write" });
	const look = async () => (await ask("GET", `${at}/pulls`, undefined, { prefix: "/_run/8/train" })).status;
	github.passHours(24);
	expect(await look()).toBe(200);
	github.passHours(1);
	expect(await look()).toBe(401);
	github.grant("9", "train", { "pull-requests": "write" });
	expect((await ask("GET", `${at}/pulls`, undefined, { prefix: "/_run/9/train" })).status).toBe(200);
});

test("has a run that waits for each pull request that the workflow's token opens, and none for those of an app", async () => {
	const known = github.actions.runs.length;
	for (const [branch, token] of [
		["by-bot", "bot-token"],
		["by-app", "app-token"],
	] as const) {
		await origin.commit(branch, { [branch]: "x" });
		await ask("POST", `${at}/pulls`, { title: branch, head: branch, base: "main" }, { token });
	}
	expect(github.actions.runs.slice(known)).toMatchObject([{ head_branch: "by-bot", conclusion: "action_required" }]);
});

test("starts the jobs of a group one after the other, and takes the group before the approval", async () => {
	const { queue } = github;
	const started: string[] = [];
	const start = (run: string) =>
		queue.start(run, { group: "g", environment: "training" }).then(() => started.push(run));
	queue.ask("training");
	const [first, second] = [start("1"), start("2")];
	await new Promise((resolve) => setTimeout(resolve, 20));
	expect([queue.holder("g"), started]).toEqual(["1", []]);
	queue.approve("training");
	await first;
	expect([queue.holder("g"), started]).toEqual(["1", ["1"]]);
	queue.release("1");
	await second;
	expect([queue.holder("g"), started]).toEqual(["2", ["1", "2"]]);
});
