// What people write, whatever it is, is a value that holds to its schema or problems on its lines: no crash, no write, no pollution
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InvalidFile, InvalidInput, type Problem } from "../../actions/lib/errors.ts";
import { loadExperiment } from "../../actions/lib/experiment/experiment.ts";
import { type FileKind, fileKinds, parseFile } from "../../actions/lib/experiment/files.ts";
import { parameters, texts } from "../arbitraries.ts";
import { count } from "../soak.ts";

const root = path.resolve(import.meta.dirname, "../..");
const FILES = {
	experiment: "experiments/more-night.yaml",
	model: "recipes/models/hydranet-small.yaml",
	data: "recipes/data/scenes.yaml",
	machine: "recipes/machines/laptop.yaml",
	gate: "recipes/gates/perception.yaml",
	waivers: "recipes/gates/waivers.yaml",
} satisfies Partial<Record<keyof typeof fileKinds, string>>;

/** The shortest good file of each kind: a million are read. */
const SHORT: Record<keyof typeof fileKinds, string> = {
	experiment: "model: line\nrecipe: mini\ndata: mini\nmachine: here\ngates: gate\nwhy: a test\n",
	model: "description: d\ntrain: { epochs: 1 }\n",
	data: "description: d\nlocation: data/x\ncategories: { detection: [car], segmentation: [road] }\n",
	slices: "slices:\n  - { name: night, where: { timeofday: night } }\n",
	machine:
		"description: d\nexecutor: local\nprocesses: 1\nthreads: 1\nprice_usd_per_hour: 0\nmax_minutes: 9\ngrace_seconds: 1\n",
	gate: "description: d\nrules:\n  - { metric: map, min: 0.1, reason: r }\n",
	line: "gates: [gate]\n",
	waivers: "waivers:\n  - { check: { metric: map }, model: line, who: mia, until: 2026-12-01, reason: r }\n",
};

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "fuzz-"));
	await cp(path.join(root, "recipes"), path.join(folder, "recipes"), { recursive: true });
	await mkdir(path.join(folder, "experiments"));
	await cp(path.join(root, FILES.experiment), path.join(folder, FILES.experiment));
});
afterAll(() => rm(folder, { recursive: true }));

function expectTold(problems: readonly Problem[]): void {
	for (const { line, column, message } of problems)
		if (!(line >= 1 && column >= 1 && Number.isInteger(line + column) && message.length > 0))
			throw new Error(`A problem without a place or a word: ${JSON.stringify({ line, column, message })}`);
}

/** Whether a value is made of plain objects, lists and scalars, none of which has a poisoned name of its own. */
function isPlain(value: unknown): boolean {
	if (Array.isArray(value)) return value.every(isPlain);
	if (value === null || typeof value !== "object")
		return ["string", "number", "boolean", "object"].includes(typeof value);
	if (Object.getPrototypeOf(value) !== Object.prototype) return false;
	return Object.entries(value).every(([name, inner]) => name !== "__proto__" && isPlain(inner));
}

// Most of what is drawn is refused, and a stack for each would be most of the time.
Error.stackTraceLimit = 2;

const kinds = Object.keys(SHORT) as (keyof typeof SHORT)[];
/** A million in all in the soak, ten thousand in every run. */
const EACH = count(10_000, 1_000_000) / kinds.length;

test.each(kinds)("any text as a file of the kind %s", { timeout: 3_600_000 }, async (name) => {
	const kind: FileKind = fileKinds[name];
	let valid = 0;
	const property = fc.asyncProperty(texts([SHORT[name]]), async (text) => {
		const problems: Problem[] = [];
		const { value } = await parseFile("x.yaml", text, kind, problems);
		expectTold(problems);
		if (problems.length > 0) return;
		valid += 1;
		if (!isPlain(value)) throw new Error("A value that isn't plain was taken.");
	});
	await fc.assert(property, parameters(Math.ceil(EACH)));
	// What finds nothing valid has only met the first line of defence; these two are too long to be left whole by a slip.
	if (name !== "model" && name !== "machine") expect(valid).toBeGreaterThan(0);
});

describe("the whole reader", () => {
	/** Every file of the folder with its size and the time of its last change. */
	async function listing(): Promise<string[]> {
		const entries = await readdir(folder, { recursive: true });
		return Promise.all(
			entries.sort().map(async (entry) => {
				const { size, mtimeNs } = await stat(path.join(folder, entry), { bigint: true });
				return `${entry} ${size} ${mtimeNs}`;
			}),
		);
	}

	test.each(Object.entries(FILES))("of an experiment with any text as its %s writes nothing", async (kind, file) => {
		const original = await readFile(path.join(root, file), "utf8");
		const property = fc.asyncProperty(texts([original]), async (text) => {
			await writeFile(path.join(folder, file), text);
			const before = await listing();
			try {
				await loadExperiment(FILES.experiment, { root: folder });
			} catch (error) {
				if (!(error instanceof InvalidFile || error instanceof InvalidInput)) throw error;
				if (error instanceof InvalidFile) expectTold(error.problems);
			}
			expect(await listing(), kind).toEqual(before);
		});
		await fc.assert(property, parameters(count(60, 500)));
		await writeFile(path.join(folder, file), original);
	});
});
