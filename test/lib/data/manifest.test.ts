// A manifest
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Faults } from "../../../actions/lib/data/faults.ts";
import { type Labels, readManifest } from "../../../actions/lib/data/manifest.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "manifest-"));
});
afterAll(() => rm(folder, { recursive: true }));

const frame = (more: object = {}) => ({ "source-ref": "a.jpg", width: 640, height: 480, ...more });
const boxes = (...boxes: number[][]) => frame({ detection: boxes.map((box) => ({ category: "car", box })) });
const recipe: Labels = { detection: ["car", "pedestrian"], tracks: null };

/** What is told of a manifest with such lines, by the line. */
async function told(lines: (object | string | Buffer)[], labels = recipe): Promise<string[]> {
	const file = path.join(folder, "golden.manifest");
	const bytes = lines.flatMap((line) => [
		Buffer.isBuffer(line) ? line : Buffer.from(typeof line === "string" ? line : JSON.stringify(line)),
		Buffer.from("\n"),
	]);
	await writeFile(file, Buffer.concat(bytes));
	const faults = new Faults();
	for await (const _ of readManifest(file, labels, faults));
	try {
		faults.refuse();
		return [];
	} catch (error) {
		expect(error).toBeInstanceOf(InvalidFile);
		return (error as InvalidFile).problems.map(({ line, message }) => `${line} ${message}`);
	}
}

describe("is refused with all that is wrong with it", () => {
	test("line by line, several things of one line among them", async () => {
		const lines = [
			frame({ detection: [{ category: "cat", box: [1, 1, 9, 9] }], attributes: { lamps: 3 } }),
			boxes([1, 1, 9, 9]),
			boxes([5, 5, 5, 9], [700, 10, 720, 30], [-30, 10, 0, 30]),
			"{",
			frame({ detection: [{ category: "pedestrain", box: [200, 100, 30, 60] }] }),
		];
		expect(await told(lines)).toMatchInlineSnapshot(`
			[
			  "1 attributes.lamps: found 3; it must be a text",
			  "1 detection.0.category: found "cat", which the data recipe doesn't have; allowed: car, pedestrian. Did you mean car?",
			  "3 detection: the box [5,5,5,9] has no area; it must be x1, y1, x2, y2",
			  "3 detection: the box [700,10,720,30] lies outside of its frame of 640 x 480 pixels",
			  "3 detection: the box [-30,10,0,30] lies outside of its frame of 640 x 480 pixels",
			  "4 not JSON: Expected property name or '}' in JSON at position 1 (line 1 column 2)",
			  "5 detection.0.category: found "pedestrain", which the data recipe doesn't have; allowed: car, pedestrian. Did you mean pedestrian?",
			  "5 detection: the box [200,100,30,60] has no area; it must be x1, y1, x2, y2. As x, y, width, height it would be [200,100,230,160]",
			]
		`);
	});

	test("and the first twenty problems of many", async () => {
		const messages = await told(Array.from({ length: 30 }, () => boxes([4, 4, 4, 4])));
		expect(messages).toHaveLength(21);
		expect(messages.at(-1)).toBe("30 and 10 more problems in the manifests, the last of them here");
	});

	test("in few words, however long a line is", async () => {
		const [message] = await told([frame({ detection: [{ category: "x".repeat(3_000_000), box: [1, 1, 9, 9] }] })]);
		expect(message!.length).toBeLessThan(250);
	});

	test("where it has no frames", async () => {
		expect(await told(["", " "])).toEqual(["1 the manifest has no frames"]);
	});
});

describe("with boxes in shares of the frame", () => {
	test("is told so once, at the first of them", async () => {
		expect(await told([frame(), boxes([0.1, 0.2, 0.4, 0.5]), boxes([0, 0, 1, 1])])).toEqual([
			"2 detection: all 2 boxes lie between 0 and 1, as if given in shares of the frame; a box must be x1, y1, x2, y2 in pixels: multiply by width and height",
		]);
	});

	test("is taken where any box is in pixels, or all of them are whole", async () => {
		expect(await told([boxes([0.1, 0.2, 0.4, 0.5]), boxes([1, 1, 9, 9])])).toEqual([]);
		expect(await told([boxes([0, 0, 1, 1])])).toEqual([]);
	});
});

describe("with tracks", () => {
	const track = (past: number, future: number) => ({
		id: "t",
		tracks: [{ past: Array(past).fill([0, 0]), future: Array(future).fill([1, 1]) }],
	});

	test("is held to the points that the data recipe says", async () => {
		const labels = { detection: [], tracks: { past: 4, future: 6 } };
		expect(await told([track(4, 6), track(4, 5)], labels)).toEqual([
			"2 tracks: found 4 past and 5 future points; the data recipe has 4 past and 6 future points",
		]);
	});

	test("is held to its own first track where the recipe says nothing", async () => {
		expect(await told([track(4, 6), track(3, 6)])).toEqual([
			"2 tracks: found 3 past and 6 future points; the file's first track has 4 past and 6 future points",
		]);
	});
});

describe("of another encoding", () => {
	const text = JSON.stringify(frame());

	test("is named where it is UTF-16", async () => {
		const wide = Buffer.from(text, "utf16le");
		for (const bytes of [wide, Buffer.concat([Buffer.from([0xff, 0xfe]), wide]), Buffer.from(wide).swap16()])
			expect(await told([bytes])).toEqual(["1 the file is UTF-16 (PowerShell writes that); save it as UTF-8"]);
	});

	test("is named by the line with the byte that is no UTF-8", async () => {
		const latin = Buffer.from(JSON.stringify(frame({ attributes: { town: "Köln" } })), "latin1");
		expect(await told([text, latin, text, latin])).toEqual([
			"2 found bytes that are not UTF-8 (they may be Latin-1); save the file as UTF-8",
			"4 found bytes that are not UTF-8 (they may be Latin-1); save the file as UTF-8",
		]);
	});

	test("is read with a byte order mark, Windows' line ends and separators of Unicode inside a text", async () => {
		const odd = JSON.stringify(frame({ attributes: { note: "a\u2028b\u2029c\u0085d" } }));
		expect(odd).toContain("\u2028");
		expect(await told([`\ufeff${text}\r`, `${odd}\r`])).toEqual([]);
	});
});
