// A YAML file, whatever its text says, becomes a value or problems on its lines; never a crash, and never a processor's second
import { readFileSync } from "node:fs";
import path from "node:path";
import type { ValidateFunction } from "ajv";
import { describe, expect, test } from "vitest";
import type { Problem } from "../../actions/lib/errors.ts";
import validateData from "../../actions/lib/generated/validate_data.js";
import validateExperiment from "../../actions/lib/generated/validate_experiment.js";
import validateMachine from "../../actions/lib/generated/validate_machine.js";
import { checkSchema } from "../../actions/lib/text/problems.ts";
import { parseYaml } from "../../actions/lib/text/yaml.ts";

const schemas = [
	"experiments/experiment",
	"recipes/data/data",
	"recipes/data/slice_file",
	"recipes/machines/machine",
].map((name) => JSON.parse(readFileSync(path.resolve(import.meta.dirname, "../..", `${name}.schema.json`), "utf8")));

function problemsOf(text: string, validate: ValidateFunction = validateExperiment): Problem[] {
	const source = parseYaml("x.yaml", text);
	return [...source.problems, ...checkSchema(source, validate, schemas)];
}

describe("crashes on no text", () => {
	test.each<[string, ValidateFunction, string]>([
		['"100%": 1', validateExperiment, "1:1 unknown key 100%"],
		['weights: { rename: { "%zz": 5 } }', validateExperiment, "1:29 weights.rename.%zz: found 5; it must be a text"],
		["max_minutes: !!merge x", validateMachine, "1:22 the tag tag:yaml.org,2002:merge is not allowed"],
		["max_minutes: !!js/function x", validateMachine, "is not allowed; plain values need none"],
		["train: !!set { a }", validateExperiment, "1:14 the tag tag:yaml.org,2002:set is not allowed"],
		["? [a, b]\n: 1", validateExperiment, "1:3 a key must be a plain word"],
		["categories: { detection: [null] }", validateData, "categories.detection.0: found nothing; it must be a text"],
		["a: 1\na: 2", validateExperiment, "2:1 this key appears twice; keep one"],
		["{a: 1, b: {c: 1, c: 2}}", validateExperiment, "1:18 this key appears twice; keep one"],
		["1: x\n1: y", validateExperiment, "2:1 this key appears twice; keep one"],
	])("%s", (text, validate, expected) => {
		const told = problemsOf(text, validate).map(({ line, column, message }) => `${line}:${column} ${message}`);
		expect(told).toContainEqual(expect.stringContaining(expected));
	});
});

describe("is read within bounds", () => {
	const tooMany = [expect.objectContaining({ message: "the file has more than 30000 words and marks; split it" })];

	test.each([
		["keys in a flow", `{${"a1,".repeat(15_000)}}`],
		["keys in a block", Array.from({ length: 9_000 }, (_, index) => `k${index}:`).join("\n")],
		["items", `[${"1,".repeat(32_000)}1]`],
		["dashes", "- ".repeat(30_000)],
		["anchors", "&a ".repeat(20_000)],
	])("of %s", (_, text) => {
		expect(text.length).toBeLessThan(64 * 1024);
		expect(parseYaml("x.yaml", text).problems).toEqual(tooMany);
	});

	test("that no file of a person meets: a thousand settings are read", () => {
		const text = Array.from({ length: 1_000 }, (_, index) => `k${index}: { a: 1, b: x }`).join("\n");
		const { value, problems } = parseYaml("x.yaml", text);
		expect(problems).toEqual([]);
		expect(Object.keys(value as object)).toHaveLength(1_000);
	});

	test("and tells a hundred problems, and how many more there are", () => {
		const text = Array.from({ length: 1_000 }, (_, index) => `k${index}: 1`).join("\n");
		const problems = problemsOf(text);
		expect(problems).toHaveLength(101);
		expect(problems.at(-1)!.message).toMatch(/^and \d+ more problems$/);
	});

	test("also of those that its reader finds", () => {
		const { problems } = parseYaml("x.yaml", "a: 1\n".repeat(1_000));
		expect(problems).toHaveLength(101);
		expect(problems.at(-1)).toEqual({ file: "x.yaml", line: 102, column: 1, message: "and 899 more problems" });
	});
});
