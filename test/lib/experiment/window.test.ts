// A window of days
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { costSection } from "../../../actions/lib/comment/progress_section.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { planExperiment } from "../../../actions/lib/plan/plan_files.ts";
import { openProject } from "../../../actions/lib/project.ts";
import { addDays, dayOf } from "../../../actions/lib/text/days.ts";
import cases from "../../captured.json" with { type: "json" };
import { boxesAlone, experiment, makeProject } from "../../system/project.ts";

const recipe = `description: A few frames with days
location: data/dated
categories: { detection: [car], segmentation: [] }
`;
const box = { category: "car", box: [1, 1, 20, 40] };
const frame = (name: string, captured?: unknown, boxes = 1) =>
	`${JSON.stringify({ "source-ref": `${name}.jpg`, width: 96, height: 64, captured, detection: Array(boxes).fill(box) })}\n`;

let root: string;

async function write(file: string, text: string): Promise<void> {
	await mkdir(path.dirname(path.join(root, file)), { recursive: true });
	await writeFile(path.join(root, file), text);
}

beforeEach(async () => {
	root = await makeProject({
		"recipes/data/dated.yaml": recipe,
		...boxesAlone(8),
		".proving-ground/data/dated/slices.yaml": "slices: []\n",
		".proving-ground/data/dated/golden_train.manifest":
			frame("a", "2026-10-31T23:30:00-02:00", 3) + frame("b", "2026-11-28", 2) + frame("c", "2026-11-29") + frame("d"),
		".proving-ground/data/dated/golden_val.manifest": frame("v", "2020-01-01"),
		".proving-ground/data/dated/golden_test.manifest": frame("t"),
	});
	for (const name of "abcdvt") await write(`.proving-ground/data/dated/${name}.jpg`, name);
});
afterEach(() => rm(root, { recursive: true }));

async function plan(more: string) {
	await write("experiments/mine.yaml", experiment({ data: "dated", more }));
	return planExperiment(await openProject(root), "experiments/mine.yaml");
}

async function refusal(more: string): Promise<string> {
	const error = await plan(more).catch((reason: unknown) => reason);
	if (!(error instanceof InvalidFile)) throw new Error(`no InvalidFile: ${error}`);
	return error.message;
}

const NOVEMBER = "window: { from: 2026-11-01, to: 2026-11-28 }\n";

describe("in a plan", () => {
	test("counts the training frames of its days, both ends inside, and leaves the others whole", async () => {
		const { data, run } = await plan(NOVEMBER);
		expect(data.splits.train).toMatchObject({ frames: 2, objects: { car: 5 } });
		expect([data.splits.val.frames, data.splits.test.frames]).toEqual([1, 1]);
		expect(run.window).toEqual({ from: "2026-11-01", to: "2026-11-28" });
	});

	test("is part of the run, whose data stay the same, and absent where there is none", async () => {
		const without = await plan("");
		expect(without.run).not.toHaveProperty("window");
		const runs = [without, await plan(NOVEMBER), await plan(NOVEMBER.replace("11-28", "11-29"))].map(({ run }) => run);
		expect(new Set(runs.map(({ id }) => id)).size).toBe(3);
		expect(new Set(runs.map(({ data }) => JSON.stringify(data))).size).toBe(1);
	});

	test("is told where the frames are counted", async () => {
		expect(costSection(await plan(NOVEMBER))).toContain("2 training frames captured from 2026-11-01 to 2026-11-28,");
		expect(costSection(await plan(""))).toContain("4 training frames,");
	});
});

describe("is refused on its own line", () => {
	test("where no frame of it is there", async () => {
		expect(await refusal("window: { from: 2026-11-02, to: 2026-11-27 }\n")).toBe(
			"experiments/mine.yaml:7:1 window: the training manifest of recipes/data/dated.yaml has no frame from 2026-11-02 to 2026-11-27: its 3 frames with `captured` are from 2026-11-01 to 2026-11-29",
		);
	});

	test("where no frame says when it was captured", async () => {
		await write(".proving-ground/data/dated/golden_train.manifest", frame("a") + frame("b"));
		expect(await refusal(NOVEMBER)).toBe(
			"experiments/mine.yaml:7:1 window: the training manifest of recipes/data/dated.yaml has no frame from 2026-11-01 to 2026-11-28: no frame has `captured`, the day it was taken",
		);
	});

	test("where its frames have no labels", async () => {
		await write(
			".proving-ground/data/dated/golden_train.manifest",
			frame("a", "2026-11-01", 0).replace('"detection":[]', '"lanes":[]') + frame("b"),
		);
		expect(await refusal(NOVEMBER)).toMatch(/no frame in golden_train.manifest .* has labels for it/);
	});
});

describe("of frames", () => {
	test.each(cases as [unknown, string | null][])(
		"takes %j for the day %j, as the trainer does",
		async (captured, day) => {
			expect(dayOf(captured)).toBe(day);
		},
	);

	test("refuses what is neither a day nor a time, on its line of the manifest", async () => {
		await write(".proving-ground/data/dated/golden_val.manifest", frame("v", "2026-11-01") + frame("v", "yesterday"));
		const message = (await refusal("")).replace(root, "");
		expect(message).toBe(
			'/.proving-ground/data/dated/golden_val.manifest:2:1 captured: found "yesterday"; it must be a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z',
		);
	});

	test("counts days over months, years and leap days", () => {
		expect(addDays("2028-03-01", -1)).toBe("2028-02-29");
		expect(addDays("2026-12-31", 1)).toBe("2027-01-01");
	});
});
