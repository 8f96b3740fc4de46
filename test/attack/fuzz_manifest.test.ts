// A dataset's manifest, whatever its lines say, is counted or refused with file and line: no crash, no write, no pollution
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readDataset } from "../../actions/lib/data/dataset.ts";
import { InvalidFile, InvalidInput } from "../../actions/lib/errors.ts";
import type { Data } from "../../actions/lib/generated/documents.d.ts";
import { parameters, spoiled } from "../arbitraries.ts";
import { count } from "../soak.ts";

const FRAME = {
	"source-ref": "frame.jpg",
	width: 192,
	height: 112,
	attributes: { timeofday: "night" },
	"segmentation-ref": "classes.png",
	detection: [{ category: "vehicle", box: [1, 2, 30, 40], crowd: false }],
	lanes: [[[1, 2]]],
	tracks: [
		{
			past: [
				[0, 0],
				[1, 1],
			],
			future: [[2, 2]],
		},
	],
	captured: "2026-11-01",
};
const RECIPE = { categories: { detection: ["vehicle"], segmentation: ["road"] } } as unknown as Data;

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "fuzz-"));
	const line = `${JSON.stringify(FRAME)}\n`;
	for (const split of ["train", "val", "test"]) await writeFile(path.join(folder, `golden_${split}.manifest`), line);
	for (const file of ["frame.jpg", "classes.png"]) await writeFile(path.join(folder, file), file);
	await writeFile(path.join(folder, "slices.yaml"), "slices:\n  - { name: night, where: { timeofday: night } }\n");
});
afterAll(() => rm(folder, { recursive: true }));

const line = spoiled(FRAME).map(
	(frame) => JSON.stringify(frame, (_, value) => (typeof value === "bigint" ? String(value) : value)) ?? "",
);

test("any line", { timeout: 3_600_000 }, async () => {
	const names = (await readdir(folder)).sort();
	const file = path.join(folder, "golden_test.manifest");
	let taken = 0;
	const property = fc.asyncProperty(
		fc.oneof({ weight: 9, arbitrary: line }, fc.string({ unit: "binary" })),
		async (text) => {
			await writeFile(file, `${JSON.stringify(FRAME)}\n${text}`);
			try {
				const { splits, slices } = await readDataset("x", RECIPE, folder);
				taken += 1;
				expect(splits.test.frames).toBeLessThanOrEqual(2);
				for (const number of [...Object.values(splits.test.objects), ...slices.map(({ objects }) => objects)])
					expect(number).toBeGreaterThanOrEqual(0);
			} catch (error) {
				if (!(error instanceof InvalidFile || error instanceof InvalidInput)) throw error;
				expect(error.message).toContain(folder);
			}
			expect((await readdir(folder)).sort()).toEqual(names);
		},
	);
	await fc.assert(property, parameters(count(300, 100_000)));
	expect(taken).toBeGreaterThan(10);
});
