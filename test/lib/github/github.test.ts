// GitHub, through the one module that writes there
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ServiceError } from "../../../actions/lib/errors.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { Annotation, CheckRun, GitHub } from "../../../actions/lib/github/objects.ts";
import { checkRequest } from "../../contract/github/operations.ts";
import { limits } from "../../system/github/faults.ts";
import { BOT, createsContent, type GitHubServer, startGitHub } from "../../system/github-server.ts";
import { kinds, mishaps, names } from "./mishaps.ts";

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
		expect(error.message).toMatch(/could not list comments: 403 .*try again in 3600 s\./);
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
		expect(await github.labelled("Model:Passed")).toMatchObject([{ number: server.pullRequest }]);
		server.requests.splice(0);
		expect(await github.setLabels(server.pullRequest, [passed], own)).toBe("unchanged");
		expect(server.requests.map(({ method }) => method)).toEqual(["GET"]);
	});

	test("with one that it may not make left out and told, since nothing depends on it", async () => {
		server.grant("1", "train", { "pull-requests": "write" });
		const told: string[] = [];
		const options = { token: "bot-token", repository: server.repository, author: BOT, second };
		const job = await openGitHub({ ...options, apiUrl: `${server.url}/_run/1/train`, warn: (line) => told.push(line) });
		await server.call("POST", `${at}/labels`, running);
		expect(await job.setLabels(server.pullRequest, [passed, running], own)).toBe("updated");
		expect(await labels()).toEqual(["model:running"]);
		expect(told).toEqual([expect.stringMatching(/^Without the label model:passed: could not create label: 403 /)]);
		const opened = { branch: "night", base: "main", title: "t", body: "b", labels: [{ ...running, name: "proposal" }] };
		expect((await job.openPullRequest(opened)).number).toBe(server.pullRequest);
		expect(told[1]).toMatch(/^Without the label proposal: could not create label: 403 /);
		expect(await labels()).toEqual(["model:running"]);
		server.grant("1", "train", { "pull-requests": "write", issues: "write" });
		await job.setLabels(server.pullRequest, [passed], own);
		expect(await labels()).toEqual(["model:passed"]);
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
			"it must be owner/name",
		);
	});
});
