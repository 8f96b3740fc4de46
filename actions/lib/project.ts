// A repository's .github/proving-ground.yaml becomes the places where it runs: trainer, store, registry, executor.
import { existsSync } from "node:fs";
import path from "node:path";
import { InvalidFile, InvalidInput, type Problem } from "./errors.ts";
import { allExecutors, chooseExecutor } from "./executors/index.ts";
import { loadFile } from "./experiment/files.ts";
import type { Config, PlanMachine } from "./generated/documents.d.ts";
import type { PlanPorts } from "./plan/plan_files.ts";
import { chooseRegistry } from "./registries/index.ts";
import { recorded } from "./registries/recorded.ts";
import { chooseStore } from "./stores/index.ts";
import type { Executor } from "./train/executor.ts";
import { ENTRY, findTrainer } from "./trainer/trainer.ts";

const CONFIG = ".github/proving-ground.yaml";
const CONFIG_KIND = { validator: () => import("./generated/validate_config.js") };

/** A repository and the places it names. */
export interface Project extends PlanPorts {
	/** The checkout whose configuration says where it runs; the root, but for other checkouts of the same repository. */
	home: string;
	/** How a promotion's files reach the default branch. */
	record: NonNullable<Config["record"]>;
	executorFor(machine: PlanMachine): Executor;
	/** Every place where this repository's jobs may run. */
	executors(): readonly Executor[];
	/** The same places for another checkout of the repository, with the trainer that stands there, if any does. */
	at(root: string): Project;
}

export interface OpenOptions {
	/** Takes what production is from the promotions in reports/, on a machine that can't reach the registry. */
	fromReports?: boolean;
	/** The checkout whose reports/ they are, where that isn't this one: a pull request may have edited its own. */
	reports?: string;
	/** Told of a record there that can't be read, and of what is damaged among the jobs. */
	warn?: (message: string) => void;
}

/** Opens the repository at a folder; throws InvalidFile or InvalidInput. */
export async function openProject(
	root: string,
	{ fromReports = false, reports = "", warn = () => {} }: OpenOptions = {},
): Promise<Project> {
	if (!existsSync(path.join(root, CONFIG))) {
		throw new InvalidInput(
			`${root} has no ${CONFIG}: run this from the root of a repository that uses Proving Ground.`,
		);
	}
	const problems: Problem[] = [];
	const { value } = await loadFile<Config>(root, CONFIG, CONFIG_KIND, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	const project = projectOf(value, root, root, warn);
	if (!fromReports) return project;
	return { ...project, registry: recorded(path.resolve(root, reports), warn), reachesModels: false };
}

/** Places are relative to `home`, whose configuration it is; experiments and recipes stand in `root`. */
function projectOf(config: Config, home: string, root: string, warn: (message: string) => void): Project {
	const own = path.join(root, "trainer");
	const found = findTrainer(path.resolve(home, config.python));
	// The action's own comes from the commit that the workflow runs at, which for a pull request is a trial merge: what is
	// checked out is what every workflow can plan again.
	const trainer = existsSync(path.join(own, ENTRY)) ? { ...found, folder: own } : found;
	// On a runner the next workflow changes the checkout while this one's job still runs.
	const copyTrainer = process.env["GITHUB_ACTIONS"] === "true";
	const places = { jobs: path.resolve(home, config.jobs), trainer, copyTrainer, warn };
	return {
		root,
		home,
		trainer,
		store: chooseStore(config, home),
		registry: chooseRegistry(config, home),
		reachesModels: true,
		tracking: config.tracking,
		record: config.record ?? "pull_request",
		executorFor: (machine) => chooseExecutor(machine, places),
		executors: () => allExecutors(places),
		at: (other) => projectOf(config, home, other, warn),
	};
}
