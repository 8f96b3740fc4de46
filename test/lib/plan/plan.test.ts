// A plan
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readDataset } from "../../../actions/lib/data/dataset.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { loadExperiment } from "../../../actions/lib/experiment/experiment.ts";
import type { Entry } from "../../../actions/lib/generated/documents.d.ts";
import { entryData } from "../../../actions/lib/plan/changes.ts";
import { approvalOf, shortApproval } from "../../../actions/lib/plan/identity.ts";
import { planRun } from "../../../actions/lib/plan/plan.ts";
import type { Approval, Version } from "../../../actions/lib/plan/registry.ts";
import { makePlan } from "../../fixtures/plan.ts";

const repository = path.resolve(import.meta.dirname, "../../..");
const code = `sha256:${"c".repeat(64)}`;
let root: string;

const experiment = `model: perception-hydranet
recipe: hydranet-small
data: mini
machine: laptop
gates: perception
why: a test
`;
const recipe = `description: Three frames
location: data/mini
categories: { detection: [vehicle, pedestrian, rider], segmentation: [road] }
`;
const slices =
	"slices:\n  - { name: night, where: { timeofday: night } }\n  - { name: night-pedestrian, where: { timeofday: night }, category: pedestrian }\n";
const frame = (name: string, timeofday = "day", labels: object = {}) =>
	JSON.stringify({
		"source-ref": `images/${name}.jpg`,
		width: 192,
		height: 112,
		attributes: { timeofday },
		detection: [{ category: "pedestrian", box: [1, 1, 20, 40], crowd: false }],
		"segmentation-ref": `images/${name}.png`,
		lanes: [],
		...labels,
	});

async function write(file: string, text: string): Promise<void> {
	await mkdir(path.dirname(path.join(root, file)), { recursive: true });
	await writeFile(path.join(root, file), text);
}

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "plan-"));
	await cp(path.join(repository, "recipes"), path.join(root, "recipes"), { recursive: true });
	await write("experiments/mine.yaml", experiment);
	await write("recipes/data/mini.yaml", recipe);
	await write("data/mini/slices.yaml", slices);
	for (const [split, time] of [
		["train", "day"],
		["val", "day"],
		["test", "night"],
	] as const) {
		await write(`data/mini/golden_${split}.manifest`, `${frame(split, time)}\n`);
		await write(`data/mini/images/${split}.jpg`, `pixels of ${split}`);
		await write(`data/mini/images/${split}.png`, `mask of ${split}`);
	}
});
afterEach(() => rm(root, { recursive: true }));

type History = { versions: Version[]; approvals: Approval[] };

async function plan(history: History = { versions: [], approvals: [] }, name = "mine") {
	const resolved = await loadExperiment(`experiments/${name}.yaml`, { root, state: root });
	const dataset = await readDataset("mini", resolved.data.value, path.join(root, "data/mini"));
	return planRun({ resolved, dataset, start: null, replay: null, tracking: {}, code, image: null, history });
}

async function messagesOf(promise: Promise<unknown>): Promise<string[]> {
	const error = await promise.then(
		() => null,
		(reason: unknown) => reason,
	);
	if (!(error instanceof InvalidFile)) throw new Error(`no InvalidFile: ${error}`);
	return error.problems.map((problem) => `${problem.file.replace(root, "")}:${problem.line} ${problem.message}`);
}

function versionOf(planned: Awaited<ReturnType<typeof plan>>, version: number, changes: Partial<Entry> = {}): Version {
	const { run } = planned;
	const entry = {
		schema: 1,
		model: run.model,
		version,
		experiment: "other",
		run: "other-0000000000000000",
		manifest: `sha256:${"a".repeat(64)}`,
		architecture: run.architecture,
		train: run.train,
		data: entryData(run, planned.data.splits, planned.data),
		code: run.code,
		seed: run.seed,
		processes: run.processes,
		seconds: 60,
		frames_trained: run.train.epochs,
		...changes,
	} as Entry;
	return { entry, location: `/registry/v${version}` };
}
const approve = (version: number, replaced: number | null) => ({ version, replaced }) as Approval;

describe("names a run", () => {
	test("the same from the same inputs, wherever they lie", async () => {
		const first = await plan();
		const elsewhere = await mkdtemp(path.join(tmpdir(), "elsewhere-"));
		await cp(root, elsewhere, { recursive: true });
		const before = root;
		root = elsewhere;
		const second = await plan();
		root = before;
		await rm(elsewhere, { recursive: true });
		expect(second.run).toEqual(first.run);
		expect(first.run.id).toMatch(/^mine-[0-9a-f]{16}$/);
	});

	test("otherwise when anything that decides the outcome differs, and not when the words do", async () => {
		const id = (await plan()).run.id;
		await write("experiments/mine.yaml", experiment.replace("a test", "other words"));
		expect((await plan()).run.id).toBe(id);
		const ids = new Set([id]);
		for (const more of ["seed: 7\n", "train: { epochs: 3 }\n", "train: { loss: { detection: { gamma: 2.5 } } }\n"]) {
			await write("experiments/mine.yaml", experiment + more);
			ids.add((await plan()).run.id);
		}
		await write("experiments/mine.yaml", experiment);
		await write("data/mini/images/train.jpg", "other pixels");
		ids.add((await plan()).run.id);
		expect(ids.size).toBe(5);
	});

	test("and with another seed the same training in all but that and its id, whatever the experiment's file is called", async () => {
		const { run, changes: _, ...rest } = await plan();
		await write("experiments/mine.yaml", `${experiment}seed: 7\n`);
		const { run: other, changes: __, ...others } = await plan();
		expect(other).toEqual({ ...run, seed: 7, id: other.id });
		expect(other.id).not.toBe(run.id);
		expect(others).toEqual(rest);
		await write("experiments/copy.yaml", `${experiment}seed: 7\n`);
		const copied = (await plan(undefined, "copy")).run;
		expect(copied).toEqual({ ...other, experiment: "copy", id: copied.id });
	});

	test("apart from the production model it is compared with", async () => {
		const alone = await plan();
		const compared = await plan({ versions: [versionOf(alone, 1)], approvals: [approve(1, null)] });
		expect(compared.run.id).toBe(alone.run.id);
		expect(compared.baseline?.version).toBe(1);
	});
});

describe("counts the data", () => {
	test("by split, attribute, category and slice", async () => {
		const { data } = await plan();
		expect(data.splits.test).toEqual({
			frames: 1,
			objects: { pedestrian: 1 },
			attributes: { timeofday: { night: 1 } },
		});
		expect(data.slices.map(({ name, frames, objects }) => [name, frames, objects])).toEqual([
			["night", 1, 1],
			["night-pedestrian", 1, 1],
		]);
	});

	test("and takes DVC's pin where there is one", async () => {
		await write("data/mini.dvc", "outs:\n- md5: 3f2a0000000000000000000000000000.dir\n  path: mini\n");
		expect((await plan()).run.data.dvc).toBe("3f2a0000000000000000000000000000.dir");
	});
});

describe("refuses data that can't serve it", () => {
	test("a line that is not JSON, by its number", async () => {
		await write("data/mini/golden_val.manifest", `${frame("val")}\n{"source-ref": \n`);
		expect(await messagesOf(plan())).toEqual([expect.stringMatching(/golden_val\.manifest:2 not JSON/)]);
	});

	test("a frame outside the dataset", async () => {
		await write("data/mini/golden_val.manifest", `${frame("../../../etc/passwd")}\n`);
		expect((await messagesOf(plan()))[0]).toContain("it must be a path inside the dataset");
	});

	test("a manifest without frames", async () => {
		await write("data/mini/golden_val.manifest", "");
		expect((await messagesOf(plan()))[0]).toContain("the manifest has no frames");
	});

	test("a frame whose file is gone", async () => {
		await rm(path.join(root, "data/mini/images/val.jpg"));
		expect(await messagesOf(plan())).toEqual([
			"/data/mini/golden_val.manifest:1 source-ref: the file images/val.jpg isn't there",
		]);
	});

	test("a head without labels, on the experiment's own line", async () => {
		for (const split of ["train", "test"])
			await write(`data/mini/golden_${split}.manifest`, `${frame(split, "night", { lanes: undefined })}\n`);
		expect(await messagesOf(plan())).toEqual([
			"experiments/mine.yaml:3 recipes/models/hydranet-small.yaml has a lanes head, but no frame in golden_train.manifest and golden_test.manifest of recipes/data/mini.yaml has labels for it",
		]);
	});

	test("a trajectory head on data without tracks, or without their shape", async () => {
		const model = await readFile(path.join(root, "recipes/models/hydranet-small.yaml"), "utf8");
		const heads = model
			.replace("lanes]", "lanes, trajectory]\n  trajectory: { modes: 3, hidden: 32 }")
			.replace(/( +)lanes: \{.*\n/, "$&$1trajectory: { weight: 1, class_weight: 0.5 }\n");
		await write("recipes/models/hydranet-small.yaml", heads);
		expect(await messagesOf(plan())).toContainEqual(
			"experiments/mine.yaml:3 recipes/data/mini.yaml has no tracks, but recipes/models/hydranet-small.yaml has a trajectory head: choose other data, or a recipe without that head",
		);
		await write("recipes/data/mini.yaml", `${recipe}tracks: { past: 4, future: 6, step_seconds: 0.4 }\n`);
		expect(await messagesOf(plan())).toContainEqual(
			"experiments/mine.yaml:3 recipes/models/hydranet-small.yaml has a trajectory head, but no frame in golden_train.manifest and golden_test.manifest of recipes/data/mini.yaml has labels for it",
		);
	});

	test("a gate on a slice or a metric that nothing produces", async () => {
		await write(
			"recipes/gates/perception.yaml",
			"description: d\nrules:\n  - { metric: map, slice: nigth, max_drop: 0.1, reason: r }\n  - { metric: map50, min: 0.1, reason: r }\n  - { metric: miou, slice: night-pedestrian, min: 0.1, reason: r }\n  - { metric: latency_p95_ms, max_drop: 1, reason: r }\n",
		);
		expect(await messagesOf(plan())).toMatchInlineSnapshot(`
			[
			  "recipes/gates/perception.yaml:3 the data has no slice nigth; its slices: *, night, night-pedestrian. Did you mean night?",
			  "recipes/gates/perception.yaml:4 nothing measures map50 here; measured: map, ap50, ar, ece, miou, lane_f1, lane_accuracy, lane_fp, lane_fn, ap/vehicle, ap/pedestrian, ap/rider, ece/vehicle, ece/pedestrian, ece/rider, iou/road, latency_p50_ms, latency_p95_ms. Did you mean ap50?",
			  "recipes/gates/perception.yaml:5 nothing measures miou on the slice night-pedestrian; measured there: ap/pedestrian, ece/pedestrian",
			  "recipes/gates/perception.yaml:6 a latency has no max_drop; use max_regression_percent",
			]
		`);
	});
});

describe("compares with production", () => {
	test("and says which settings and which data differ", async () => {
		const before = await plan();
		await write("experiments/mine.yaml", `${experiment}train: { epochs: 3 }\n`);
		await write("data/mini/golden_train.manifest", `${frame("train")}\n${frame("train", "night")}\n`);
		const after = await plan({ versions: [versionOf(before, 1)], approvals: [approve(1, null)] });
		expect(after.changes).toEqual([
			{ path: "train.epochs", production: before.run.train.epochs, candidate: 3 },
			{ path: "data.version", production: before.run.data.version, candidate: after.run.data.version },
			{ path: "data.splits.train.frames", production: 1, candidate: 2 },
			{ path: "data.splits.train.objects.pedestrian", production: 1, candidate: 2 },
			{ path: "data.splits.train.attributes.timeofday.night", production: null, candidate: 1 },
		]);
	});

	test("and says so where only the pixels or the trainer's code differ", async () => {
		const before = await plan();
		await write("data/mini/images/train.jpg", "other pixels");
		const versions = [versionOf(before, 1, { code: `sha256:${"0".repeat(64)}` })];
		const { changes } = await plan({ versions, approvals: [approve(1, null)] });
		expect(changes.map(({ path }) => path)).toEqual(["data.version", "code"]);
	});

	test("and tells that production's frames were of other days", async () => {
		const window = { from: "2026-10-01", to: "2026-10-28" };
		const versions = [versionOf(await plan(), 1, { window })];
		const { changes } = await plan({ versions, approvals: [approve(1, null)] });
		expect(changes).toEqual([
			{ path: "window.from", production: "2026-10-01", candidate: null },
			{ path: "window.to", production: "2026-10-28", candidate: null },
		]);
	});

	test("and estimates time from what production took for a frame", async () => {
		const before = await plan();
		const { estimate } = await plan({ versions: [versionOf(before, 1)], approvals: [approve(1, null)] });
		expect(estimate).toEqual({
			seconds: 60,
			cost_usd: 0,
			max_cost_usd: 0,
			basis: "time per training frame of version 1",
		});
		expect(before.estimate.seconds).toBeNull();
	});

	test("and meets what it replaced when it was promoted before", async () => {
		const own = await plan();
		const versions = [versionOf(own, 1), versionOf(own, 2, { run: own.run.id }), versionOf(own, 3)];
		const again = await plan({ versions, approvals: [approve(1, null), approve(2, 1), approve(3, 2)] });
		expect(again.promoted).toBe(2);
		expect(again.baseline?.version).toBe(1);
	});
});

describe("is approved by what it spends", () => {
	const planned = makePlan();
	const { run, machine, conditions, estimate } = planned;
	const approval = approvalOf(planned);

	test("in a digest, of which people compare the beginning", () => {
		expect(approval).toMatch(/^sha256:[0-9a-f]{64}$/);
		expect(shortApproval(approval)).toBe(approval.slice(7, 19));
	});

	test.each<[string, Parameters<typeof makePlan>[0]]>([
		["production has moved", { baseline: { ...planned.baseline!, version: 2 }, changes: [] }],
		["there is no production any more", { baseline: null, promoted: null }],
		[
			"its time is estimated from another version",
			{ estimate: { ...estimate, seconds: 90, cost_usd: 1, basis: "v2" } },
		],
		["the policy has other limits", { policy: { ...planned.policy, rules: [] } }],
		["other words say why", { experiment: { ...planned.experiment, why: "other words" } }],
	])("and stays approved where %s", (_, changes) => {
		expect(approvalOf(makePlan(changes))).toBe(approval);
	});

	test.each<[string, Parameters<typeof makePlan>[0]]>([
		["the run", { run: { ...run, id: "more-night-ffffffffffffffff" } }],
		["what the run is made of, under the same id", { run: { ...run, seed: 1 } }],
		["the price", { machine: { ...machine, price_usd_per_hour: 1 } }],
		["the time that it may take", { machine: { ...machine, max_minutes: 61 } }],
		["the cost that stops it", { machine: { ...machine, max_cost_usd: 5 } }],
		["the runner", { machine: { ...machine, runner: ["self-hosted", "gpu"] } }],
		["the number of processes", { machine: { ...machine, processes: 8 } }],
		["the conditions that it runs under", { conditions: { ...conditions, drift: "abort" } }],
		["what it may cost at most", { estimate: { ...estimate, max_cost_usd: 1 } }],
	])("and must be approved anew where %s is another", (_, changes) => {
		expect(approvalOf(makePlan(changes))).not.toBe(approval);
	});
});
