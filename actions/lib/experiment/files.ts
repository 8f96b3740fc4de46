// A YAML file of experiments/ or recipes/ becomes a value that holds to its schema, with the place of each of its parts.
import { readdir } from "node:fs/promises";
import path from "node:path";
import type { ValidateFunction } from "ajv";
import experimentSchema from "../../../experiments/experiment.schema.json" with { type: "json" };
import dataSchema from "../../../recipes/data/data.schema.json" with { type: "json" };
import slicesSchema from "../../../recipes/data/slice_file.schema.json" with { type: "json" };
import gateSchema from "../../../recipes/gates/gate.schema.json" with { type: "json" };
import waiversSchema from "../../../recipes/gates/waivers.schema.json" with { type: "json" };
import lineSchema from "../../../recipes/lines/line.schema.json" with { type: "json" };
import machineSchema from "../../../recipes/machines/machine.schema.json" with { type: "json" };
import modelSchema from "../../../recipes/models/model.schema.json" with { type: "json" };
import { InvalidFile, type Problem } from "../errors.ts";
import { readRegular } from "../files.ts";
import type { SliceFile } from "../generated/documents.d.ts";
import { checkSchema } from "../text/problems.ts";
import { parseYaml, type Source } from "../text/yaml.ts";

/** A kind of file that people write. */
export interface FileKind {
	/** Behind import(), so that a stage loads only the validators of the files that it reads. */
	validator: () => Promise<{ default: ValidateFunction }>;
	/** From which errors say what is allowed. */
	schema?: Record<string, unknown>;
}

export const fileKinds = {
	experiment: { validator: () => import("../generated/validate_experiment.js"), schema: experimentSchema },
	model: { validator: () => import("../generated/validate_model.js"), schema: modelSchema },
	data: { validator: () => import("../generated/validate_data.js"), schema: dataSchema },
	slices: { validator: () => import("../generated/validate_slice_file.js"), schema: slicesSchema },
	machine: { validator: () => import("../generated/validate_machine.js"), schema: machineSchema },
	gate: { validator: () => import("../generated/validate_gate.js"), schema: gateSchema },
	waivers: { validator: () => import("../generated/validate_waivers.js"), schema: waiversSchema },
	line: { validator: () => import("../generated/validate_line.js"), schema: lineSchema },
} satisfies Record<string, FileKind>;
const schemas = Object.values(fileKinds).map(({ schema }) => schema);

/** No file of experiments/ or recipes/ is read beyond this: far more than the reader of YAML takes, which says so better. */
export const MOST_BYTES = 1024 * 1024;
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

/** A file that its author takes for an experiment, and that no workflow does, by its path from the root. */
export function checkPlace(file: string): Problem[] {
	const [folder, ...inside] = file.split("/");
	const name = inside.at(-1) ?? file;
	const meant = name.replace(/\.ya?ml(\.txt)?$/i, ".yaml");
	if (folder === "experiments" && inside.length > 1) {
		const message = `only the files of experiments/ itself are experiments; move it to experiments/${meant}`;
		return [{ file, line: 1, column: 1, message }];
	}
	if (name.endsWith(".yaml")) return [];
	return [{ file, line: 1, column: 1, message: `an experiment's file ends in .yaml; rename it to ${meant}` }];
}

/** Problems of the files of experiments/ that look like experiments, and that nothing reads. */
export async function strayExperiments(root: string): Promise<Problem[]> {
	const files = await readdir(path.join(root, "experiments"), { recursive: true }).catch(() => []);
	const written = files.map((file) => file.split(path.sep).join("/")).filter((file) => /\.ya?ml(\.txt)?$/i.test(file));
	return written.sort().flatMap((file) => checkPlace(`experiments/${file}`));
}

/** The slices of a dataset that lies in a folder; throws InvalidFile. */
export async function loadSlices(file: string): Promise<Loaded<SliceFile>> {
	const problems: Problem[] = [];
	const loaded = await loadFile<SliceFile>(path.dirname(file), path.basename(file), fileKinds.slices, problems);
	if (problems.length > 0) throw new InvalidFile(problems.map((problem) => ({ ...problem, file })));
	return { ...loaded, source: { ...loaded.source, file } };
}

/** Names of the YAML files in a folder, without their ending. */
export async function namesIn(folder: string): Promise<string[]> {
	const files = await readdir(folder).catch(() => []);
	return files
		.filter((file) => file.endsWith(".yaml"))
		.map((file) => file.slice(0, -".yaml".length))
		.sort();
}

/** What a data recipe may need beside a stage's packages, and how a look at its lines tells: what is wrong with one, its plan says. */
const EXTRAS = { dvc: /^dvc\s*:/m, parquet: /\.parquet\b/ };
export type Extra = keyof typeof EXTRAS;

/** What the data recipes of a checkout need beside a stage's packages. */
export async function extrasOf(root: string): Promise<Extra[]> {
	const recipes = (await namesIn(path.join(root, "recipes/data"))).map(async (name) => {
		const text = await readRegular(root, `recipes/data/${name}.yaml`, MOST_BYTES).catch(() => "");
		return text.toString();
	});
	const texts = await Promise.all(recipes);
	return (Object.keys(EXTRAS) as Extra[]).filter((extra) => texts.some((text) => EXTRAS[extra].test(text)));
}

/** Reads a YAML file that has to hold to a schema; problems are added to the list. */
export async function loadFile<T>(root: string, file: string, kind: FileKind, problems: Problem[]): Promise<Loaded<T>> {
	const text = (await readRegular(root, file, MOST_BYTES, file)).toString("utf8");
	return parseFile<T>(file, text, kind, problems);
}

/** A file's text as a value and the place of each of its parts; what is wrong with it is added to the problems. */
export async function parseFile<T>(
	file: string,
	text: string,
	{ validator, schema = {} }: FileKind,
	problems: Problem[],
): Promise<Loaded<T>> {
	const source = parseYaml(file, text);
	const { default: validate } = await validator();
	problems.push(...source.problems, ...checkSchema(source, validate, [schema, ...schemas]));
	return { value: source.value as T, source };
}
