// A file of YAML as an editor has saved it
import { describe, expect, test } from "vitest";
import { parseYaml } from "../../../actions/lib/text/yaml.ts";

const text = "model: perception\nwhy: the first one in Köln\n";
const read = (bytes: Buffer) => parseYaml("experiments/x.yaml", bytes.toString("utf8"));
const told = (bytes: Buffer) => read(bytes).problems.map(({ line, message }) => `${line} ${message}`);

describe("in another encoding", () => {
	const wide = Buffer.from(text, "utf16le");

	test.each([
		["with its mark", Buffer.concat([Buffer.from([0xff, 0xfe]), wide])],
		["without a mark", wide],
		["the other way round", Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(wide).swap16()])],
		["the other way round without a mark", Buffer.from(wide).swap16()],
	])("is named where it is UTF-16 %s", (_, bytes) => {
		expect(told(bytes)).toEqual(["1 the file is UTF-16 (PowerShell writes that); save it as UTF-8"]);
	});

	test("is named by the line of the first byte that is no UTF-8", () => {
		expect(told(Buffer.from(text, "latin1"))).toEqual([
			"2 found bytes that are not UTF-8 (they may be Latin-1); save the file as UTF-8",
		]);
	});

	test("is read where it is UTF-8 with a byte order mark, or has Windows' line ends", () => {
		const { value, problems } = read(Buffer.from(`\ufeff${text.replaceAll("\n", "\r\n")}`));
		expect(problems).toEqual([]);
		expect(value).toEqual({ model: "perception", why: "the first one in Köln" });
	});
});

describe("whose text holds a #", () => {
	const say = (yaml: string) => {
		const { warnings, problems } = parseYaml("x.yaml", yaml);
		const lines = (list: typeof problems) => list.map(({ line, column, message }) => `${line}:${column} ${message}`);
		return { warnings: lines(warnings), problems: lines(problems) };
	};

	test("warns that a comment begins there, of every key of a text for people", () => {
		expect(
			say(`why: see #42 for the reasons
description: frames of drive #7
rules:
  - metric: map
    reason: the bug of #12
shared_sequences:
  one drive, see #9
`),
		).toMatchInlineSnapshot(`
			{
			  "problems": [],
			  "warnings": [
			    "1:9 why: # begins a comment, so the text ends at "see"; put the text in quotes to keep "#42 for the reasons"",
			    "2:29 description: # begins a comment, so the text ends at "frames of drive"; put the text in quotes to keep "#7"",
			    "5:23 reason: # begins a comment, so the text ends at "the bug of"; put the text in quotes to keep "#12"",
			    "7:17 shared_sequences: # begins a comment, so the text ends at "one drive, see"; put the text in quotes to keep "#9"",
			  ],
			}
		`);
	});

	test("says so where nothing is left, and where a bracket is", () => {
		expect(say("why: #42\n")).toMatchInlineSnapshot(`
			{
			  "problems": [
			    "1:6 why: # begins a comment, so there is no text; put the text in quotes to keep "#42"",
			  ],
			  "warnings": [],
			}
		`);
		expect(say("rules:\n  - { metric: map, reason: see #42 }\n  - { metric: miou }\n")).toMatchInlineSnapshot(`
			{
			  "problems": [
			    "3:3 not YAML: flow map in block collection must be sufficiently indented and end with a }; " #" begins a comment, so a text with it needs quotes",
			  ],
			  "warnings": [],
			}
		`);
	});

	test("is left alone in quotes, in a block, without a space before it, and for comments on lines of their own", () => {
		const fine = `why: "see #42" # a remark
description: |
  see #42
reason: issue#42
# a remark
seed: 1 # one of three
`;
		expect(say(fine)).toEqual({ warnings: [], problems: [] });
	});
});
