// An imported dataset
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Dataset, NotMadeYet, prepareDataset } from "../../../actions/lib/data/dataset.ts";
import type { Data } from "../../../actions/lib/generated/documents.d.ts";
import { openState } from "../../../actions/lib/state.ts";
import { parseYaml } from "../../../actions/lib/text/yaml.ts";
import { findTrainer } from "../../../actions/lib/trainer/trainer.ts";

const python = path.resolve(import.meta.dirname, "../../../.venv/bin/python");
const rows = "0 1 0 0\n10 1 1 0\n20 1 2 0\n30 1 3 0\n";
let root: string;
let said: string[];

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "imported-"));
	said = [];
	await writeFile(path.join(root, "walk.txt"), rows);
});
afterEach(() => rm(root, { recursive: true }));

/** A recipe of one table that is every split; the changes are those of its importer. */
function recipeOf(changes: Record<string, unknown> = {}): Data {
	const files = [path.join(root, "walk.txt")];
	return {
		description: "Tracks",
		location: "data/walk",
		categories: { detection: [], segmentation: [] },
		tracks: { past: 2, future: 1, step_seconds: 0.4 },
		importer: {
			name: "trajectories",
			past: 2,
			future: 1,
			step_seconds: 0.4,
			splits: { train: files, val: files, test: files },
			slices: [{ name: "walk", where: { scene: "walk" } }],
			...changes,
		},
	} as Data;
}

function prepare(recipe: Data, isApproved = true): Promise<Dataset> {
	const home = path.join(root, "home");
	return prepareDataset(
		{ root, home, isApproved, state: openState(root, ".proving-ground"), trainer: findTrainer(python) },
		"walk",
		{ value: recipe, source: parseYaml("recipes/data/walk.yaml", "a: 1") },
		{ onMake: (name, text) => said.push(text ?? `making ${name}`) },
	);
}

const folders = () => readdir(path.join(root, ".proving-ground/data"));

test("is made once, and what was left out is told", async () => {
	await appendFile(path.join(root, "walk.txt"), "500 1 9 9\n");
	const first = await prepare(recipeOf());
	expect(said[0]).toBe("making walk");
	expect(said[1]).toContain("rows 4, frames 2; left out: rows 1 (in no whole track: too few in a row a step apart).");
	expect((await prepare(recipeOf())).run.version).toBe(first.run.version);
	expect(said).toHaveLength(2);
	expect(await folders()).toEqual(["walk"]);
});

test("is another one as soon as a source has changed, beside the old one", async () => {
	const before = await prepare(recipeOf());
	const old = await readFile(path.join(before.location, "golden_test.manifest"), "utf8");
	await writeFile(path.join(root, "walk.txt"), rows.replace("30 1 3 0", "30 1 3 5"));
	const after = await prepare(recipeOf());
	expect(after.run.version).not.toBe(before.run.version);
	expect(after.location).not.toBe(before.location);
	expect(await readFile(path.join(after.location, "golden_test.manifest"), "utf8")).toContain("[3.0,5.0]");
	expect(await readFile(path.join(before.location, "golden_test.manifest"), "utf8")).toBe(old);
	expect((await prepare(recipeOf())).location).toBe(after.location);
	// Where the source is as it was, so is the dataset; and one that is gone has not changed.
	await writeFile(path.join(root, "walk.txt"), rows);
	expect((await prepare(recipeOf())).location).toBe(before.location);
	await rm(path.join(root, "walk.txt"));
	expect((await prepare(recipeOf())).location).toBe(before.location);
	expect(await folders()).toHaveLength(2);
});

test("is refused where it isn't what its sources were when it was made", async () => {
	await prepare(recipeOf());
	await writeFile(path.join(root, "walk.txt"), `${rows}40 1 4 0\n`);
	const { location } = await prepare(recipeOf());
	const file = path.join(location, "importer.json");
	const text = await readFile(file, "utf8");
	await writeFile(file, text.replace(/sha256:\w+/, `sha256:${"0".repeat(64)}`));
	await expect(prepare(recipeOf())).rejects.toThrow(
		`${location}: ${path.join(root, "walk.txt")} changed while the dataset was made from it. Delete the folder`,
	);
	await writeFile(file, "{");
	await expect(prepare(recipeOf())).rejects.toThrow(`${file}: not JSON`);
});

test("is not made anew for a recipe that nobody has approved", async () => {
	await prepare(recipeOf());
	await writeFile(path.join(root, "walk.txt"), `${rows}40 1 4 0\n`);
	await expect(prepare(recipeOf(), false)).rejects.toThrow(NotMadeYet);
	expect(await folders()).toEqual(["walk"]);
});

test("takes another slice without being made again, and leaves the slices that a job reads", async () => {
	const before = await prepare(recipeOf());
	const slices = [
		{ name: "walk", where: { scene: "walk" }, protected: true },
		{ name: "yes", where: { scene: ["no", "0x1F", "a\u2028b\u0085'\""] } },
	];
	await expect(prepare(recipeOf({ slices }), false)).rejects.toThrow(NotMadeYet);
	const after = await prepare(recipeOf({ slices }));
	expect(after.location).toBe(before.location);
	expect(after.slices.map(({ name, frames }) => [name, frames])).toEqual([
		["walk", 2],
		["yes", 0],
	]);
	expect(after.run.slices.file).toMatch(/^slices-[0-9a-f]{16}\.yaml$/);
	expect(after.run.version).not.toBe(before.run.version);
	expect((await prepare(recipeOf())).run).toEqual(before.run);
	expect((await prepare(recipeOf({ slices }), false)).run).toEqual(after.run);
	// The trainer reads the same, also from shards.
	const shards = { ...recipeOf({ slices }), shards: { megabytes: 1 } };
	const { location, run } = await prepare(shards);
	const { runCommand } = await import("../../../actions/lib/process.ts");
	const program = `import json, sys, pathlib
from proving_ground.data.slices import load_slices
print(json.dumps([[it["name"], it["where"]] for it in load_slices(pathlib.Path(sys.argv[1]), sys.argv[2], [])]))`;
	const read = await runCommand(python, ["-c", program, path.join(location, run.slices.file), run.slices.sha256], {
		env: { PYTHONPATH: findTrainer(python).folder },
		input: "",
		minutes: 1,
		unstartable: String,
	});
	expect(read.errors).toBe("");
	expect(JSON.parse(read.output)).toEqual(slices.map(({ name, where }) => [name, where]));
});

test("refuses other settings, and takes one that an earlier importer made or that somebody has put there", async () => {
	const { location } = await prepare(recipeOf());
	await expect(prepare(recipeOf({ past: 3 }))).rejects.toThrow(
		/was made with other importer settings than the data recipe walk has now\. Delete the folder/,
	);
	const file = path.join(location, "importer.json");
	const { sources: _, counts: __, notes: ___, ...old } = JSON.parse(await readFile(file, "utf8"));
	await writeFile(file, JSON.stringify(old));
	await writeFile(path.join(root, "walk.txt"), rows.replace("30 1 3 0", "30 1 3 5"));
	expect((await prepare(recipeOf())).location).toBe(location);
	await rm(file);
	expect((await prepare(recipeOf({ past: 3 }))).location).toBe(location);
});

test("knows masks by their digests, and a folder of labels by the names in it", async () => {
	const image = path.join(root, "image");
	const masks = path.join(root, "mask");
	for (const folder of [image, masks, path.join(root, "home")]) await mkdir(folder);
	const { runCommand } = await import("../../../actions/lib/process.ts");
	const draw = (name: string, column: number) =>
		runCommand(
			python,
			[
				"-c",
				"import sys, numpy as np\nfrom PIL import Image\nm = np.zeros((40, 60), np.uint8)\nm[5:35, int(sys.argv[3])] = 9\nImage.fromarray(m).save(sys.argv[1])\nImage.new('RGB', (60, 40), (int(sys.argv[3]), 0, 0)).save(sys.argv[2])",
				path.join(masks, name),
				path.join(image, name),
				String(column),
			],
			{ env: {}, input: "", minutes: 1, unstartable: String },
		);
	await draw("b.png", 20);
	const split = { images: image, masks };
	const lanes = {
		...recipeOf(),
		importer: {
			name: "tusimple",
			width: 60,
			height: 40,
			splits: { train: split, val: split, test: split },
			slices: [],
		},
	} as unknown as Data;
	const first = await prepare(lanes);
	expect((await prepare(lanes)).location).toBe(first.location);
	await writeFile(path.join(masks, ".DS_Store"), "hidden");
	expect((await prepare(lanes)).location).toBe(first.location);
	await draw("b.png", 21);
	const second = await prepare(lanes);
	expect(second.location).not.toBe(first.location);
	await draw("ä.png", 21);
	const third = await prepare(lanes);
	expect(third.splits.test.frames).toBe(2);
	expect((await prepare(lanes)).location).toBe(third.location);
	expect(await folders()).toHaveLength(3);
});
