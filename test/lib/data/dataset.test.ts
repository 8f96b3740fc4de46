// A dataset
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { prepareDataset, readDataset } from "../../../actions/lib/data/dataset.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import type { Data } from "../../../actions/lib/generated/documents.d.ts";
import { openState } from "../../../actions/lib/state.ts";
import { parseYaml } from "../../../actions/lib/text/yaml.ts";

let root: string;
const recipe: Data = {
	description: "Tracks alone",
	location: "data/walkers",
	categories: { detection: [], segmentation: [] },
	tracks: { past: 2, future: 1, step_seconds: 0.4 },
};
const track = { past: Array(2).fill([0, 0]), future: [[2, 0]] };
const line = (value: object) => `${JSON.stringify(value)}\n`;

async function write(file: string, text: string): Promise<void> {
	await mkdir(path.dirname(path.join(root, file)), { recursive: true });
	await writeFile(path.join(root, file), text);
}

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "dataset-"));
	await write(".proving-ground/data/walkers/slices.yaml", "slices:\n  - { name: busy, where: { density: busy } }\n");
	for (const split of ["train", "val", "test"])
		await write(
			`.proving-ground/data/walkers/golden_${split}.manifest`,
			line({ id: `${split}-1`, attributes: { density: "busy" }, tracks: [track] }) +
				line({ id: `${split}-2`, tracks: [] }),
		);
});
afterEach(() => rm(root, { recursive: true }));

const read = (data: Data = recipe) => readDataset("walkers", data, path.join(root, ".proving-ground/data/walkers"));

describe("of tracks alone", () => {
	test("has lines that an id names, and counts those with tracks", async () => {
		const dataset = await read();
		expect(dataset.labelled.train).toEqual({ detection: 0, segmentation: 0, lanes: 0, trajectory: 1 });
		expect(dataset.splits.train.frames).toBe(2);
		expect(dataset.slices[0]).toMatchObject({ name: "busy", frames: 1 });
		expect(dataset.run.tracks).toEqual({ past: 2, future: 1, step_seconds: 0.4 });
	});

	test("needs an id where there is no image", async () => {
		await write(
			".proving-ground/data/walkers/golden_val.manifest",
			line({ id: "v", tracks: [track] }) + line({ tracks: [track] }),
		);
		const error = await read().catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(InvalidFile);
		expect((error as InvalidFile).message.replace(root, "")).toBe(
			"/.proving-ground/data/walkers/golden_val.manifest:2:1 source-ref is missing; only a line with an id and tracks may leave it out",
		);
	});

	test("has no shape of tracks where its recipe gives none", async () => {
		const { tracks: _, ...without } = recipe;
		expect((await read(without)).run.tracks).toBeNull();
	});
});

describe("with masks that mean something else than their values", () => {
	const folder = ".proving-ground/data/walkers";
	const withMasks = (ignored: number) => read({ ...recipe, masks: { ignore: [ignored] } });

	test("is another dataset of the same content, and its masked test frames are others", async () => {
		await write(`${folder}/a.png`, "image");
		await write(`${folder}/m.png`, "mask");
		const frame = { "source-ref": "a.png", width: 8, height: 8 };
		await write(
			`${folder}/golden_test.manifest`,
			line({ ...frame, "segmentation-ref": "m.png" }) + line({ id: "t", tracks: [track] }),
		);
		const [plain, one, other] = await Promise.all([read(), withMasks(11), withMasks(12)]);
		expect(plain.run).not.toHaveProperty("masks");
		expect(plain.run.version).toBe(plain.content);
		expect(one.run.masks).toEqual({ ignore: [11] });
		expect(new Set([plain, one, other].map(({ run }) => run.version)).size).toBe(3);
		expect(new Set([plain, one, other].map(({ content }) => content)).size).toBe(1);
		expect(new Set([plain, one, other].map(({ test: [masked] }) => masked?.[1])).size).toBe(3);
		expect(new Set([plain, one, other].map(({ test: [, tracks] }) => tracks?.[1])).size).toBe(1);
	});
});

describe("in shards", () => {
	test("is trained from there, under the version of its loose files", async () => {
		const python = path.join(root, "python");
		await write("python", '#!/bin/sh\nmkdir -p "$5"\necho "$@" >> "$5/called"\n');
		await chmod(python, 0o755);
		const data = {
			value: { ...recipe, shards: { megabytes: 64 } },
			source: parseYaml("recipes/data/walkers.yaml", "a: 1"),
		};
		const dataset = await prepareDataset(
			{
				root,
				home: root,
				isApproved: true,
				state: openState(root, ".proving-ground"),
				trainer: { python, folder: root },
			},
			"walkers",
			data,
		);
		const { version } = (await read()).run;
		expect(dataset.run.version).toBe(version);
		expect(dataset.location).toBe(path.join(root, ".proving-ground/shards", `walkers-${version.slice(7, 23)}`));
		expect(await readFile(path.join(dataset.location, "called"), "utf8")).toBe(
			`-m proving_ground shards ${path.join(root, ".proving-ground/data/walkers")} ${dataset.location} --megabytes 64\n`,
		);
	});
});
