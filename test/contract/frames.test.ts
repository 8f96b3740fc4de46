// A line of a manifest is taken by both languages, or refused by both
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Faults } from "../../actions/lib/data/faults.ts";
import { readManifest } from "../../actions/lib/data/manifest.ts";
import { InvalidFile } from "../../actions/lib/errors.ts";
import cases from "./frames.json" with { type: "json" };

const { accepted, refused } = cases;
let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "frames-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(...lines: string[]) {
	const file = path.join(folder, "golden.manifest");
	await writeFile(file, lines.join("\n"));
	const faults = new Faults();
	const numbers: number[] = [];
	for await (const { number } of readManifest(file, { detection: ["car", "__proto__"], tracks: null }, faults))
		numbers.push(number);
	faults.refuse();
	return numbers;
}

test.each(Object.entries(accepted))("takes %s", async (_, line) => {
	expect(await read("  \t", line, "")).toHaveLength(1);
});

test("refuses all others, with the file and the line", async () => {
	const said: Record<string, string> = {};
	for (const [name, line] of Object.entries(refused)) {
		const error = await read('{"id": "first", "tracks": []}', line).catch((thrown: unknown) => thrown);
		expect(error, name).toBeInstanceOf(InvalidFile);
		expect((error as Error).message).toMatch(/golden\.manifest:2:1 \S/);
		said[name] = (error as InvalidFile).problems[0]!.message;
	}
	expect(
		Object.entries(said)
			.map(([name, message]) => `${name}: ${message}`)
			.join("\n"),
	).toMatchInlineSnapshot(`
		"a number: the file: found 7; it must be a mapping
		null: the file: found nothing; it must be a mapping
		a list: the file: found a list; it must be a mapping
		a text: the file: found "a"; it must be a mapping
		no JSON: not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)
		two values: not JSON: Unexpected non-whitespace character after JSON at position 3 (line 1 column 4)
		nothing: source-ref is missing; only a line with an id and tracks may leave it out
		NaN: not JSON: Unexpected token 'N', ..." 48, "x": NaN}" is not valid JSON
		a byte order mark: not JSON: Unexpected token '﻿', "﻿{"source-"... is not valid JSON
		no width: width is missing
		no height: height is missing
		a width of zero: width: found 0; it must be >= 1
		a width of a half: width: found 0.5; it must be a whole number
		a width as text: width: found "64"; it must be a whole number
		a width of true: width: found true; it must be a whole number
		an image of null: source-ref: found nothing; it must be a text
		an image without a name: source-ref: found ""; it must be a path inside the dataset's folder
		an image as a list: source-ref: found a list; it must be a text
		an absolute path: source-ref: found "/etc/passwd"; it must be a path inside the dataset's folder
		a path that leads out: source-ref: found "../a.jpg"; it must be a path inside the dataset's folder
		a path that leads out later: source-ref: found "a/../../b"; it must be a path inside the dataset's folder
		a path that leads out after a line break: source-ref: found "a\\n/../../b"; it must be a path inside the dataset's folder
		a path that ends in dots: source-ref: found "a/.."; it must be a path inside the dataset's folder
		a path of Windows that leads out: source-ref: found "a\\\\..\\\\..\\\\b"; it must be a path inside the dataset's folder
		a path with a NUL: source-ref: found "a\\u0000b"; it must be a path inside the dataset's folder
		a mask that leads out: segmentation-ref: found "../m.png"; it must be a path inside the dataset's folder
		a mask of a number: segmentation-ref: found 5; it must be a text
		a mask without a name: segmentation-ref: found ""; it must be a path inside the dataset's folder
		attributes of numbers: attributes.a: found 1; it must be a text
		attributes of null: attributes.a: found nothing; it must be a text
		attributes as a list: attributes: found a list; it must be a mapping
		attributes as an empty text: attributes: found ""; it must be a mapping
		attributes of zero: attributes: found 0; it must be a mapping
		attributes with __proto__: attributes: __proto__ can't be a key
		a key called __proto__: the file: __proto__ can't be a key
		a label with __proto__: detection.0: __proto__ can't be a key
		a track with __proto__: tracks.0: __proto__ can't be a key
		detection as text: detection: found "abc"; it must be a list
		detection of null: detection.0: found nothing; it must be a mapping
		detection as an object: detection: found a mapping; it must be a list
		detection of zero: detection: found 0; it must be a list
		detection of false: detection: found false; it must be a list
		detection of lists: detection.0: found a list; it must be a mapping
		a label without a box: detection.0: box is missing
		a label without a category: detection.0: category is missing
		a category of a number: detection.0.category: found 3; it must be a text
		a crowd of one: detection.0.crowd: found 1; it must be true or false
		a crowd of null: detection.0.crowd: found nothing; it must be true or false
		a box of three: detection.0.box: found 3 items; it must have at least 4
		a box of texts: detection.0.box.0: found "1"; it must be a number
		a box of null: detection.0.box: found nothing; it must be a list
		a box without area: detection: the box [3,2,3,4] has no area; it must be x1, y1, x2, y2
		a box the wrong way round: detection: the box [3,4,1,2] has no area; it must be x1, y1, x2, y2. As x, y, width, height it would be [3,4,4,6]
		a box beyond measure: detection.0.box.3: found 4e+38; it must be <= 3.4e+38
		a box that is infinite: detection.0.box.3: found null; it must be a number
		a box of booleans: detection.0.box.0: found false; it must be a number
		lanes as text: lanes: found "abc"; it must be a list
		a lane of null: lanes.0: found nothing; it must be a list
		a lane of numbers: lanes.0.0: found 1; it must be a list
		a point of one: lanes.0.0: found 1 items; it must have at least 2
		a point of three: lanes.0.0: found 3 items; it must have at most 2
		a point of texts: lanes.0.0.0: found "1"; it must be a number
		tracks as text: tracks: found "abc"; it must be a list
		a track of null: tracks.0: found nothing; it must be a mapping
		a track without a past: tracks.0: past is missing
		a past of one point: tracks.0.past: found 1 items; it must have at least 2
		a future of none: tracks.0.future: found 0 items; it must have at least 1
		a track's category of a number: tracks.0.category: found 1; it must be a text
		tracks of two lengths: tracks: found 3 past and 1 future points; the file's first track has 2 past and 1 future points
		a sequence of a number: sequence: found 3; it must be a text
		a sequence without a name: sequence: found ""; it must have at least 1 character
		captured as a number: captured: found 20261104; it must be a text
		captured on no day: captured: found "2026-02-30"; it must be a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z
		captured in words: captured: found "yesterday"; it must be a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z
		an id without tracks: tracks is missing
		an id that is empty: id: found ""; it must have at least 1 character
		an id of a number: id: found 7; it must be a text
		tracks alone of null: tracks: found nothing; it must be a list
		tracks alone with a box: detection: found a list; it must be null
		tracks alone with a width: width: found 64; it must be null
		tracks without an id: source-ref is missing; only a line with an id and tracks may leave it out"
	`);
});
