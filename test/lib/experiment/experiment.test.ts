// An experiment file
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { loadExperiment } from "../../../actions/lib/experiment/experiment.ts";
import { namesIn, strayExperiments } from "../../../actions/lib/experiment/files.ts";
import { allWarningsOf, warningsOf } from "../../../actions/lib/experiment/resolved.ts";
import { accepted } from "../../contract/refused.ts";

const repository = path.resolve(import.meta.dirname, "../../..");
let root: string;

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "experiment-"));
	await cp(path.join(repository, "recipes"), path.join(root, "recipes"), { recursive: true });
	await mkdir(path.join(root, "experiments"));
	await writeFile(path.join(root, "experiments/mine.yaml"), accepted);
});
afterEach(() => rm(root, { recursive: true }));

async function problems(promise: Promise<unknown>): Promise<string> {
	const error = await promise.catch((reason: unknown) => reason);
	expect(error).toBeInstanceOf(InvalidFile);
	return (error as InvalidFile).message;
}

test.each(await namesIn(path.join(repository, "experiments")))("of this repository is valid: %s", async (name) => {
	expect((await loadExperiment(`experiments/${name}.yaml`, { root: repository })).name).toBe(name);
});

test("lays its own settings over its recipe's, key by key", async () => {
	await writeFile(path.join(root, "experiments/mine.yaml"), `${accepted}  loss: { detection: { gamma: 3 } }\n`);
	const { train, model } = await loadExperiment("experiments/mine.yaml", { root });
	expect(train).toEqual({
		...model.value.train,
		epochs: 8,
		learning_rate: 0.002,
		loss: { ...model.value.train.loss, detection: { ...model.value.train.loss.detection, gamma: 3 } },
	});
});

test("has the gates and machines of the base branch, whatever its own branch says", async () => {
	const base = await mkdtemp(path.join(tmpdir(), "base-"));
	await cp(path.join(repository, "recipes"), path.join(base, "recipes"), { recursive: true });
	await writeFile(
		path.join(root, "recipes/gates/perception.yaml"),
		"description: lenient\nrules:\n  - { metric: map, min: 0, reason: anything goes }\n",
	);
	await writeFile(
		path.join(root, "recipes/machines/laptop.yaml"),
		"description: free\nexecutor: local\nprocesses: 1\nthreads: 1\nprice_usd_per_hour: 0\nmax_minutes: 9999\ngrace_seconds: 1\n",
	);
	const resolved = await loadExperiment("experiments/mine.yaml", { root, base });
	await rm(base, { recursive: true });
	expect(resolved.policy.rules.length).toBeGreaterThan(1);
	expect(resolved.machine.value.max_minutes).toBe(60);
});

test("is told the problems of its recipes too, all at once, each on its own line", async () => {
	await writeFile(
		path.join(root, "recipes/machines/laptop.yaml"),
		"description: d\nexecutor: locl\nprocesses: 0\nthreads: 1\nprice_usd_per_hour: -1\nmax_minutes: 1\ngrace_seconds: 1\n",
	);
	await writeFile(path.join(root, "experiments/mine.yaml"), accepted.replace("hydranet-small", "hydranet-huge"));
	expect(await problems(loadExperiment("experiments/mine.yaml", { root }))).toMatchInlineSnapshot(`
		"experiments/mine.yaml:2:9 recipes/models/hydranet-huge.yaml doesn't exist; available: hydranet-small, hydranet-tiny. Did you mean hydranet-tiny?
		recipes/machines/laptop.yaml:2:11 executor: found "locl"; allowed: local. Did you mean local?
		recipes/machines/laptop.yaml:3:12 processes: found 0; it must be >= 1
		recipes/machines/laptop.yaml:5:21 price_usd_per_hour: found -1; it must be >= 0"
	`);
});

test("has a name of its own that a job can bear", async () => {
	await writeFile(path.join(root, "experiments/My Experiment.yaml"), accepted);
	expect(await problems(loadExperiment("experiments/My Experiment.yaml", { root }))).toContain(
		'the file\'s name is the name of the experiment: found "My Experiment"',
	);
});

test("that isn't there is an input that can't be taken, with the one that was meant", async () => {
	await writeFile(path.join(root, "experiments/more-night.yaml"), accepted);
	const refusal = (file: string) => loadExperiment(file, { root }).catch((error: Error) => error.message);
	expect(await refusal("experiments/unheard-of.yaml")).toBe(
		"experiments/unheard-of.yaml: the file can't be read (ENOENT).",
	);
	for (const file of ["more-night", "more-night.yaml", "experiments/more-night", "experiments/more-nigth.yaml"])
		expect(await refusal(file)).toBe(
			`${file}: the file can't be read (ENOENT). Did you mean experiments/more-night.yaml?`,
		);
	expect(await refusal("experiments")).toBe("experiments: this is a folder.");
});

describe("is known by its place", () => {
	test.each([
		["experiments/second.yml", "an experiment's file ends in .yaml; rename it to second.yaml"],
		["experiments/second.YAML", "an experiment's file ends in .yaml; rename it to second.yaml"],
		["experiments/second.yaml.txt", "an experiment's file ends in .yaml; rename it to second.yaml"],
		[
			"experiments/sub/second.yaml",
			"only the files of experiments/ itself are experiments; move it to experiments/second.yaml",
		],
		[
			"experiments/a/b/second.yml",
			"only the files of experiments/ itself are experiments; move it to experiments/second.yaml",
		],
	])("and refused as %s, which no workflow reads", async (file, message) => {
		await mkdir(path.dirname(path.join(root, file)), { recursive: true });
		await writeFile(path.join(root, file), accepted);
		expect(await problems(loadExperiment(file, { root }))).toBe(`${file}:1:1 ${message}`);
		expect(await strayExperiments(root)).toEqual([{ file, line: 1, column: 1, message }]);
	});

	test("beside files that nobody takes for one", async () => {
		for (const name of ["README.md", "experiment.schema.json", ".mine.yaml.swp", "mine.yaml~", "mine.yaml.orig"])
			await writeFile(path.join(root, "experiments", name), "");
		expect(await strayExperiments(root)).toEqual([]);
		await rm(path.join(root, "experiments"), { recursive: true });
		expect(await strayExperiments(root)).toEqual([]);
	});
});

test("hands on what its author may want to mend, of its own files alone", async () => {
	await writeFile(path.join(root, "experiments/mine.yaml"), accepted.replace(/why: .*/, "why: see #42"));
	const recipe = path.join(root, "recipes/data/scenes.yaml");
	await writeFile(recipe, (await readFile(recipe, "utf8")).replace(/description: .*/, "description: the bug of #7"));
	const machine = path.join(root, "recipes/machines/laptop.yaml");
	await writeFile(machine, (await readFile(machine, "utf8")).replace(/description: .*/, "description: desk #3"));
	const warnings = warningsOf(await loadExperiment("experiments/mine.yaml", { root }));
	expect(warnings.map(({ file, message }) => `${file} ${message.split(":")[0]}`)).toEqual([
		"experiments/mine.yaml why",
		"recipes/data/scenes.yaml description",
	]);
	const all = allWarningsOf(await loadExperiment("experiments/mine.yaml", { root }));
	expect(all.at(-1)?.file).toBe("recipes/machines/laptop.yaml");
});

test("is told of a recipe whose file ends otherwise", async () => {
	await rename(
		path.join(root, "recipes/models/hydranet-small.yaml"),
		path.join(root, "recipes/models/hydranet-small.yml"),
	);
	expect(await problems(loadExperiment("experiments/mine.yaml", { root }))).toContain(
		"recipes/models/hydranet-small.yaml doesn't exist, but hydranet-small.yml does: rename it to hydranet-small.yaml",
	);
});
