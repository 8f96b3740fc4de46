// Every registry
import { fork } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Entry } from "../../actions/lib/generated/documents.d.ts";
import type { Approval, Registry } from "../../actions/lib/plan.ts";
import { folder } from "../../actions/lib/registries/folder.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

function entry(evaluation: string): Omit<Entry, "version"> {
	return {
		schema: 1,
		model: "line",
		experiment: "example",
		run: `run-${evaluation}`,
		evaluation,
		manifest: digest("a"),
		verdict: digest("b"),
		report: digest("c"),
		registered_at: "2026-01-01T00:00:00.000Z",
		baseline: null,
		scores: { map: 0.5 },
		architecture: {},
		train: {},
		data: {},
		code: digest("d"),
		seed: 0,
		processes: 2,
		seconds: 10,
		frames_trained: 100,
	};
}

function approval(version: number, replaced: number | null): Approval {
	return {
		version,
		replaced,
		manifest: digest("a"),
		verdict: digest("b"),
		approved_by: "someone",
		approved_at: "2026-01-01T00:00:00.000Z",
	};
}

/** The conformance suite: called once for each adapter; `files` is a folder of artefacts to register. */
function conforms(name: string, open: () => Promise<{ registry: Registry; files: string }>): void {
	describe(name, () => {
		let registry: Registry;
		let files: Record<string, string>;
		beforeEach(async () => {
			const opened = await open();
			registry = opened.registry;
			files = { model: opened.files };
		});

		test("has no production model before the first promotion, whatever is registered", async () => {
			expect(await registry.current("line")).toBeNull();
			await registry.register(entry("one"), files);
			expect(await registry.current("line")).toBeNull();
			expect((await registry.history("line")).versions).toHaveLength(1);
		});

		test("keeps the files of a version", async () => {
			const { location } = await registry.register(entry("one"), files);
			expect(await readFile(path.join(location, "weights"), "utf8")).toBe("the weights");
		});

		test("numbers versions from 1 and gives an evaluation the same version again", async () => {
			expect((await registry.register(entry("one"), files)).entry.version).toBe(1);
			expect((await registry.register(entry("two"), files)).entry.version).toBe(2);
			expect((await registry.register(entry("one"), files)).entry.version).toBe(1);
			expect((await registry.history("line")).versions).toHaveLength(2);
		});

		test("gives twenty simultaneous registrations of one evaluation one version", async () => {
			const all = await Promise.all(Array.from({ length: 20 }, () => registry.register(entry("same"), files)));
			expect(new Set(all.map(({ entry }) => entry.version))).toEqual(new Set([1]));
		});

		test("gives simultaneous registrations of different evaluations different versions", async () => {
			const all = await Promise.all(
				Array.from({ length: 10 }, (_, index) => registry.register(entry(`e${index}`), files)),
			);
			expect(new Set(all.map(({ entry }) => entry.version)).size).toBe(10);
		});

		test("makes an approved version production, and only in the place of the one it was judged against", async () => {
			await registry.register(entry("one"), files);
			await registry.register(entry("two"), files);
			await registry.register(entry("three"), files);
			await registry.approve("line", approval(1, null));
			expect((await registry.current("line"))?.entry.version).toBe(1);
			await registry.approve("line", approval(2, 1));
			await expect(registry.approve("line", approval(3, 1))).rejects.toThrow("judged against version 1");
			await expect(registry.approve("line", approval(3, null))).rejects.toThrow("no production model");
			expect((await registry.current("line"))?.entry.version).toBe(2);
		});

		test("changes nothing when production is approved again", async () => {
			await registry.register(entry("one"), files);
			await registry.approve("line", approval(1, null));
			await registry.approve("line", approval(1, null));
			expect((await registry.history("line")).approvals).toHaveLength(1);
		});

		test("refuses to approve a version that it doesn't have", async () => {
			await expect(registry.approve("line", approval(7, null))).rejects.toThrow("no version 7");
		});

		test("lets one of several simultaneous approvals win", async () => {
			for (const name of ["one", "two", "three"]) await registry.register(entry(name), files);
			const results = await Promise.allSettled(
				[1, 2, 3].map((version) => registry.approve("line", approval(version, null))),
			);
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			expect((await registry.history("line")).approvals).toHaveLength(1);
		});
	});
}

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "registry-"));
	await mkdir(path.join(temporary, "files"));
	await writeFile(path.join(temporary, "files/weights"), "the weights");
});
afterEach(() => rm(temporary, { recursive: true }));

conforms("folder", async () => ({
	registry: folder(path.join(temporary, "registry")),
	files: path.join(temporary, "files"),
}));

test("folder holds an entry whole or not at all at every instant of a crash, and the next call completes it", async () => {
	const size = 2_000_000;
	for (let n = 0; n < 8; n++) await writeFile(path.join(temporary, `files/part-${n}`), Buffer.alloc(size, n));
	const script = path.join(temporary, "register.ts");
	const module = path.resolve(import.meta.dirname, "../../actions/lib/registries/folder.ts");
	await writeFile(
		script,
		`import { folder } from ${JSON.stringify(module)};
process.send("ready");
await folder(process.argv[2]).register(JSON.parse(process.argv[3]), { model: process.argv[4] });`,
	);
	let torn = 0;
	for (const delay of [0, 2, 4, 8, 12, 16, 24, 32]) {
		const root = path.join(temporary, `registry-${delay}`);
		const child = fork(script, [root, JSON.stringify(entry("one")), path.join(temporary, "files")]);
		const ended = new Promise((resolve) => child.once("exit", resolve));
		await new Promise((resolve) => child.once("message", resolve));
		await new Promise((resolve) => setTimeout(resolve, delay));
		child.kill("SIGKILL");
		await ended;
		const registry = folder(root);
		const { versions } = await registry.history("line");
		if (versions.length === 0) torn += 1;
		for (const { location } of versions) expect(await readdir(location)).toHaveLength(9);
		expect((await registry.register(entry("one"), { model: path.join(temporary, "files") })).entry.version).toBe(1);
		expect(await readdir((await registry.history("line")).versions[0]!.location)).toHaveLength(9);
	}
	// Were no crash early enough to leave nothing, the loop would have shown nothing.
	expect(torn).toBeGreaterThan(0);
});
