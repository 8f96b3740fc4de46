// A repository's .github/proving-ground.yaml becomes the places where it runs: trainer, store, registry, executor.
import { existsSync } from "node:fs";
import path from "node:path";
import { InvalidFile, InvalidInput, type Problem } from "./errors.ts";
import { allExecutors, chooseExecutor } from "./executors/index.ts";
import { loadFile } from "./experiment/files.ts";
import type { Config, PlanMachine } from "./generated/documents.d.ts";
import type { PlanPorts } from "./plan/plan_files.ts";
import type { Registry } from "./plan/registry.ts";
import { chooseRegistry } from "./registries/index.ts";
import { recorded } from "./registries/recorded.ts";
import { openState, refuseInWorkspace } from "./state.ts";
import { chooseStore } from "./stores/index.ts";
import type { Executor } from "./train/executor.ts";
import { ENTRY, findTrainer } from "./trainer/trainer.ts";

const CONFIG = ".github/proving-ground.yaml";
const CONFIG_KIND = { validator: () => import("./generated/validate_config.js") };

/** A repository and the places it names. */
export interface Project extends PlanPorts {
	/** How a promotion's files reach the default branch. */
	record: NonNullable<Config["record"]>;
	/** Whether pull requests may train where GitHub asks nobody. */
	unapprovedSpending: boolean;
	executorFor(machine: PlanMachine): Executor;
	/** Every place where this repository's jobs may run. */
	executors(): readonly Executor[];
	/**
	 * The same places for another checkout of the repository. The trainer that stands there names the runs, and jobs run a copy of
	 * it; to plan, it is started only where that is allowed.
	 */
	at(root: string, trust: Trust): Project;
}

/**
 * What a checkout may do on this machine to be planned. `started`: all, its trainer among it. `merged`: have data made and fetched
 * as its recipes say, by the default branch's trainer. `digested`: nothing, for nobody has approved it.
 */
export type Trust = "started" | "merged" | "digested";

export interface OpenOptions {
	/** Takes what production is from the promotions in reports/, on a machine that can't reach the registry. */
	fromReports?: boolean;
	/** Told of a record there that can't be read, and of what is damaged among the jobs. */
	warn?: (message: string) => void;
}

/** Opens the repository at a folder; throws InvalidFile or InvalidInput. */
export async function openProject(
	root: string,
	{ fromReports = false, warn = () => {} }: OpenOptions = {},
): Promise<Project> {
	if (!existsSync(path.join(root, CONFIG))) {
		throw new InvalidInput(
			`${root} has no ${CONFIG}: run this from the root of a repository that uses Proving Ground.`,
		);
	}
	const problems: Problem[] = [];
	const { value } = await loadFile<Config>(root, CONFIG, CONFIG_KIND, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	const promotions = fromReports ? recorded(root, warn) : null;
	return projectOf({ config: value, home: root, promotions, warn }, root, "started");
}

interface Opened {
	config: Config;
	home: string;
	/** What was recorded of promotions, where the registry can't be reached. */
	promotions: Registry | null;
	warn: (message: string) => void;
}

/** Experiments and recipes stand in `root`; the configuration, machines and gates are those of `home`. */
function projectOf(opened: Opened, root: string, trust: Trust): Project {
	const { config, home, promotions, warn } = opened;
	const state = openState(home, config.state);
	const place = (key: string, named: string) => {
		const folder = path.resolve(state.folder, named);
		refuseInWorkspace(key, named, folder);
		return folder;
	};
	const own = findTrainer(pythonOf(config, state.folder, place));
	// The action's own comes from the commit that the workflow runs at, which for a pull request is a trial merge: what is
	// checked out is what every workflow can plan again.
	const trainerIn = (checkout: string) => {
		const folder = path.join(checkout, "trainer");
		return existsSync(path.join(folder, ENTRY)) ? { ...own, folder } : own;
	};
	const trainer = trainerIn(root);
	// On a runner the next workflow changes the checkout while this one's job still runs.
	const copyTrainer = process.env["GITHUB_ACTIONS"] === "true";
	const places = { jobs: place("jobs", config.jobs ?? "jobs"), trainer, copyTrainer, warn };
	return {
		root,
		home,
		state,
		isApproved: trust !== "digested",
		trainer: trust === "started" ? trainer : trainerIn(home),
		code: trainer,
		store: chooseStore(config, place),
		registry: promotions ?? chooseRegistry(config, place),
		reachesModels: promotions === null,
		tracking: config.tracking,
		record: config.record ?? "pull_request",
		unapprovedSpending: config.unapproved_spending ?? false,
		executorFor: (machine) => chooseExecutor(machine, places),
		executors: () => allExecutors(places),
		at: (other, how) => projectOf(opened, other, how),
	};
}

/** The interpreter that the configuration names; else the state folder's, or on the command line that of the clone which it comes from. */
function pythonOf({ python }: Config, state: string, place: (key: string, named: string) => string): string {
	if (python !== undefined) return place("python", python);
	const kept = path.join(state, "venv/bin/python");
	if (process.env["GITHUB_ACTIONS"] === "true" || existsSync(kept)) return kept;
	return path.join(path.dirname(findTrainer("").folder), ".venv/bin/python");
}
