// GitHub, through the one module that writes there
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InvalidInput, ServiceError } from "../../actions/lib/errors.ts";
import { type Annotation, type CheckRun, type GitHub, openGitHub } from "../../actions/lib/github.ts";
import { checkRequest } from "../contract/github/operations.ts";
import { type Fault, limits } from "../system/github/faults.ts";
import { BOT, createsContent, type GitHubServer, startGitHub } from "../system/github-server.ts";

const at = "/repos/ann/road";
/** Milliseconds that stand for a second: a test has no limit to keep. */
const second = 2;

let server: GitHubServer;
let github: GitHub;
const open = (token = "bot-token", author: string = BOT) =>
	openGitHub({ token, repository: server.repository, apiUrl: server.url, author, second });

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

const posts = () => server.writes().map(({ method, path }) => `${method} ${path.replace(at, "")}`);

/** Everything that can go wrong with a request once, and must not be seen in the end. */
function mishaps(method: string, path: RegExp): [string, Fault][] {
	const soon = Math.floor(Date.now() / 1000) + 5;
	const before = { method, path, worked: false };
	const headers = { "retry-after": "1" };
	return [
		["the answer is lost", { ...before, worked: true, answer: null }],
		["the request is lost", { ...before, answer: null }],
		["it fails before the write", { ...before, answer: limits.failure(503) }],
		["it fails twice before the write", { ...before, times: 2, answer: limits.failure(500) }],
		["it fails after the write", { ...before, worked: true, answer: limits.failure(502) }],
		["a secondary limit answers 403", { ...before, answer: limits.secondary(1, 403) }],
		["a secondary limit answers 429", { ...before, answer: limits.secondary(1, 429) }],
		["a limit is told by its header alone", { ...before, answer: { status: 429, headers, body: { message: "Slow" } } }],
		["the primary limit is reached", { ...before, answer: limits.primary(soon) }],
	];
}
const nothing = /nothing is like this/;
const names = mishaps("POST", nothing).map(([name], index) => [name, index] as const);
/** One of each kind, where the same code has borne all of them elsewhere. */
const kinds = names.filter(([name]) => /answer is lost|twice before|after the write|header alone/.test(name));

describe("keeps one comment, right in the end", () => {
	const marker = "<!-- proving-ground: more-night -->";
	const comment = (text: string) => `${marker}\n${text}\n`;
	const write = (body: string, token: string) =>
		server.call("POST", `${at}/issues/${server.pullRequest}/comments`, { body }, token);
	const upsert = (text: string, by = github) => by.upsertComment(server.pullRequest, marker, comment(text));
	async function ours(): Promise<string[]> {
		const found: string[] = [];
		for (let page = 1; ; page += 1) {
			const path = `${at}/issues/${server.pullRequest}/comments?per_page=100&page=${page}`;
			const comments = await server.call<{ body: string; user: { login: string } }[]>("GET", path);
			found.push(...comments.filter(({ user }) => user.login === BOT).map(({ body }) => body));
			if (comments.length < 100) return found;
		}
	}

	test("among fifty of others that bear its marker, which it leaves alone", async () => {
		await Promise.all(Array.from({ length: 50 }, (_, n) => write(comment(`forged ${n}`), "ann-token")));
		expect(await upsert("planned")).toBe("created");
		expect(await upsert("judged")).toBe("updated");
		expect(await ours()).toEqual([comment("judged")]);
		expect(posts()).toHaveLength(2);
	});

	test("behind thirty pages of others", async () => {
		await write(comment("planned"), "bot-token");
		for (let wave = 0; wave < 30; wave += 1)
			await Promise.all(Array.from({ length: 100 }, (_, n) => write(`${wave * 100 + n}`, "bob-token")));
		await write(comment("a twin of a run that raced"), "bot-token");
		expect(await upsert("judged")).toBe("updated");
		expect(server.requests.filter(({ method }) => method === "GET")).toHaveLength(31);
		expect(await ours()).toEqual([comment("judged")]);
	});

	test("after runs that raced", async () => {
		const racers = await Promise.all(Array.from({ length: 4 }, () => open()));
		for (let round = 0; round < 5; round += 1) {
			const found = await ours();
			expect(found).toHaveLength(round === 0 ? 0 : 1);
			await Promise.all(racers.map((racer) => upsert(`round ${round}`, racer)));
			expect(await ours()).toEqual([comment(`round ${round}`)]);
		}
	});

	describe.each([
		["is made", "POST", /\/comments$/, [] as string[]],
		["is changed", "PATCH", /\/comments\/\d+$/, ["planned"]],
		["is looked for", "GET", /\/comments\?/, ["planned"]],
		["is rid of a twin", "DELETE", /\/comments\/\d+$/, ["planned", "twin"]],
	] as const)("while it %s", (_, method, path, before) => {
		test.each(names)("and %s", async (_, index) => {
			for (const text of before) await write(comment(text), "bot-token");
			server.fault(mishaps(method, path)[index]![1]);
			await upsert("judged");
			expect(await ours()).toEqual([comment("judged")]);
			server.writes();
			expect(await upsert("judged")).toBe("unchanged");
			expect(server.writes()).toEqual([]);
		});
	});

	test("that a later run leaves as it is where it is asked to keep it", async () => {
		await upsert("judged");
		const keep = (shown: string) => shown.includes("judged");
		expect(await github.upsertComment(server.pullRequest, marker, comment("planned"), keep)).toBe("unchanged");
		expect(await ours()).toEqual([comment("judged")]);
	});

	test("and says in one error when a limit lasts too long, with the request's id", async () => {
		server.fault({ method: "GET", path: /comments/, worked: false, answer: limits.secondary(3600) });
		const error = await upsert("judged").catch((error) => error);
		expect(error).toBeInstanceOf(ServiceError);
		expect(error.message).toMatch(/could not list comments: 403 .*GitHub takes requests again in 3600 s\./);
		expect(error.cause).toMatch(/^request TEST:\d+: /);
		expect(server.requests).toHaveLength(1);
	});

	test("and gives up after some tries, saying so", async () => {
		server.fault({ method: "POST", path: /comments$/, times: 9, worked: false, answer: limits.failure() });
		await expect(upsert("judged")).rejects.toThrow("could not create comment: 502");
		expect(server.writes()).toHaveLength(3);
	});

	test("and waits for as long as GitHub says, not less", async () => {
		const slow = await openGitHub({
			token: "bot-token",
			repository: "ann/road",
			apiUrl: server.url,
			author: BOT,
			second: 20,
		});
		server.fault({ method: "GET", path: /comments/, worked: false, answer: limits.secondary(30, 429) });
		const start = Date.now();
		await slow.upsertComment(server.pullRequest, marker, comment("judged"));
		expect(Date.now() - start).toBeGreaterThan(30 * 20 - 5);
	});

	test("and names the input where its comment is written by another login", async () => {
		await expect(upsert("judged", await open("bot-token", "proving-ground[bot]"))).rejects.toThrow(
			"set the input author",
		);
	});
});

describe("keeps a check run", () => {
	const annotate = (count: number, word = "problem"): Annotation[] =>
		Array.from({ length: count }, (_, n) => ({
			path: "a.yaml",
			line: n + 1,
			level: "failure",
			title: "a",
			message: `${word} ${n}`,
		}));
	const check = (changes: Partial<CheckRun> = {}): CheckRun => ({
		name: "proving-ground / more-night",
		sha: server.sha,
		status: "completed",
		conclusion: "failure",
		title: "fail",
		summary: "It failed.",
		...changes,
	});
	type Run = { id: number; output: { annotations_count: number; summary: string } };
	async function runs(): Promise<Run[]> {
		const path = `${at}/commits/${server.sha}/check-runs?filter=all`;
		return (await server.call<{ check_runs: Run[] }>("GET", path)).check_runs;
	}
	async function shown(): Promise<string[]> {
		const id = Math.max(...(await runs()).map((run) => run.id));
		const found: string[] = [];
		for (let page = 1; page < 9; page += 1) {
			const path = `${at}/check-runs/${id}/annotations?per_page=100&page=${page}`;
			found.push(...(await server.call<{ message: string }[]>("GET", path)).map(({ message }) => message));
		}
		return found;
	}
	const messages = (count: number, word?: string) => annotate(count, word).map(({ message }) => message);

	test("with fifty annotations a request and none twice, however often it is written", async () => {
		const wanted = check({ annotations: annotate(120) });
		expect(await github.upsertCheckRun(wanted)).toBe("created");
		expect(posts()).toEqual(["POST /check-runs", "PATCH /check-runs/1", "PATCH /check-runs/1"]);
		expect(await shown()).toEqual(messages(120));
		expect(await github.upsertCheckRun(wanted)).toBe("unchanged");
		expect(posts()).toEqual([]);
		expect(await github.upsertCheckRun({ ...wanted, summary: "It failed still." })).toBe("updated");
		expect(await shown()).toEqual(messages(120));
	});

	test("with as many annotations as anybody reads, and a sentence about the rest", async () => {
		await github.upsertCheckRun(check({ annotations: annotate(333) }));
		expect(await shown()).toEqual(messages(200));
		const [run] = await runs();
		expect(run!.output.summary).toContain("the first 200 are shown, 133 more are left out");
	});

	test("with each of equal annotations once", async () => {
		await github.upsertCheckRun(check({ annotations: [...annotate(3), ...annotate(3)] }));
		expect(await shown()).toEqual(messages(3));
	});

	test("made anew where an annotation no longer holds, which GitHub can't take back", async () => {
		await github.upsertCheckRun(check({ annotations: annotate(3) }));
		expect(await github.upsertCheckRun(check({ annotations: annotate(2, "other") }))).toBe("updated");
		expect(await shown()).toEqual(messages(2, "other"));
		expect(await runs()).toHaveLength(2);
		expect(await github.checkRuns(server.sha)).toEqual([
			{ name: "proving-ground / more-night", status: "completed", conclusion: "failure", title: "fail" },
		]);
	});

	test("that goes from queued to its end, and takes its annotations then", async () => {
		await github.upsertCheckRun(check({ status: "queued", conclusion: null }));
		await github.upsertCheckRun(check({ annotations: annotate(60) }));
		expect(await shown()).toEqual(messages(60));
		expect(await runs()).toHaveLength(1);
	});

	test("of its own, whatever another app calls its", async () => {
		const theirs = await open("app-token", "proving-ground[bot]");
		await theirs.upsertCheckRun(check({ title: "theirs" }));
		await github.upsertCheckRun(check());
		expect((await github.checkRuns(server.sha)).map(({ title }) => title)).toEqual(["fail"]);
		expect((await theirs.checkRuns(server.sha)).map(({ title }) => title)).toEqual(["theirs"]);
	});

	describe.each([
		["is made", "POST", /\/check-runs$/],
		["takes more annotations", "PATCH", /\/check-runs\/\d+$/],
		["is looked for", "GET", /\/check-runs\?/],
	] as const)("while it %s", (_, method, path) => {
		test.each(kinds)("and %s", async (_, index) => {
			server.fault(mishaps(method, path)[index]![1]);
			await github.upsertCheckRun(check({ annotations: annotate(120) }));
			expect(await shown()).toEqual(messages(120));
			expect(await runs()).toHaveLength(1);
			server.writes();
			expect(await github.upsertCheckRun(check({ annotations: annotate(120) }))).toBe("unchanged");
			expect(server.writes()).toEqual([]);
		});
	});

	test("and carries on where an earlier run was stopped between two batches", async () => {
		server.fault({ method: "PATCH", path: /check-runs/, times: 3, worked: false, answer: limits.failure() });
		await expect(github.upsertCheckRun(check({ annotations: annotate(70) }))).rejects.toThrow(ServiceError);
		expect(await shown()).toHaveLength(50);
		expect(await github.upsertCheckRun(check({ annotations: annotate(70) }))).toBe("updated");
		expect(await shown()).toEqual(messages(70));
	});

	test("and the comment in no more than two requests that create", async () => {
		await github.upsertComment(server.pullRequest, "<!-- m -->", "<!-- m -->\n");
		await github.upsertCheckRun(check({ annotations: annotate(3) }));
		expect(server.requests.filter(createsContent)).toHaveLength(2);
	});
});

describe("gives a pull request its labels", () => {
	const passed = { name: "model:passed", color: "0e8a16", description: "passed" };
	const running = { name: "model:running", color: "fbca04", description: "running" };
	const own = (name: string) => name.startsWith("model:");
	const labels = async () => (await github.pullRequest(server.pullRequest)).labels.toSorted();

	test("making those that are missing, and taking away its own alone", async () => {
		await server.call("POST", `${at}/issues/${server.pullRequest}/labels`, { labels: ["help wanted"] });
		await github.setLabels(server.pullRequest, [running], own);
		expect(await github.setLabels(server.pullRequest, [passed], own)).toBe("updated");
		expect(await labels()).toEqual(["help wanted", "model:passed"]);
		expect(await server.call("GET", `${at}/labels/model:passed`)).toMatchObject(passed);
		expect(await github.labelled("Model:Passed")).toEqual([server.pullRequest]);
		server.requests.splice(0);
		expect(await github.setLabels(server.pullRequest, [passed], own)).toBe("unchanged");
		expect(server.requests.map(({ method }) => method)).toEqual(["GET"]);
	});

	test.each(["POST", "DELETE"].flatMap((method) => kinds.map(([name, index]) => [method, name, index] as const)))(
		"where in a %s %s",
		async (method, _, index) => {
			await github.setLabels(server.pullRequest, [running], own);
			server.fault(mishaps(method, /labels/)[index]![1]);
			await github.setLabels(server.pullRequest, [passed], own);
			expect(await labels()).toEqual(["model:passed"]);
		},
	);
});

describe("opens once", () => {
	const issue = { marker: "<!-- refused: 1 -->", title: "Refused", body: "why", labels: ["model:failed"] };
	const pull = { branch: "proposed/week-1", base: "main", title: "Week 1", body: "why", labels: ["proposed"] };
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

	test("an issue for its marker, also after it was closed, and whoever forges the marker", async () => {
		await server.call("POST", `${at}/issues`, { title: "forged", body: issue.marker });
		const opened = await github.openIssue(issue);
		expect(opened.created).toBe(true);
		await server.call("PATCH", `${at}/issues/${opened.number}`, { state: "closed" });
		server.writes();
		expect(await github.openIssue(issue)).toEqual({ number: opened.number, created: false });
		expect(server.writes()).toEqual([]);
		expect(await issues("all")).toHaveLength(1);
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
			new InvalidInput('There is no branch "nowhere" to begin from.'),
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

describe("says who asks", () => {
	test.each([
		[{ GITHUB_WORKFLOW: "Experiment", GITHUB_JOB: "train" }, "proving-ground (Experiment/train) "],
		[{ GITHUB_WORKFLOW: "a\r\nX-Evil: (é)", GITHUB_JOB: "b" }, "proving-ground (a__X-Evil_ ___/b) "],
		[{ GITHUB_WORKFLOW: "", GITHUB_JOB: "" }, "proving-ground "],
	])("%o as %s", async (environment, agent) => {
		for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
		let found: string | undefined;
		const plain = createServer((request, response) => {
			found = request.headers["user-agent"];
			response.writeHead(200, { "content-type": "application/json" }).end("[]");
		});
		await new Promise<void>((resolve) => plain.listen(0, "127.0.0.1", resolve));
		const apiUrl = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`;
		const asking = await openGitHub({ token: "t", repository: "ann/road", apiUrl, author: BOT, second });
		await asking.openPullRequests();
		plain.closeAllConnections();
		await new Promise((resolve) => plain.close(resolve));
		expect(found?.startsWith(agent)).toBe(true);
	});

	test.each(["road", "ann/", "ann/road/x"])("and where: %s is no repository", async (repository) => {
		await expect(openGitHub({ token: "t", repository, apiUrl: server.url, author: BOT })).rejects.toThrow(
			"it is owner/name",
		);
	});
});
