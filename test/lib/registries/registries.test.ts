// Every registry
import { fork } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText } from "../../../actions/lib/documents.ts";
import type { Promotion } from "../../../actions/lib/generated/documents.d.ts";
import type { Approval, Registry } from "../../../actions/lib/plan/registry.ts";
import { folder } from "../../../actions/lib/registries/folder.ts";
import { recorded } from "../../../actions/lib/registries/recorded.ts";
import { leaveFolder, makeEntry } from "../../fixtures/judged.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;

function approval(version: number, replaced: number | null, manifest = digest("a")): Approval {
	return {
		version,
		replaced,
		manifest,
		verdict: digest("b"),
		approved_by: "someone",
		approved_at: "2026-01-01T00:00:00.000Z",
	};
}

/** The conformance suite: called once for each adapter; `files` is a folder of artefacts to register, `manifest` the digest of its manifest. */
function conforms(name: string, open: () => Promise<{ registry: Registry; files: string; manifest: string }>): void {
	describe(name, () => {
		let registry: Registry;
		let files: { model: string; evaluation: string };
		let manifest: string;
		const entry = (evaluation: string) => makeEntry(evaluation, manifest);
		const ofThese = (version: number, replaced: number | null) => approval(version, replaced, manifest);
		beforeEach(async () => {
			const opened = await open();
			registry = opened.registry;
			files = { model: opened.files, evaluation: opened.files };
			manifest = opened.manifest;
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

		test("notes the manifest of an evaluation once, whoever comes later, and makes no version of it", async () => {
			const manifests = Array.from({ length: 10 }, (_, index) => digest(String(index)));
			const noted = new Set(await Promise.all(manifests.map((manifest) => registry.note("line", "one-1", manifest))));
			expect(noted.size).toBe(1);
			expect(await registry.note("line", "one-1", digest("f"))).toBe([...noted][0]);
			expect(await registry.note("line", "one-2", digest("f"))).toBe(digest("f"));
			expect(await registry.lines()).toEqual([]);
			await expect(registry.note("line", "../one", digest("f"))).rejects.toThrow("can't be the name of an evaluation");
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
			await registry.approve("line", ofThese(1, null));
			expect((await registry.current("line"))?.entry.version).toBe(1);
			await registry.approve("line", ofThese(2, 1));
			await expect(registry.approve("line", ofThese(3, 1))).rejects.toThrow("judged against version 1");
			await expect(registry.approve("line", ofThese(3, null))).rejects.toThrow("no production model");
			expect((await registry.current("line"))?.entry.version).toBe(2);
		});

		test("changes nothing when production is approved again", async () => {
			await registry.register(entry("one"), files);
			await registry.approve("line", ofThese(1, null));
			await registry.approve("line", ofThese(1, null));
			expect((await registry.history("line")).approvals).toHaveLength(1);
		});

		test("refuses to approve a version that it doesn't have", async () => {
			await expect(registry.approve("line", ofThese(7, null))).rejects.toThrow("no version 7");
		});

		test("names the lines that have a version, sorted, and none before", async () => {
			expect(await registry.lines()).toEqual([]);
			for (const model of ["road", "line", "a-line"])
				await registry.register({ ...entry(`of-${model}`), model }, files);
			expect(await registry.lines()).toEqual(["a-line", "line", "road"]);
		});

		test("lets one of several simultaneous approvals win", async () => {
			for (const name of ["one", "two", "three"]) await registry.register(entry(name), files);
			const results = await Promise.allSettled(
				[1, 2, 3].map((version) => registry.approve("line", ofThese(version, null))),
			);
			expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
			expect((await registry.history("line")).approvals).toHaveLength(1);
		});
	});
}

let temporary: string;
let manifest: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "registry-"));
	manifest = await leaveFolder(path.join(temporary, "files"), { weights: "the weights" });
});
afterEach(() => rm(temporary, { recursive: true }));

conforms("folder", async () => ({
	registry: folder(path.join(temporary, "registry")),
	files: path.join(temporary, "files"),
	manifest,
}));

test("folder holds an entry whole or not at all at every instant of a crash, and the next call completes it", async () => {
	const size = 2_000_000;
	const files = path.join(temporary, "files");
	const parts = Array.from({ length: 8 }, (_, n) => [`part-${n}`, Buffer.alloc(size, n)] as const);
	const one = makeEntry("one", await leaveFolder(files, { weights: "the weights", ...Object.fromEntries(parts) }));
	const script = path.join(temporary, "register.ts");
	const module = path.resolve(import.meta.dirname, "../../../actions/lib/registries/folder.ts");
	await writeFile(
		script,
		`import { folder } from ${JSON.stringify(module)};
process.send("ready");
await folder(process.argv[2]).register(JSON.parse(process.argv[3]), { model: process.argv[4], evaluation: process.argv[4] });`,
	);
	let torn = 0;
	for (const delay of [0, 2, 4, 8, 12, 16, 24, 32]) {
		const root = path.join(temporary, `registry-${delay}`);
		const child = fork(script, [root, JSON.stringify(one), files]);
		const ended = new Promise((resolve) => child.once("exit", resolve));
		await new Promise((resolve) => child.once("message", resolve));
		await new Promise((resolve) => setTimeout(resolve, delay));
		child.kill("SIGKILL");
		await ended;
		const registry = folder(root);
		const { versions } = await registry.history("line");
		if (versions.length === 0) torn += 1;
		for (const { location } of versions) expect(await readdir(location)).toHaveLength(10);
		expect((await registry.register(one, { model: files, evaluation: files })).entry.version).toBe(1);
		expect(await readdir((await registry.history("line")).versions[0]!.location)).toHaveLength(10);
		// Nothing is left of the copy that was killed.
		expect((await readdir(path.join(root, "line"))).sort()).toEqual(["claims", "v000001"]);
	}
	// Were no crash early enough to leave nothing, the loop would have shown nothing.
	expect(torn).toBeGreaterThan(0);
});

describe("what was recorded in reports/", () => {
	const warned: string[] = [];
	const open = () => recorded(temporary, (message) => warned.push(message));
	beforeEach(() => {
		warned.length = 0;
	});

	/** Leaves a record as a promotion does; texts take the place of documents. */
	async function leave(
		version: number,
		day: number | null,
		changes: { name?: string; model?: string; entry?: unknown; promotion?: object | string } = {},
	): Promise<void> {
		const { name = `experiment-${version}`, model = "line" } = changes;
		const place = path.join(temporary, "reports", name);
		const of = { schema: 1, experiment: name, model, version, run: `run-e${version}`, manifest: digest("a") } as const;
		const promotion: Promotion = {
			...of,
			status: day === null ? "pending" : "approved",
			verdict: digest("b"),
			replaced: version > 1 ? version - 1 : null,
			approved_by: day === null ? null : "ann",
			approved_at: day === null ? null : `2026-01-0${day}T00:00:00.000Z`,
			location: `/registry/v${version}/model`,
		};
		const text = (value: unknown) => (typeof value === "string" ? value : documentText(value));
		const given = changes.promotion ?? {};
		await mkdir(place, { recursive: true });
		await writeFile(
			path.join(place, "promotion.json"),
			text(typeof given === "string" ? given : { ...promotion, ...given }),
		);
		if (changes.entry !== null)
			await writeFile(
				path.join(place, "entry.json"),
				text(changes.entry ?? { ...makeEntry(`e${version}`), model, experiment: name, version }),
			);
	}

	test("is production, with the history that led to it, in the order of the approvals", async () => {
		await leave(2, 2, { name: "a" });
		await leave(10, 4, { name: "b", promotion: { replaced: 2 } });
		await leave(1, 1, { name: "c" });
		const { versions, approvals } = await open().history("line");
		expect(versions.map(({ entry, location }) => [entry.version, location])).toEqual([
			[1, "/registry/v1/model"],
			[2, "/registry/v2/model"],
			[10, "/registry/v10/model"],
		]);
		expect(approvals).toEqual([
			{ ...approval(1, null), approved_by: "ann" },
			{ ...approval(2, 1), approved_by: "ann", approved_at: "2026-01-02T00:00:00.000Z" },
			{ ...approval(10, 2), approved_by: "ann", approved_at: "2026-01-04T00:00:00.000Z" },
		]);
		expect((await open().current("line"))?.entry.version).toBe(10);
		expect(warned).toEqual([]);
	});

	test("tells one line from another", async () => {
		await leave(1, 1, { name: "a", model: "road" });
		await leave(1, 2, { name: "b" });
		expect(await open().lines()).toEqual(["line", "road"]);
		expect((await open().current("road"))?.entry.experiment).toBe("a");
		expect(await open().current("other")).toBeNull();
	});

	test("is an earlier version again after production went back to it", async () => {
		await leave(2, 2);
		await leave(1, 3, { promotion: { replaced: 2 } });
		expect((await open().current("line"))?.entry.version).toBe(1);
		expect((await open().history("line")).approvals.map(({ version, replaced }) => [version, replaced])).toEqual([
			[2, 1],
			[1, 2],
		]);
	});

	test("replaced nothing that is known where that record was overwritten", async () => {
		await leave(3, 3);
		expect((await open().history("line")).approvals[0]!.replaced).toBeNull();
	});

	test("is nothing where nothing was promoted, or what was is pending or has no entry", async () => {
		expect(await open().lines()).toEqual([]);
		await leave(1, null);
		await leave(2, 1, { entry: null });
		await writeFile(path.join(temporary, "reports/README.md"), "reports");
		expect(await open().lines()).toEqual([]);
		expect(await open().current("line")).toBeNull();
		expect(warned).toEqual([]);
	});

	test.each<[string, Parameters<typeof leave>[2], string]>([
		["no JSON", { promotion: "{" }, "reports/odd/promotion.json: not JSON"],
		[
			"of another version of the documents",
			{ entry: "{}" },
			"reports/odd/entry.json: this version can't read it as entry.json",
		],
		[
			"of two versions",
			{ promotion: { version: 7 } },
			"reports/odd/promotion.json is for line v7, but the entry beside it",
		],
		[
			"of two lines",
			{ promotion: { model: "road" } },
			"promotion.json is for road v2, but the entry beside it is for line v2",
		],
	])("leaves a record out that is %s, once, by its file's name, and keeps the others", async (_, changes, message) => {
		await leave(1, 1);
		await leave(2, 2, { name: "odd", ...changes });
		const registry = open();
		expect((await registry.current("line"))?.entry.version).toBe(1);
		expect(await registry.lines()).toEqual(["line"]);
		expect(warned).toEqual([expect.stringContaining(message)]);
	});

	test("can't be changed", async () => {
		const message = "The promotions in reports/ are read-only: only the registry itself can be changed.";
		await expect(open().register(makeEntry("one"), { model: "", evaluation: "" })).rejects.toThrow(message);
		await expect(open().approve("line", approval(1, null))).rejects.toThrow(message);
	});
});
