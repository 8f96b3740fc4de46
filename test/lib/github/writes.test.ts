// What is opened, committed, started and stopped on GitHub
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { GitHub } from "../../../actions/lib/github/objects.ts";
import { checkRequest } from "../../contract/github/operations.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";
import { kinds, mishaps } from "./mishaps.ts";

const at = "/repos/ann/road";
/** Milliseconds that stand for a second: a test has no limit to keep. */
const second = 2;

let server: GitHubServer;
let github: GitHub;
const open = () =>
	openGitHub({ token: "bot-token", repository: server.repository, apiUrl: server.url, author: BOT, second });

beforeEach(async () => {
	server = await startGitHub();
	github = await open();
});
afterEach(async () => {
	// What GitHub's own description has against any request of any test.
	expect([...new Set(server.requests.flatMap(checkRequest))]).toEqual([]);
	await server.close();
	vi.unstubAllEnvs();
});

describe("opens once", () => {
	const issue = { marker: "<!-- refused: 1 -->", title: "Refused", body: "why", labels: ["model:failed"] };
	const proposed = { name: "proposed", color: "d4c5f9", description: "Proposed" };
	const pull = { branch: "proposed/week-1", base: "main", title: "Week 1", body: "why", labels: [proposed] };
	const commit = () =>
		github.commitFiles({
			branch: pull.branch,
			base: "main",
			message: "Week 1",
			files: [{ path: "x.yaml", content: "x" }],
		});
	const issues = async (state: string) =>
		(
			await server.call<{ user: { login: string }; pull_request?: object }[]>("GET", `${at}/issues?state=${state}`)
		).filter(({ user, pull_request }) => user.login === BOT && !pull_request);

	test("an issue for its marker, also after somebody has closed it as not planned, and whoever forges the marker", async () => {
		await server.call("POST", `${at}/issues`, { title: "forged", body: issue.marker });
		const opened = await github.openIssue(issue);
		expect(opened.created).toBe(true);
		const refused = { state: "closed", state_reason: "not_planned" };
		await server.call("PATCH", `${at}/issues/${opened.number}`, refused);
		server.writes();
		expect(await github.openIssue(issue)).toEqual({ number: opened.number, created: false });
		expect(server.writes()).toEqual([]);
		expect(await issues("all")).toHaveLength(1);
	});

	test("an issue until what it asks for has happened: it is closed with why, and never another", async () => {
		const { number } = await github.openIssue(issue);
		const other = await github.openIssue({ ...issue, marker: "<!-- refused: 2 -->" });
		await github.closeIssue(issue.marker, "**Since then** it was promoted.");
		const shown = await server.call("GET", `${at}/issues/${number}`);
		expect(shown).toMatchObject({
			state: "closed",
			state_reason: "completed",
			body: `${issue.marker}\nwhy\n\n**Since then** it was promoted.`,
		});
		expect(await server.call("GET", `${at}/issues/${other.number}`)).toMatchObject({ state: "open" });
		server.writes();
		await github.closeIssue(issue.marker, "**Since then** it was promoted.");
		expect(server.writes()).toEqual([]);
	});

	test("an issue again, with what is to be said now, after it was closed as completed", async () => {
		const { number } = await github.openIssue(issue);
		await github.closeIssue(issue.marker, "**Since then** it was promoted.");
		server.loseAnswer("PATCH", /issues/);
		expect(await github.openIssue({ ...issue, body: "why now" })).toEqual({ number, created: false });
		const shown = await server.call("GET", `${at}/issues/${number}`);
		expect(shown).toMatchObject({ state: "open", body: `${issue.marker}\nwhy now` });
		server.writes();
		expect(await github.openIssue(issue)).toEqual({ number, created: false });
		expect(server.writes()).toEqual([]);
	});

	test("an issue, although a list brings what others have written", async () => {
		const forged = { number: 99, state: "open", user: { login: "ann" }, body: issue.marker };
		server.fault({ method: "GET", path: /issues\?/, worked: false, answer: { status: 200, body: [forged] } });
		expect((await github.openIssue(issue)).created).toBe(true);
	});

	test("an issue where two race: the later one is closed", async () => {
		const racers = await Promise.all([open(), open(), open()]);
		const opened = await Promise.all(racers.map((racer) => racer.openIssue(issue)));
		expect(new Set(opened.map(({ number }) => number)).size).toBe(1);
		expect(await issues("open")).toHaveLength(1);
	});

	test.each(kinds)("an issue where %s", async (_, index) => {
		server.fault(mishaps("POST", /issues$/)[index]![1]);
		await github.openIssue(issue);
		expect(await issues("all")).toHaveLength(1);
	});

	test("a pull request for its branch, also after it was closed", async () => {
		await commit();
		const { number, created } = await github.openPullRequest(pull);
		expect(created).toBe(true);
		expect(await github.pullRequest(number)).toMatchObject({ author: BOT, labels: ["proposed"], state: "open" });
		await server.call("PATCH", `${at}/pulls/${number}`, { state: "closed" });
		server.writes();
		expect(await github.openPullRequest(pull)).toEqual({ number, created: false });
		expect(server.writes()).toEqual([]);
	});

	test("a pull request where two race", async () => {
		await commit();
		const racers = await Promise.all([open(), open(), open()]);
		const opened = await Promise.all(racers.map((racer) => racer.openPullRequest(pull)));
		expect(new Set(opened.map(({ number }) => number)).size).toBe(1);
		expect(await github.pullRequestsFrom("proposed/")).toHaveLength(1);
	});

	test.each(kinds)("a pull request where %s", async (_, index) => {
		await commit();
		server.fault(mishaps("POST", /pulls$/)[index]![1]);
		const { number } = await github.openPullRequest(pull);
		expect((await github.pullRequestsFrom("proposed/")).map((found) => found.number)).toEqual([number]);
	});
});

describe("reads", () => {
	test("who approves of a pull request by their last review, and whose a commit is", async () => {
		const { pullRequest: number } = server;
		expect(await github.approversOf(number)).toEqual([]);
		const review = (event: string, by: string) =>
			server.call("POST", `${at}/pulls/${number}/reviews`, { event, body: "so" }, by);
		await review("APPROVE", "bob-token");
		await review("COMMENT", "bob-token");
		expect(await github.approversOf(number)).toEqual(["bob"]);
		await review("REQUEST_CHANGES", "bob-token");
		expect(await github.approversOf(number)).toEqual([]);
		expect(await github.authorOf(server.sha)).toBe("ann");
	});

	test("pull requests: open, of a branch's prefix, of a commit, with who merged", async () => {
		const [only, ...more] = await github.openPullRequests();
		expect(more).toEqual([]);
		expect(only).toMatchObject({
			number: server.pullRequest,
			author: "ann",
			merged: false,
			mergeCommit: null,
			head: { ref: "night", sha: server.sha, fork: false },
			base: { ref: "main" },
		});
		expect((await github.pullRequestsOf(server.sha)).map(({ number }) => number)).toEqual([server.pullRequest]);
		expect(await github.pullRequestsFrom("nigh")).toHaveLength(1);
		expect(await github.pullRequestsFrom("day")).toEqual([]);
		await server.call("PUT", `${at}/pulls/${server.pullRequest}/merge`, {});
		const [merged] = await github.pullRequestsOf(server.sha);
		expect(merged).toMatchObject({ state: "closed", merged: true, mergedBy: "ann" });
		expect(merged!.mergeCommit).toMatch(/^[0-9a-f]{40}$/);
		expect(await github.openPullRequests()).toEqual([]);
	});

	test.each([
		["ann", "admin"],
		["bob", "write"],
		["fan", "read"],
		["nobody/../ann", "none"],
	])("what %s may do: %s", async (login, permission) => {
		expect(await github.permissionOf(login)).toBe(permission);
	});
});

describe("commits", () => {
	const files = (content: string | null) => [
		{ path: "reports/a/report.json", content },
		{ path: "reports/a/index.html", content: new Uint8Array([0, 255, 10]) },
	];
	const commit = (content: string | null, branch = "record") =>
		github.commitFiles({ branch, base: "main", message: "Record", files: files(content) });
	const read = (branch: string) =>
		server.call<{ content: string }>("GET", `${at}/contents/reports/a/report.json?ref=${branch}`).then(
			({ content }) => Buffer.from(content, "base64").toString(),
			() => null,
		);
	const head = async (branch: string) =>
		(await server.call<{ object: { sha: string } }>("GET", `${at}/git/ref/heads/${branch}`)).object.sha;

	test("files once, to a branch made from its base, and nothing where they are there", async () => {
		expect(await commit("one é\n")).toBe("created");
		expect(await read("record")).toBe("one é\n");
		expect(await github.hasFile("reports/a/report.json", await head("record"))).toBe(true);
		expect(await github.hasFile("reports/a/gone.json", await head("record"))).toBe(false);
		server.writes();
		expect(await commit("one é\n")).toBe("unchanged");
		expect(server.writes()).toEqual([]);
		expect(await commit("two")).toBe("updated");
		expect(await commit(null)).toBe("updated");
		expect(await read("record")).toBe(null);
		expect(await commit(null)).toBe("unchanged");
	});

	test("to the base itself, beside what others have pushed there", async () => {
		await Promise.all(
			(await Promise.all([open(), open(), open()])).map((racer, n) =>
				racer.commitFiles({
					branch: "main",
					base: "main",
					message: `${n}`,
					files: [{ path: `${n}.txt`, content: "x" }],
				}),
			),
		);
		const tree = await server.call<{ tree: { path: string }[] }>("GET", `${at}/git/trees/${await head("main")}`);
		expect(tree.tree.map(({ path }) => path)).toEqual(expect.arrayContaining(["0.txt", "1.txt", "2.txt"]));
		expect(server.requests.some(({ body }) => (body as { force?: boolean } | undefined)?.force)).toBe(false);
	});

	test.each(
		["git/blobs", "git/trees", "git/commits", "git/refs"].flatMap((part) =>
			kinds.map(([name, n]) => [part, name, n] as const),
		),
	)("through %s where %s", async (part, _, index) => {
		server.fault(mishaps("POST", new RegExp(part))[index]![1]);
		expect(await commit("one")).toBe("created");
		expect(await read("record")).toBe("one");
		expect(await commit("one")).toBe("unchanged");
	});

	test.each(kinds)("on top of a branch where %s", async (_, index) => {
		await commit("one");
		server.fault(mishaps("PATCH", /git\/refs/)[index]![1]);
		expect(await commit("two")).toBe("updated");
		expect(await read("record")).toBe("two");
	});

	test("nothing from a branch that isn't there", async () => {
		const given = { branch: "a", base: "nowhere", message: "a", files: files("a") };
		await expect(github.commitFiles(given)).rejects.toThrow(
			new InvalidInput('There is no branch "nowhere" to start from.'),
		);
	});

	test("and tags a commit once, and never another by the same name", async () => {
		const main = await head("main");
		expect(await github.createTag("model/perception/v1", main)).toBe("created");
		expect(await github.createTag("model/perception/v1", main)).toBe("unchanged");
		await expect(github.createTag("model/perception/v1", server.sha)).rejects.toThrow(InvalidInput);
	});

	test.each(kinds)("and tags where %s", async (_, index) => {
		server.fault(mishaps("POST", /git\/refs/)[index]![1]);
		await github.createTag("model/perception/v1", await head("main"));
		expect(await github.createTag("model/perception/v1", await head("main"))).toBe("unchanged");
	});
});

describe("starts and stops", () => {
	const run = (id: number, changes: object = {}) => ({
		id,
		name: "experiment",
		path: ".github/workflows/experiment.yml",
		event: "pull_request",
		head_branch: "night",
		head_sha: server.sha,
		status: "in_progress" as const,
		conclusion: null,
		run_number: id,
		run_attempt: 1,
		created_at: "2026-01-01T00:00:00Z",
		...changes,
	});

	test("a workflow and an event", async () => {
		const content = Buffer.from("on: { workflow_dispatch: { inputs: { pull: {} } } }").toString("base64");
		await server.call("PUT", `${at}/contents/.github/workflows/experiment.yml`, {
			message: "x",
			content,
			branch: "main",
		});
		await github.dispatchWorkflow("experiment.yml", "main", { pull: "7" });
		await github.emit("dataset.published", { name: "scenes" });
		expect(server.actions.dispatches).toEqual([
			{ kind: "workflow_dispatch", by: BOT, workflow: "experiment.yml", ref: "main", inputs: { pull: "7" } },
			{ kind: "repository_dispatch", by: BOT, event_type: "dataset.published", client_payload: { name: "scenes" } },
		]);
	});

	test("what still runs for a branch or a commit, but never the run that asks or a fork's", async () => {
		vi.stubEnv("GITHUB_RUN_ID", "4");
		const fork = { head_repository: { full_name: "fan/road" } };
		server.actions.runs.push(
			run(1),
			run(2, { status: "queued" }),
			run(3, { status: "completed" }),
			run(4),
			run(5, { head_branch: "day" }),
			run(6, fork),
		);
		expect(await github.cancelRuns("experiment.yml", { branch: "night" })).toBe(2);
		expect(server.actions.runs.filter(({ conclusion }) => conclusion === "cancelled").map(({ id }) => id)).toEqual([
			1, 2,
		]);
		expect(await github.cancelRuns("experiment.yml", { branch: "night" })).toBe(0);
		await expect(github.cancelRuns("experiment.yml", {})).rejects.toThrow(InvalidInput);
	});

	test("with a reaction that is there once", async () => {
		const { id } = await server.call<{ id: number }>("POST", `${at}/issues/${server.pullRequest}/comments`, {
			body: "/stop",
		});
		await github.react(id, "rocket");
		server.loseAnswer("POST", /reactions/);
		await github.react(id, "rocket");
		expect(server.reactions.get(id)).toEqual([expect.objectContaining({ content: "rocket", user: { login: BOT } })]);
	});
});
