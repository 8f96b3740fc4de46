// A repository's .github/proving-ground.yaml becomes the places where it runs: trainer, store, registry, executor.
import { existsSync } from "node:fs";
import path from "node:path";
import { type Dataset, importDataset, readDataset } from "./dataset.ts";
import { writeDocument } from "./documents.ts";
import { InvalidFile, InvalidInput, type Problem } from "./errors.ts";
import { chooseExecutor } from "./executors/index.ts";
import { loadExperiment, loadFile } from "./experiment.ts";
import type { Config, Plan, PlanMachine } from "./generated/documents.d.ts";
import validateConfig from "./generated/validate_config.js";
import { planRun, type Registry } from "./plan.ts";
import { chooseRegistry } from "./registries/index.ts";
import { chooseStore } from "./stores/index.ts";
import type { Executor, Store } from "./train.ts";
import { digestTrainer, findTrainer, type Trainer } from "./trainer.ts";

const CONFIG = ".github/proving-ground.yaml";

/** A repository and the places it names. */
export interface Project {
	root: string;
	trainer: Trainer;
	store: Store;
	registry: Registry;
	executorFor(machine: PlanMachine): Executor;
}

/** Opens the repository at a folder; throws InvalidFile or InvalidInput. */
export async function openProject(root: string): Promise<Project> {
	if (!existsSync(path.join(root, CONFIG))) {
		throw new InvalidInput(
			`${root} has no ${CONFIG}: run this from the root of a repository that Proving Ground runs in.`,
		);
	}
	const problems: Problem[] = [];
	const { value } = await loadFile<Config>(root, CONFIG, validateConfig, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	const trainer = findTrainer(path.resolve(root, value.python));
	return {
		root,
		trainer,
		store: chooseStore(value, root),
		registry: chooseRegistry(value, root),
		executorFor: (machine) => chooseExecutor(machine, { jobs: path.resolve(root, value.jobs), trainer }),
	};
}

export interface PlanOptions {
	/** A checkout of the base branch, whose gates and machines apply; empty for the project's own. */
	base?: string;
	/** Digest of the image the job runs in; empty outside a container. */
	image?: string;
	/** Called when a dataset is about to be made, which takes a while. */
	onImport?: (name: string) => void;
}

/** Where the plan, the jobs and the comment of an experiment are kept between stages. */
export function documentsOf(root: string, experiment: string): string {
	return path.join(root, ".proving-ground/documents", experiment);
}

/** Plans experiment files one after the other and writes their plans; every problem of every file is told at once. */
export async function planAll(
	project: Project,
	files: readonly string[],
	options: PlanOptions = {},
): Promise<string[]> {
	const { root } = project;
	const problems: Problem[] = [];
	const plans: string[] = [];
	for (const file of files) {
		try {
			const plan = await planExperiment(project, file, options);
			plans.push(await writeDocument("plan", plan, path.join(documentsOf(root, plan.experiment.name), "plan.json")));
		} catch (error) {
			if (!(error instanceof InvalidFile)) throw error;
			problems.push(...error.problems);
		}
	}
	if (problems.length > 0) throw new InvalidFile(distinctProblems(problems));
	return plans;
}

/** A recipe that several experiments name tells its problems once. */
export function distinctProblems(problems: readonly Problem[]): Problem[] {
	return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** Plans an experiment file of the project, making its dataset where the data recipe says how. */
export async function planExperiment(project: Project, file: string, options: PlanOptions = {}): Promise<Plan> {
	const { root, trainer, registry } = project;
	const resolved = await loadExperiment(file, {
		root,
		...(options.base ? { base: path.resolve(root, options.base) } : {}),
	});
	const name = resolved.experiment.value.data;
	const recipe = resolved.data.value;
	const location = path.resolve(root, recipe.location);
	if (recipe.importer && !existsSync(location)) options.onImport?.(name);
	await importDataset(name, recipe, location, trainer);
	const dataset: Dataset = await readDataset(name, recipe, location);
	return planRun({
		resolved,
		dataset,
		code: await digestTrainer(trainer),
		image: options.image || null,
		history: await registry.history(resolved.experiment.value.model),
	});
}
