// A manifest's bytes are taken by both languages, or refused by both on the same line: test/trainer/test_frames.py reads the same cases
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Faults } from "../../actions/lib/data/faults.ts";
import { readManifest } from "../../actions/lib/data/manifest.ts";
import { InvalidFile } from "../../actions/lib/errors.ts";
import cases from "./manifests.json" with { type: "json" };

interface Case {
	text: string;
	encoding?: BufferEncoding;
	/** How many frames there are. */
	frames?: number;
	/** The line that is refused. */
	refused?: number;
}

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "manifests-"));
});
afterAll(() => rm(folder, { recursive: true }));

function linesOf(faults: Faults): number[] {
	try {
		faults.refuse();
	} catch (error) {
		expect(error).toBeInstanceOf(InvalidFile);
		return (error as InvalidFile).problems.map(({ line }) => line);
	}
	return [];
}

test.each(Object.entries(cases as Record<string, Case>))("with %s", async (_, { text, encoding, frames, refused }) => {
	const file = path.join(folder, "golden.manifest");
	await writeFile(file, Buffer.from(text, encoding));
	const faults = new Faults();
	let count = 0;
	for await (const _ of readManifest(file, { detection: [], tracks: null }, faults)) count += 1;
	if (refused === undefined) {
		faults.refuse();
		expect(count).toBe(frames);
	} else expect(linesOf(faults)).toEqual([refused]);
});
