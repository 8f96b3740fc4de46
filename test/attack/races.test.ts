// Jobs that write at the same time, in whatever order their requests come, leave one truth
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openGitHub } from "../../actions/lib/github/github.ts";
import type { CheckRun, GitHub } from "../../actions/lib/github/objects.ts";
import { seeded } from "../lib/propose/proposals/github.ts";
import { count } from "../soak.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";

const at = "/repos/ann/road";

let server: GitHubServer;
let gate: Server;
/** The request of each client that waits to be let through, by the client's number. */
const waiting = new Map<number, () => Promise<void>>();

beforeAll(async () => {
	server = await startGitHub();
	gate = createServer((request, response) => {
		void bytesOf(request).then((body) => {
			const [, client, path] = /^\/(\d+)(\/.*)$/.exec(request.url!)!;
			waiting.set(Number(client), async () => {
				const headers = { authorization: request.headers.authorization!, "content-type": "application/json" };
				const method = request.method!;
				const got = await fetch(server.url + path, { method, headers, ...(body.length > 0 ? { body } : {}) });
				response.writeHead(got.status, { "content-type": "application/json" });
				response.end(Buffer.from(await got.arrayBuffer()));
			});
		});
	});
	await new Promise<void>((resolve) => gate.listen(0, "127.0.0.1", resolve));
});
afterAll(async () => {
	gate.closeAllConnections();
	await new Promise((resolve) => gate.close(resolve));
	await server.close();
});

async function bytesOf(request: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	return Buffer.concat(chunks);
}

/** Lets clients do their work with one request at a time, of the client that is chosen among those that have one. */
async function interleave(
	works: ((github: GitHub) => Promise<unknown>)[],
	choose: (among: number) => number,
): Promise<void> {
	waiting.clear();
	const { port } = gate.address() as AddressInfo;
	const over = new Set<number>();
	const failures: unknown[] = [];
	for (const [client, work] of works.entries()) {
		const apiUrl = `http://127.0.0.1:${port}/${client}`;
		void openGitHub({ token: "bot-token", repository: "ann/road", apiUrl, author: BOT, second: 0 })
			.then(work)
			.catch((error: unknown) => failures.push(error))
			.finally(() => over.add(client));
	}
	while (over.size < works.length) {
		if (waiting.size + over.size < works.length) {
			await new Promise((resolve) => setImmediate(resolve));
			continue;
		}
		const ready = [...waiting.keys()].sort((a, b) => a - b);
		const client = ready[choose(ready.length)]!;
		const pass = waiting.get(client)!;
		waiting.delete(client);
		await pass();
	}
	expect(failures).toEqual([]);
}

/** Every order in which requests can come, one after the other, or the first of them in an order drawn by the seed. */
async function everyOrder(most: number, seed: number, run: (choose: (among: number) => number) => Promise<void>) {
	let tried = 0;
	const random = seeded(seed);
	if (most < Number.POSITIVE_INFINITY) {
		for (; tried < most; tried += 1) await run((among) => Math.floor(random() * among));
		return tried;
	}
	const taken: { chosen: number; among: number }[] = [];
	do {
		let step = 0;
		await run((among) => {
			taken[step] ??= { chosen: 0, among };
			return taken[step++]!.chosen;
		});
		tried += 1;
		while (taken.length > 0 && taken.at(-1)!.chosen + 1 === taken.at(-1)!.among) taken.pop();
		if (taken.length > 0) taken.at(-1)!.chosen += 1;
	} while (taken.length > 0);
	return tried;
}

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
let number = 0;

describe("check runs", () => {
	interface Shown {
		id: number;
		status: string;
		conclusion: string | null;
		output: { title: string };
	}
	type Says = Pick<CheckRun, "status" | "conclusion" | "title">;
	const planned: Says = { status: "queued", conclusion: null, title: "planned" };
	const running: Says = { status: "in_progress", conclusion: null, title: "running" };
	const failed: Says = { status: "completed", conclusion: "failure", title: "failed" };
	const passed: Says = { status: "completed", conclusion: "success", title: "passed" };
	const annotations = Array.from({ length: 60 }, (_, line) => ({
		...{ path: "a.yaml", line: line + 1, level: "failure" as const, title: "a", message: "b" },
	}));

	async function runsOf(name: string): Promise<Shown[]> {
		const path = `${at}/commits/${server.sha}/check-runs?filter=all&check_name=${encodeURIComponent(name)}`;
		const { check_runs: found } = await server.call<{ check_runs: Shown[] }>("GET", path);
		return found.sort((a, b) => b.id - a.id);
	}

	test.each<[string, Says[], number]>([
		["planned twice", [planned, planned], count(6, Number.POSITIVE_INFINITY)],
		["planned and running", [planned, running], count(6, Number.POSITIVE_INFINITY)],
		["running and failed", [running, failed], count(6, Number.POSITIVE_INFINITY)],
		["passed and failed", [passed, failed], count(4, Number.POSITIVE_INFINITY)],
		["three at once", [planned, running, failed], count(5, 500)],
		["four at once", [planned, running, running, planned], count(4, 300)],
	])(`of jobs that say %s (SEED=${seed})`, async (_, says, most) => {
		const tried = await everyOrder(most, seed, async (choose) => {
			const name = `proving-ground / ${++number}`;
			const works = says.map(
				(say) => (github: GitHub) =>
					github.upsertCheckRun({
						...say,
						...{ name, sha: server.sha, summary: say.title },
						...(say.status === "completed" ? { annotations } : {}),
					}),
			);
			await interleave(works, choose);
			const [last, ...older] = await runsOf(name);
			expect(says.map(({ title }) => title)).toContain(last!.output.title);
			// What GitHub may show beside it is over, or says the same.
			for (const run of older) if (run.status !== "completed") expect(run.output.title).toBe(last!.output.title);
			// What comes next is true of all of them.
			await interleave([(github) => github.upsertCheckRun({ ...passed, name, sha: server.sha, summary: "" })], () => 0);
			const after = await runsOf(name);
			expect(after[0]).toMatchObject({ status: "completed", conclusion: "success" });
			expect(after.filter(({ status }) => status !== "completed")).toEqual([]);
		});
		expect(tried).toBeGreaterThan(0);
	});
});

describe("comments", () => {
	test.each<[number, number]>([
		[2, count(6, Number.POSITIVE_INFINITY)],
		[3, count(5, 500)],
	])(`of %i jobs (SEED=${seed})`, async (jobs, most) => {
		const path = `${at}/issues/${server.pullRequest}/comments`;
		await everyOrder(most, seed, async (choose) => {
			const marker = `<!-- proving-ground: ${++number} -->`;
			const bodies = Array.from({ length: jobs }, (_, job) => `${marker}\n${job}`);
			await interleave(
				bodies.map((body) => (github) => github.upsertComment(server.pullRequest, marker, body)),
				choose,
			);
			const left = await server.call<{ id: number; body: string }[]>("GET", path);
			expect(left).toHaveLength(1);
			expect(bodies).toContain(left[0]!.body);
			await server.call("DELETE", `${at}/issues/comments/${left[0]!.id}`);
		});
	});
});
