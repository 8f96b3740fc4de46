// What a dataset has against a plan
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { overlapText } from "../../../actions/lib/data/overlap.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { planExperiment } from "../../../actions/lib/plan/plan_files.ts";
import { openProject } from "../../../actions/lib/project.ts";
import { boxesAlone, experiment, makeProject } from "../../system/project.ts";

const recipe = `description: A few frames
location: data/few
categories: { detection: [car, person], segmentation: [] }
`;

let root: string;

/** The line of a frame whose image has its name as content. */
const frame = (name: string, more: object = {}) => {
	const attributes = { time: name.endsWith("n") ? "night" : "day" };
	const detection = [{ category: "car", box: [1, 1, 20, 40] }];
	return `${JSON.stringify({ "source-ref": `${name}.jpg`, width: 96, height: 64, attributes, detection, ...more })}\n`;
};

async function write(file: string, text: string): Promise<void> {
	await mkdir(path.dirname(path.join(root, file)), { recursive: true });
	await writeFile(path.join(root, file), text);
}

async function writeData(
	name: string,
	lines: Partial<Record<"train" | "val" | "test", string>>,
	slices = "slices: []\n",
) {
	const all = {
		train: frame("a") + frame("b") + frame("c"),
		val: frame("v"),
		test: frame("t") + frame("tn"),
		...lines,
	};
	for (const [split, text] of Object.entries(all))
		await write(`.proving-ground/data/${name}/golden_${split}.manifest`, text);
	const images = Object.values(all).flatMap((text) => [...text.matchAll(/"source-ref":"([^"]+)\.jpg"/g)]);
	for (const [, image] of images) await write(`.proving-ground/data/${name}/${image}.jpg`, image!);
	await write(`.proving-ground/data/${name}/slices.yaml`, slices);
}

beforeEach(async () => {
	root = await makeProject({
		"recipes/data/few.yaml": recipe,
		...boxesAlone(2),
	});
	await writeData("few", {});
});
afterEach(() => rm(root, { recursive: true }));

async function plan(more = "") {
	await write("experiments/mine.yaml", experiment({ data: "few", more }));
	return planExperiment(await openProject(root), "experiments/mine.yaml");
}

async function refused(more = ""): Promise<string> {
	const error = await plan(more).catch((reason: unknown) => reason);
	if (!(error instanceof InvalidFile)) throw error;
	return error.message.replaceAll(`${root}/`, "");
}

const warned = async (more = "") =>
	(await plan(more)).warnings?.map(({ file, line, message }) => `${file.replace(`${root}/`, "")}:${line} ${message}`) ??
	[];

describe("that its splits share", () => {
	test("is nothing, which the plan says, and that no drive is named", async () => {
		const { overlap } = (await plan()).data;
		expect(overlapText(overlap!)).toBe(
			"0 frames of test are also in train, 0 frames of val are also in train, 0 frames of test are also in val; no drive is named",
		);
	});

	test("is no frame of the same content, whatever its name and its labels", async () => {
		await writeData("few", { test: frame("t") + frame("other", { attributes: { time: "night" } }), val: frame("t2") });
		await write(".proving-ground/data/few/other.jpg", "a");
		await write(".proving-ground/data/few/t2.jpg", "t");
		expect(await refused()).toMatchInlineSnapshot(`
			"experiments/mine.yaml:3:7 recipes/data/few.yaml: 1 frame of test is also in train (other.jpg): what a model has learnt by heart tells nothing; give each frame one split
			experiments/mine.yaml:3:7 recipes/data/few.yaml: 1 frame of test is also in val (t.jpg): what a model has learnt by heart tells nothing; give each frame one split"
		`);
	});

	test("is no line, where frames have tracks alone", async () => {
		const track = {
			past: [
				[0, 0],
				[1, 0],
			],
			future: [[2, 0]],
		};
		const tracks = (id: string) => `${JSON.stringify({ id, tracks: [track] })}\n`;
		await writeData("few", {
			train: frame("a") + tracks("x"),
			test: frame("t") + tracks("x"),
			val: frame("v") + tracks("y"),
		});
		expect(await refused()).toContain("1 frame of test is also in train (x)");
	});

	test("is no drive, unless the data recipe says why", async () => {
		const [one, two] = [{ sequence: "drive-1" }, { sequence: "drive-2" }];
		await writeData("few", { train: frame("a", one) + frame("b", two), val: frame("v", two), test: frame("t", one) });
		expect(await refused()).toMatchInlineSnapshot(`
			"recipes/data/few.yaml:2:1 1 drive of test is also in train (drive-1): frames of one drive are alike; give each drive one split, or say why not in \`shared_sequences\`
			recipes/data/few.yaml:2:1 1 drive of val is also in train (drive-2): frames of one drive are alike; give each drive one split, or say why not in \`shared_sequences\`"
		`);
		await write("recipes/data/few.yaml", `${recipe}shared_sequences: one long drive is all there is\n`);
		const { overlap } = (await plan()).data;
		expect(overlap?.reason).toBe("one long drive is all there is");
		expect(overlapText(overlap!)).toBe(
			"0 frames and 1 drive of test are also in train, 0 frames and 1 drive of val are also in train, 0 frames and 0 drives of test are also in val",
		);
	});

	test("isn't counted by drives where one of two splits names none", async () => {
		await writeData("few", { train: frame("a", { sequence: "drive-1" }), val: frame("v", { sequence: "drive-2" }) });
		expect(overlapText((await plan()).data.overlap!)).toBe(
			"0 frames of test are also in train, 0 frames and 0 drives of val are also in train, 0 frames of test are also in val; drives aren't counted where a split names none",
		);
	});

	test("is counted of the training frames inside the window alone", async () => {
		const on = (day: number) => ({ captured: `2026-11-0${day}` });
		await writeData("few", { train: frame("a", on(1)) + frame("t", on(2)), test: frame("t", on(2)) });
		expect(await refused()).toContain("1 frame of test is also in train (t.jpg)");
		expect((await plan('window: { from: "2026-11-01", to: "2026-11-01" }\n')).data.overlap?.frames.test_in_train).toBe(
			0,
		);
	});

	test("is told of replayed data too, which are trained on", async () => {
		await write("recipes/data/old.yaml", recipe.replace("data/few", "data/old"));
		await writeData("old", { train: frame("o", { sequence: "drive-9" }) + frame("tn") });
		const replay = "replay: { data: old, share: 0.5 }\n";
		expect(await refused(replay)).toMatchInlineSnapshot(
			`"experiments/mine.yaml:7:17 replay.data: 1 frame of test is also in train (tn.jpg) of recipes/data/old.yaml, and replayed data are trained on"`,
		);
		await writeData("old", { train: frame("o", { sequence: "drive-9" }) });
		await writeData("few", { test: frame("t", { sequence: "drive-8" }) });
		expect((await plan(replay)).data.overlap?.sequences.test_in_train).toBe(0);
	});

	test("is another thing than a frame that stands twice in one of them, which is told", async () => {
		await writeData("few", { train: frame("a") + frame("b") + frame("a") });
		expect(await warned()).toEqual([
			"recipes/data/few.yaml:2 golden_train.manifest: 1 line repeats a frame of the same split (a.jpg)",
		]);
	});
});

describe("in its slices", () => {
	test("is an attribute or a value that no test frame has, on the line of slices.yaml", async () => {
		const slices = `slices:
  - { name: night, where: { time: nigth } }
  - { name: rain, where: { wether: rain } }
  - { name: trucks, where: { time: day }, category: persn }
`;
		await writeData("few", {}, slices);
		expect(await refused()).toMatchInlineSnapshot(`
			".proving-ground/data/few/slices.yaml:4:53 the slice trucks: found the category persn, which the data doesn't have; allowed: car, person. Did you mean person?
			.proving-ground/data/few/slices.yaml:2:29 the slice night: no test frame has time: nigth; they have: day, night. Did you mean night?
			.proving-ground/data/few/slices.yaml:3:28 the slice rain: no test frame has the attribute wether; they have: time"
		`);
	});

	test("is one of several values that no test frame has: that is told, for the others are there", async () => {
		await writeData("few", {}, "slices:\n  - { name: dark, where: { time: [night, dusk] } }\n");
		expect(await warned()).toEqual([
			".proving-ground/data/few/slices.yaml:2 the slice dark: no test frame has time: dusk; they have: day, night",
		]);
		await writeData("few", {}, "slices:\n  - { name: dark, where: { time: [dawn, dusk] } }\n");
		expect(await refused()).toContain("no test frame has time: dawn; they have: day, night");
	});

	test("is told with the first of the values that frames have", async () => {
		const tests = Array.from({ length: 30 }, (_, at) => frame(`t${at}`, { attributes: { at: `place-${at}` } }));
		await writeData("few", { test: tests.join("") }, "slices:\n  - { name: home, where: { at: plaza-29 } }\n");
		expect(await refused()).toMatch(
			/no test frame has at: plaza-29; they have: place-0, .*, place-19 and 10 more\. Did you mean place-29\?$/,
		);
	});

	test("is a protected one without frames; others are told", async () => {
		const rain = (name: string) => frame(name, { attributes: { time: "day", weather: "rain" } });
		const slices = "slices:\n  - { name: wet-night, where: { time: night, weather: rain }, protected: true }\n";
		await writeData("few", { test: frame("tn") + rain("t") }, slices);
		expect(await refused()).toBe(
			".proving-ground/data/few/slices.yaml:2:31 the slice wet-night: it is protected, but no test frame meets all its conditions",
		);
		await writeData(
			"few",
			{ test: frame("tn") + rain("t") },
			`${slices.replace(", protected: true", "")}  - { name: people, where: { time: day }, category: person }\n`,
		);
		expect(await warned()).toMatchInlineSnapshot(`
			[
			  ".proving-ground/data/few/slices.yaml:2 the slice wet-night: no test frame meets all its conditions, so nothing is measured on it",
			  ".proving-ground/data/few/slices.yaml:3 the slice people: its test frames have no person, so nothing is measured on it",
			]
		`);
	});
});

describe("in its settings", () => {
	test("is told where the trainer takes what is hardly meant", async () => {
		expect(await warned("train: { global_batch: 4, warmup_steps: 5000 }\n")).toMatchInlineSnapshot(`
			[
			  "experiments/mine.yaml:7 train.global_batch: found 4, but there are 3 training frames, so each step has some of them more than once",
			  "experiments/mine.yaml:7 train.warmup_steps: found 5000, but the run has 2 steps (2 epochs of 3 frames), so the learning rate never reaches 0.003",
			]
		`);
		expect(await warned("train: { precision: fp16 }\n")).toMatchInlineSnapshot(`
			[
			  "experiments/mine.yaml:7 train.precision: found fp16, but recipes/machines/here.yaml names no GPU, and on a CPU the job ends at once; use fp32, bf16 or auto",
			]
		`);
	});

	test("counts steps as the trainer does: a last, short batch is left out unless it is alone", async () => {
		expect(await warned("train: { warmup_steps: 2 }\n")).toEqual([]);
		expect((await warned("train: { warmup_steps: 3 }\n"))[0]).toContain("the run has 2 steps");
		await writeData("few", { train: frame("a") + frame("b") + frame("c") + frame("d") });
		expect((await warned("train: { warmup_steps: 5 }\n"))[0]).toContain("the run has 4 steps");
	});
});
