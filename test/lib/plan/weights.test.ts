// The weights that an experiment starts from
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { documentText, sha256 } from "../../../actions/lib/documents.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { loadExperiment } from "../../../actions/lib/experiment/experiment.ts";
import type { Plan } from "../../../actions/lib/generated/documents.d.ts";
import { entryData } from "../../../actions/lib/plan/changes.ts";
import { identify } from "../../../actions/lib/plan/identity.ts";
import { planExperiment } from "../../../actions/lib/plan/plan_files.ts";
import type { Version } from "../../../actions/lib/plan/registry.ts";
import { modelKey, type Store } from "../../../actions/lib/plan/store.ts";
import { describeTransfer, findWeights } from "../../../actions/lib/plan/weights.ts";
import { openProject, type Project } from "../../../actions/lib/project.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";
import { makePlan } from "../../fixtures/plan.ts";
import { experiment, files, makeProject } from "../../system/project.ts";

const miniature = (more: string) => experiment({ more });
const repository = path.resolve(import.meta.dirname, "../../..");
const line = "perception-hydranet";
let root: string;
let store: Store;

/** A model's folder with random weights of the fixture's network, as the trainer would have left it. */
async function makeModel(place: string, run: Plan["run"], seed = 7): Promise<string> {
	await mkdir(place, { recursive: true });
	const document = path.join(place, "run.json");
	await writeFile(document, documentText(run));
	const script = `
import sys
from pathlib import Path
from safetensors.torch import save_file
from proving_ground.config import read_run
from proving_ground.files import digest, write_manifest
from proving_ground.model.network import build_network
place = Path(sys.argv[1])
run = read_run(place / "run.json", "train")
network = build_network(run.architecture, len(run.data.detection), len(run.data.segmentation), int(sys.argv[2]))
save_file(network.state_dict(), place / "weights.safetensors")
write_manifest(place, run.id)
print(digest(place / "manifest.json"))`;
	const { stdout } = await promisify(execFile)(
		path.join(repository, ".venv/bin/python"),
		["-c", script, place, String(seed)],
		{ env: { PYTHONPATH: path.join(repository, "trainer"), OMP_NUM_THREADS: "1" } },
	);
	return stdout.trim();
}

beforeAll(async () => {
	root = await mkdtemp(path.join(tmpdir(), "weights-test-"));
	for (const place of ["recipes", "experiments"])
		await cp(path.join(repository, place), path.join(root, place), { recursive: true });
	store = folder(path.join(root, "store"));
});
afterAll(() => rm(root, { recursive: true }));

async function resolve(weights: string) {
	const text = `model: ${line}\nrecipe: hydranet-small\ndata: scenes\nmachine: laptop\ngates: perception\nwhy: a test\nweights:\n${weights}`;
	await writeFile(path.join(root, "experiments/mine.yaml"), text);
	return loadExperiment("experiments/mine.yaml", { root });
}

async function find(weights: string, history: Parameters<typeof findWeights>[1] = { versions: [], approvals: [] }) {
	return findWeights(await resolve(weights), history, { store, root });
}

async function messagesOf(promise: Promise<unknown>): Promise<string[]> {
	const error: unknown = await promise.then(
		() => null,
		(reason: unknown) => reason,
	);
	if (!(error instanceof InvalidFile)) throw new Error(`no InvalidFile: ${error}`);
	return error.problems.map((problem) => `${problem.file}:${problem.line} ${problem.message}`);
}

const manifest = (digit: string) => `sha256:${digit.repeat(64)}`;
const version = (number: number): Version =>
	({ entry: { version: number, manifest: manifest(String(number)) }, location: `/registry/v${number}` }) as Version;
const approval = (number: number) => ({
	version: number,
	replaced: null,
	manifest: manifest(String(number)),
	verdict: "",
	approved_by: "ann",
	approved_at: "",
});
const history = { versions: [version(1), version(2), version(3)], approvals: [approval(1), approval(2)] };

describe("are found", () => {
	test("by a version's number", async () => {
		expect(await find("  version: 3\n", history)).toEqual({
			location: "/registry/v3",
			from: "version 3",
			manifest: manifest("3"),
			file: "weights.safetensors",
			rename: {},
			leave: [],
		});
	});

	test("as what is production now", async () => {
		const more = "  production: true\n  rename: { encoder: backbone }\n  leave: [heads.lanes]\n";
		expect(await find(more, history)).toMatchObject({
			location: "/registry/v2",
			from: "production (version 2)",
			manifest: manifest("2"),
			rename: { encoder: "backbone" },
			leave: ["heads.lanes"],
		});
	});

	test("by a run that has finished", async () => {
		await store.put(`${modelKey(line, "earlier-0123456789abcdef")}/manifest.json`, "{}");
		expect(await find("  run: earlier-0123456789abcdef\n")).toMatchObject({
			location: store.locate(modelKey(line, "earlier-0123456789abcdef")),
			from: "run earlier-0123456789abcdef",
			manifest: sha256("{}"),
		});
	});

	test.each([
		["a folder with a manifest", "models/pretrained", "manifest.json", "weights.safetensors"],
		["a single file", "models/single.safetensors", "", "single.safetensors"],
	])("at a place with its digest: %s", async (_, uri, digested, file) => {
		const place = path.join(root, uri, digested);
		await mkdir(path.dirname(place), { recursive: true });
		await writeFile(place, "the bytes");
		const found = await find(`  uri: ${uri}\n  sha256: ${sha256("the bytes")}\n`);
		expect(found).toMatchObject({ from: uri, manifest: sha256("the bytes"), file });
		const absolute = await find(`  uri: file://${path.join(root, uri)}\n  sha256: ${sha256("the bytes")}\n`);
		expect(absolute).toMatchObject({ manifest: sha256("the bytes"), location: found!.location });
	});
});

test.each([
	["a version that isn't there", "  version: 9\n", "8 perception-hydranet has no version 9; its versions: 1, 2, 3"],
	[
		"a run that isn't there",
		"  run: nobody-0123456789abcdef\n",
		"8 perception-hydranet has no finished run nobody-0123456789abcdef; its runs: earlier-0123456789abcdef. Did you mean earlier-0123456789abcdef?",
	],
	[
		"a place that isn't there",
		`  uri: models/none\n  sha256: ${manifest("0")}\n`,
		"8 weights.uri: found models/none; nothing is there",
	],
	[
		"a place elsewhere",
		`  uri: https://example.com/weights\n  sha256: ${manifest("0")}\n`,
		"8 weights.uri: found https://example.com/weights; allowed: a path from the repository's root, or a file:// URI",
	],
	[
		"other bytes",
		`  uri: models/single.safetensors\n  sha256: ${manifest("0")}\n`,
		`9 weights.sha256: found ${manifest("0")}; single.safetensors has another digest`,
	],
])("are refused on the author's line: %s", async (_, weights, message) => {
	expect(await messagesOf(find(weights, history))).toEqual([`experiments/mine.yaml:${message}`]);
});

test("are refused where there is no production model", async () => {
	expect(await messagesOf(find("  production: true\n"))).toEqual([
		"experiments/mine.yaml:8 perception-hydranet has no production model yet",
	]);
});

test.each([
	["none of the four", "  leave: [neck]\n"],
	["two of the four", "  version: 1\n  production: true\n"],
	["a place without its digest", "  uri: models/pretrained\n"],
])("are refused where the file names %s", async (_, weights) => {
	expect(await messagesOf(resolve(weights))).toHaveLength(1);
});

describe("are compared with the network before anything starts", () => {
	let place: string;
	let named: string;
	let run: Plan["run"];
	beforeAll(async () => {
		place = path.join(root, "model");
		run = makePlan().run;
		named = await makeModel(place, run);
	});
	beforeEach(async () => {
		run = makePlan().run;
	});
	const trainer = { python: path.join(repository, ".venv/bin/python"), folder: path.join(repository, "trainer") };
	const starting = (more: Partial<NonNullable<Plan["run"]["weights"]>> = {}) =>
		identify({ ...run, weights: { manifest: named, file: "weights.safetensors", rename: {}, leave: [], ...more } });

	test("and the plan says what will be loaded", async () => {
		const found = await describeTransfer(trainer, starting(), place, await resolve("  version: 1\n"));
		expect(found.loaded.length).toBeGreaterThan(50);
		expect([found.left, found.fresh, found.renamed]).toEqual([[], [], []]);
	});

	test("and a head of another shape is refused, or left where the file says so", async () => {
		run = { ...run, data: { ...run.data, categories: { ...run.data.categories, detection: ["a", "b", "c"] } } };
		const resolved = await resolve("  version: 1\n");
		const messages = await messagesOf(describeTransfer(trainer, starting(), place, resolved));
		expect(messages[0]).toBe(
			"experiments/mine.yaml:7 heads.detection.1.bias can't be loaded ([6] there, [7] here); add heads.detection to weights.leave to leave it out",
		);
		const left = await describeTransfer(trainer, starting({ leave: ["heads.detection"] }), place, resolved);
		expect(left.left.map(([name]) => name)).toContain("heads.detection.1.bias");
		expect(left.fresh).toContain("heads.detection.1.bias");
	});

	test("and a prefix that names nothing is refused on its own line", async () => {
		const resolved = await resolve("  version: 1\n  rename:\n    encoder: backbone\n  leave: [heads.depth]\n");
		const { rename, leave } = resolved.experiment.value.weights!;
		const asked = starting({ rename: rename!, leave: leave! });
		expect(await messagesOf(describeTransfer(trainer, asked, place, resolved))).toEqual([
			"experiments/mine.yaml:10 weights.rename: no stored tensor begins with encoder",
			"experiments/mine.yaml:11 weights.leave: no tensor begins with heads.depth",
		]);
	});
});

describe("and older data are planned", () => {
	let place: string;
	let project: Project;
	let approved: number[];
	const models: Version[] = [];

	beforeAll(async () => {
		const recipe = files["recipes/data/mini.yaml"]!.replace("data/mini", "data/old").replace("seed: 3", "seed: 4");
		place = await makeProject({
			"recipes/data/old.yaml": recipe,
			"recipes/data/blind.yaml": recipe.replace("[vehicle, pedestrian, rider]", "[pedestrian, vehicle, rider]"),
			"experiments/warm.yaml": miniature("weights: { production: true }\nreplay: { data: old, share: 0.25 }\n"),
			"experiments/same.yaml": miniature("replay: { data: mini, share: 0.25 }\n"),
			"experiments/blind.yaml": miniature("replay: { data: blind, share: 0.25 }\n"),
		});
		const opened = await openProject(place);
		const history = async () => ({ versions: models, approvals: approved.map(approval) });
		project = { ...opened, registry: { ...opened.registry, history, verify: async () => {} } };
		approved = [];
		const scratch = await planExperiment(project, "experiments/first.yaml");
		for (const number of [1, 2]) {
			const location = path.join(place, `models/${number}`);
			const manifest = await makeModel(location, scratch.run, number);
			const { id, seed, processes, architecture, train, code } = scratch.run;
			const data = entryData(scratch.run, scratch.data.splits, scratch.data);
			const figures = { seconds: 1, frames_trained: 1 };
			const entry = {
				version: number,
				run: id,
				manifest,
				data,
				seed,
				processes,
				architecture,
				train,
				code,
				...figures,
			};
			models.push({ entry, location } as unknown as Version);
		}
	});
	afterAll(() => rm(place, { recursive: true }));

	test("by what they are, wherever they lie; production is what it is at that time", async () => {
		approved = [1];
		const first = await planExperiment(project, "experiments/warm.yaml");
		expect(first.weights).toMatchObject({ from: "production (version 1)", manifest: models[0]!.entry.manifest });
		expect(first.weights!.transfer!.loaded.length).toBeGreaterThan(50);
		expect(first.run.weights!.manifest).toBe(models[0]!.entry.manifest);
		expect(first.replay).toEqual({ location: path.join(place, ".proving-ground/data/old"), share: 0.25, frames: 24 });
		expect(first.run.replay).toMatchObject({ share: 0.25, data: { name: "old" } });
		expect(first.run.replay!.data.version).not.toBe(first.run.data.version);

		const moved = path.join(place, "models/moved");
		await rename(models[0]!.location, moved);
		models[0] = { ...models[0]!, location: moved };
		const second = await planExperiment(project, "experiments/warm.yaml");
		expect(second.weights!.location).toBe(moved);
		expect(second.run).toEqual(first.run);

		approved = [1, 2];
		const third = await planExperiment(project, "experiments/warm.yaml");
		expect(third.weights).toMatchObject({ from: "production (version 2)", manifest: models[1]!.entry.manifest });
		expect(third.run.id).not.toBe(first.run.id);
	});

	test("and refused where they can't stand in one batch with its own", async () => {
		expect(await messagesOf(planExperiment(project, "experiments/same.yaml"))).toEqual([
			"experiments/same.yaml:7 replay.data: found mini, which the experiment already trains on; choose other data",
		]);
		expect(await messagesOf(planExperiment(project, "experiments/blind.yaml"))).toEqual([
			"experiments/blind.yaml:7 replay.data: recipes/data/blind.yaml must have the same categories as recipes/data/mini.yaml",
		]);
	});
});
