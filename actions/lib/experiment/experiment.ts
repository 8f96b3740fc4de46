// experiments/<name>.yaml and the recipes it names become one resolved experiment, or every problem of every file at once.
import { existsSync } from "node:fs";
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
import type {
	Data,
	Experiment,
	Gate,
	Machine,
	Model,
	PlanPolicy,
	PlanRule,
	SliceFile,
	Waivers,
} from "../generated/documents.d.ts";
import validateData from "../generated/validate_data.js";
import validateExperiment from "../generated/validate_experiment.js";
import validateGate from "../generated/validate_gate.js";
import validateMachine from "../generated/validate_machine.js";
import validateModel from "../generated/validate_model.js";
import validateSliceFile from "../generated/validate_slice_file.js";
import validateWaivers from "../generated/validate_waivers.js";
import { checkSchema, nearest, notAmong, problemAt } from "../text/problems.ts";
import { parseYaml, type Source } from "../text/yaml.ts";
import { checkCombination } from "./combination.ts";
import { checkWaivers, WAIVERS, waiversOf } from "./waiver_file.ts";

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
const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

export type Head = Model["architecture"]["heads"][number];

/** A file that was read and holds to its schema. */
export interface Loaded<T> {
	value: T;
	source: Source;
}

/** An experiment with everything that it names. */
export interface ResolvedExperiment {
	name: string;
	/** Path from the repository's root. */
	file: string;
	experiment: Loaded<Experiment>;
	model: Loaded<Model>;
	data: Loaded<Data>;
	machine: Loaded<Machine>;
	gate: Loaded<Gate>;
	/** The base branch's waivers; null where it has no file of them. */
	waivers: Loaded<Waivers> | null;
	/** Older data that it replays. */
	replay?: Loaded<Data>;
	/** The recipe's heads, without optional ones that the data can't serve. */
	heads: Head[];
	/** The recipe's training settings with the experiment's own laid over them. */
	train: Model["train"];
	policy: PlanPolicy;
}

export interface LoadOptions {
	/** The repository that the experiment stands in. */
	root: string;
	/** Where machines (prices), gates and waivers are read: a checkout of the base branch. The root, where it is left out. */
	base?: string;
}

/** The name of the experiment that a file holds. */
export function nameOfFile(file: string): string {
	return path.basename(file).replace(/\.ya?ml$/, "");
}

/** Loads an experiment and its recipes; throws InvalidFile with every problem of every file. */
export async function loadExperiment(file: string, options: LoadOptions): Promise<ResolvedExperiment> {
	const { root } = options;
	const relative = path.relative(root, path.resolve(root, file)).split(path.sep).join("/");
	const name = nameOfFile(relative);
	const problems: Problem[] = [];
	const experiment = await loadFile<Experiment>(root, relative, validateExperiment, problems).catch(
		async (error: unknown) => {
			if (error instanceof InvalidInput && !existsSync(path.join(root, relative)))
				throw new InvalidInput(`${error.message}${await suggestExperiment(root, name)}`);
			throw error;
		},
	);
	problems.push(...checkName(relative, name, "experiment", 40));
	return resolveExperiment({ name, file: relative, experiment, problems }, options);
}

/** The experiment that a path which leads nowhere may stand for, by its name alone or one that is near. */
async function suggestExperiment(root: string, name: string): Promise<string> {
	const near = nearest(name, await namesIn(path.join(root, "experiments")));
	return near === null ? "" : ` Did you mean experiments/${near}.yaml?`;
}

/** A file's name that can't be the name of what it holds. */
export function checkName(file: string, name: string, what: string, most: number): Problem[] {
	if (NAME.test(name) && name.length <= most) return [];
	const message = `the file's name ${JSON.stringify(name)} names the ${what}; it must match ${NAME.source} and have at most ${most} characters`;
	return [{ file, line: 1, column: 1, message }];
}

/** An experiment that was read, and what was wrong with it already. */
export interface ReadExperiment {
	name: string;
	file: string;
	experiment: Loaded<Experiment>;
	problems: readonly Problem[];
}

/** Adds the recipes that an experiment names; throws InvalidFile with every problem of every file. */
export async function resolveExperiment(
	{ name, file, experiment, problems: found }: ReadExperiment,
	options: LoadOptions,
): Promise<ResolvedExperiment> {
	const { root, base = root } = options;
	const problems = [...found];
	const written = (experiment.source.value ?? {}) as Partial<Experiment>;
	const recipe = async <T>(
		from: string,
		folder: string,
		key: "recipe" | "data" | "machine" | "gates" | "replay",
		validate: ValidateFunction,
	) => {
		const named = key === "replay" ? written.replay?.data : written[key];
		if (typeof named !== "string" || !NAME.test(named)) return undefined;
		const files = (await namesIn(path.join(from, folder))).filter((file) => key !== "gates" || file !== WAIVERS);
		if (!files.includes(named)) {
			problems.push(
				problemAt(
					experiment.source,
					key === "replay" ? "/replay/data" : `/${key}`,
					`${folder}/${named}.yaml doesn't exist; ${notAmong(named, files, "there")}`,
				),
			);
			return undefined;
		}
		const before = problems.length;
		const loaded = await loadFile<T>(from, `${folder}/${named}.yaml`, validate, problems);
		return problems.length === before ? loaded : undefined;
	};
	const model = await recipe<Model>(root, "recipes/models", "recipe", validateModel);
	const data = await recipe<Data>(root, "recipes/data", "data", validateData);
	const replay = await recipe<Data>(root, "recipes/data", "replay", validateData);
	const machine = await recipe<Machine>(base, "recipes/machines", "machine", validateMachine);
	const gate = await recipe<Gate>(base, "recipes/gates", "gates", validateGate);
	const waivers = await loadWaivers(base, problems);
	if (!model || !data || !machine || !gate || problems.length > 0) throw new InvalidFile(problems);

	const resolved: ResolvedExperiment = {
		name,
		file,
		experiment,
		model,
		data,
		machine,
		gate,
		waivers,
		...(replay ? { replay } : {}),
		heads: servedHeads(model.value, data.value),
		train: overlay(model.value.train, experiment.value.train ?? {}),
		policy: { ...policyOf(experiment.value.gates, gate), ...waiversOf(waivers) },
	};
	const slices = await declaredSlices(root, data);
	problems.push(...checkCombination(resolved, slices));
	if (problems.length > 0) throw new InvalidFile(problems);
	return resolved;
}

/** The waivers beside the policies; null where there is no such file. */
async function loadWaivers(base: string, problems: Problem[]): Promise<Loaded<Waivers> | null> {
	const folder = "recipes/gates";
	if (!(await namesIn(path.join(base, folder))).includes(WAIVERS)) return null;
	const before = problems.length;
	const file = await loadFile<Waivers>(base, `${folder}/${WAIVERS}.yaml`, validateWaivers, problems);
	if (problems.length > before) return null;
	problems.push(...checkWaivers(file));
	return file;
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

function parseFile<T>(
	file: string,
	text: string,
	{ validate, schema }: { validate: ValidateFunction; schema: Record<string, unknown> },
	problems: Problem[],
): Loaded<T> {
	const source = parseYaml(file, text);
	problems.push(...source.problems, ...checkSchema(source, validate, [schema, ...schemas]));
	return { value: source.value as T, source };
}

/** A gate policy from the text of its file; throws InvalidFile with every mistake in it. */
export function parsePolicy(file: string, text: string): PlanPolicy {
	const problems: Problem[] = [];
	const gate = parseFile<Gate>(file, text, { validate: validateGate, schema: gateSchema }, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	return policyOf(path.basename(file, ".yaml"), gate);
}

/** Heads without the optional ones for which the data recipe names nothing; lanes need no names. */
function servedHeads({ architecture, optional_heads }: Model, { categories, tracks }: Data): Head[] {
	const served = {
		detection: categories.detection.length > 0,
		segmentation: categories.segmentation.length > 0,
		lanes: true,
		trajectory: tracks !== undefined,
	};
	return architecture.heads.filter((head) => served[head] || !optional_heads?.includes(head));
}

/** Lays the keys that an experiment writes over its recipe's, mapping by mapping. */
function overlay<T>(below: T, above: unknown): T {
	// The settings of one method mean nothing to another.
	if (!isMapping(below) || !isMapping(above) || "method" in above) return above as T;
	const merged: Record<string, unknown> = { ...below };
	for (const [key, value] of Object.entries(above)) merged[key] = key in merged ? overlay(merged[key], value) : value;
	return merged as T;
}

function isMapping(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

const bounds = ["min", "max", "max_drop", "max_regression_percent"] as const;

function policyOf(name: string, gate: Loaded<Gate>): PlanPolicy {
	return { name, file: gate.source.file, drift: gate.value.drift ?? "warn", rules: rulesOf(gate) };
}

/** Each bound of each rule is a check of its own, with the line it stands on. */
function rulesOf(gate: Loaded<Gate>): PlanRule[] {
	return gate.value.rules.flatMap((rule, index) =>
		bounds
			.filter((bound) => rule[bound] !== undefined)
			.map((bound) => ({
				metric: rule.metric,
				slice: rule.slice ?? null,
				bound,
				value: rule[bound] as number,
				min_frames: rule.min_frames ?? 1,
				inconclusive: rule.inconclusive ?? gate.value.inconclusive ?? "block",
				reason: rule.reason,
				line: gate.source.placeOf(`/rules/${index}/${bound}`, "key").line,
			})),
	);
}

/** The slices that a dataset has or will have once it is imported; null where that is not known before it is there. */
async function declaredSlices(root: string, data: Loaded<Data>): Promise<SliceFile["slices"] | null> {
	const importer = data.value.importer as { slices?: SliceFile["slices"] } | undefined;
	if (importer?.slices) return importer.slices;
	// What lies there may be of another revision.
	if (data.value.dvc) return null;
	const file = path.join(root, data.value.location, "slices.yaml");
	try {
		return await loadSlices(file);
	} catch (error) {
		if (error instanceof InvalidInput) return null;
		throw error;
	}
}
