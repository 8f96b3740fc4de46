// experiments/<name>.yaml and the recipes it names become one resolved experiment, or every problem of every file at once.
import { existsSync } from "node:fs";
import path from "node:path";
import { InvalidFile, InvalidInput, type Problem } from "../errors.ts";
import type { Data, Experiment, Machine, Model } from "../generated/documents.d.ts";
import { nearest, notAmong, problemAt } from "../text/problems.ts";
import { checkCombination } from "./combination.ts";
import {
	checkName,
	checkPlace,
	type FileKind,
	fileKinds,
	type Loaded,
	loadFile,
	loadSlices,
	NAME,
	namesIn,
} from "./files.ts";
import { loadGate, loadWaivers } from "./gates.ts";
import { policyOf } from "./policy.ts";
import { type DeclaredSlices, type Head, importedSlices, type ResolvedExperiment, slicesOf } from "./resolved.ts";
import { folderTree, type Tree } from "./tree.ts";
import { waiversOf } from "./waiver_file.ts";

export interface LoadOptions {
	/** The repository that the experiment stands in. */
	root: string;
	/** Where machines (prices) are read, and gates where nothing else is said: a checkout of the base branch. The root, where it is left out. */
	base?: string;
	/** The state folder, where the slices of data lie that no importer makes; left out, they are known once the data are planned. */
	state?: string;
	/** Where policies and lines are read. */
	gates?: Tree;
	/** Where waivers are read; beside the policies, where it is left out. */
	waivers?: Tree;
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
	const experiment = await loadFile<Experiment>(root, relative, fileKinds.experiment, problems).catch(
		async (error: unknown) => {
			if (error instanceof InvalidInput && !existsSync(path.join(root, relative)))
				throw new InvalidInput(`${error.message}${await suggestExperiment(root, name)}`);
			throw error;
		},
	);
	const misplaced = checkPlace(relative);
	problems.push(...(misplaced.length > 0 ? misplaced : checkName(relative, name, "experiment", 40)));
	return resolveExperiment({ name, file: relative, experiment, problems }, options);
}

/** The experiment that a path which leads nowhere may stand for, by its name alone or one that is near. */
async function suggestExperiment(root: string, name: string): Promise<string> {
	const near = nearest(name, await namesIn(path.join(root, "experiments")));
	return near === null ? "" : ` Did you mean experiments/${near}.yaml?`;
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
	const { root, base = root, gates = folderTree(base), waivers: granted = gates } = options;
	const problems = [...found];
	const written = (experiment.source.value ?? {}) as Partial<Experiment>;
	const recipe = async <T>(
		from: string,
		folder: string,
		key: "recipe" | "data" | "machine" | "replay",
		kind: FileKind,
	) => {
		const named = key === "replay" ? written.replay?.data : written[key];
		if (typeof named !== "string" || !NAME.test(named)) return undefined;
		const files = await namesIn(path.join(from, folder));
		if (!files.includes(named)) {
			const isMisnamed = existsSync(path.join(from, folder, `${named}.yml`));
			const hint = isMisnamed ? `, but ${named}.yml does: rename it to ${named}.yaml` : "";
			problems.push(
				problemAt(
					experiment.source,
					key === "replay" ? "/replay/data" : `/${key}`,
					`${folder}/${named}.yaml doesn't exist${hint || `; ${notAmong(named, files, "available")}`}`,
				),
			);
			return undefined;
		}
		const before = problems.length;
		const loaded = await loadFile<T>(from, `${folder}/${named}.yaml`, kind, problems);
		return problems.length === before ? loaded : undefined;
	};
	const model = await recipe<Model>(root, "recipes/models", "recipe", fileKinds.model);
	const data = await recipe<Data>(root, "recipes/data", "data", fileKinds.data);
	const replay = await recipe<Data>(root, "recipes/data", "replay", fileKinds.data);
	const machine = await recipe<Machine>(base, "recipes/machines", "machine", fileKinds.machine);
	const gate = await loadGate(experiment, { base: gates, root }, problems);
	const waivers = await loadWaivers(granted, problems);
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
	const slices = await declaredSlices(options.state, data);
	problems.push(...checkCombination(resolved, slices));
	if (problems.length > 0) throw new InvalidFile(problems);
	return resolved;
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

/** The slices that a dataset has or will have once it is imported; null where that is not known before it is there. */
async function declaredSlices(state: string | undefined, data: Loaded<Data>): Promise<DeclaredSlices | null> {
	const imported = importedSlices(data);
	if (imported) return imported;
	// What lies there may be of another revision.
	if (data.value.dvc || state === undefined) return null;
	const file = path.resolve(state, data.value.location, "slices.yaml");
	try {
		return slicesOf(await loadSlices(file));
	} catch (error) {
		if (error instanceof InvalidInput) return null;
		throw error;
	}
}
