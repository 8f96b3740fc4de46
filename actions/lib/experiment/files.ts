// A YAML file of experiments/ or recipes/ becomes a value that holds to its schema, with the place of each of its parts.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { ValidateFunction } from "ajv";
import experimentSchema from "../../../experiments/experiment.schema.json" with { type: "json" };
import dataSchema from "../../../recipes/data/data.schema.json" with { type: "json" };
import slicesSchema from "../../../recipes/data/slice_file.schema.json" with { type: "json" };
import gateSchema from "../../../recipes/gates/gate.schema.json" with { type: "json" };
import waiversSchema from "../../../recipes/gates/waivers.schema.json" with { type: "json" };
import machineSchema from "../../../recipes/machines/machine.schema.json" with { type: "json" };
import modelSchema from "../../../recipes/models/model.schema.json" with { type: "json" };
import { InvalidFile, InvalidInput, type Problem } from "../errors.ts";
import type { SliceFile } from "../generated/documents.d.ts";
import validateData from "../generated/validate_data.js";
import validateExperiment from "../generated/validate_experiment.js";
import validateGate from "../generated/validate_gate.js";
import validateMachine from "../generated/validate_machine.js";
import validateModel from "../generated/validate_model.js";
import validateSliceFile from "../generated/validate_slice_file.js";
import validateWaivers from "../generated/validate_waivers.js";
import { checkSchema } from "../text/problems.ts";
import { parseYaml, type Source } from "../text/yaml.ts";

const schemas = [experimentSchema, modelSchema, dataSchema, slicesSchema, machineSchema, gateSchema, waiversSchema];

/** Errors name places in a file's own schema without its name. */
const schemaOf = new Map<ValidateFunction, Record<string, unknown>>([
	[validateExperiment, experimentSchema],
	[validateModel, modelSchema],
	[validateData, dataSchema],
	[validateSliceFile, slicesSchema],
	[validateMachine, machineSchema],
	[validateGate, gateSchema],
	[validateWaivers, waiversSchema],
]);

export const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** A file that was read and holds to its schema. */
export interface Loaded<T> {
	value: T;
	source: Source;
}

/** A file's name that can't be the name of what it holds. */
export function checkName(file: string, name: string, what: string, most: number): Problem[] {
	if (NAME.test(name) && name.length <= most) return [];
	const message = `the file's name is the name of the ${what}: found ${JSON.stringify(name)}; it must be lower-case letters and digits, joined by single hyphens, at most ${most} characters`;
	return [{ file, line: 1, column: 1, message }];
}

/** The slices of a dataset that lies in a folder; throws InvalidFile. */
export async function loadSlices(file: string): Promise<NonNullable<SliceFile["slices"]>> {
	const problems: Problem[] = [];
	const loaded = await loadFile<SliceFile>(path.dirname(file), path.basename(file), validateSliceFile, problems);
	if (problems.length > 0) throw new InvalidFile(problems.map((problem) => ({ ...problem, file })));
	return loaded.value.slices;
}

/** Names of the YAML files in a folder, without their ending. */
export async function namesIn(folder: string): Promise<string[]> {
	const files = await readdir(folder).catch(() => []);
	return files
		.filter((file) => file.endsWith(".yaml"))
		.map((file) => file.slice(0, -".yaml".length))
		.sort();
}

/** Reads a YAML file that has to hold to a schema; problems are added to the list. */
export async function loadFile<T>(
	root: string,
	file: string,
	validate: ValidateFunction,
	problems: Problem[],
	schema = schemaOf.get(validate) ?? {},
): Promise<Loaded<T>> {
	let text: string;
	try {
		text = await readFile(path.join(root, file), "utf8");
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new InvalidInput(`${file}: ${code === "EISDIR" ? "this is a folder." : `the file can't be read (${code}).`}`);
	}
	return parseFile<T>(file, text, { validate, schema }, problems);
}

/** A file's text as a value and the place of each of its parts; what is wrong with it is added to the problems. */
export function parseFile<T>(
	file: string,
	text: string,
	{ validate, schema }: { validate: ValidateFunction; schema: Record<string, unknown> },
	problems: Problem[],
): Loaded<T> {
	const source = parseYaml(file, text);
	problems.push(...source.problems, ...checkSchema(source, validate, [schema, ...schemas]));
	return { value: source.value as T, source };
}
