// Experiment files become plans, each written; a file with mistakes keeps no other back.
import path from "node:path";
import { type Dataset, type Preparation, prepareDataset } from "../data/dataset.ts";
import { writeDocument } from "../documents.ts";
import { InvalidFile, InvalidInput, type Problem, sentenceOf } from "../errors.ts";
import { authorsOf, type Known } from "../experiment/author.ts";
import { loadExperiment } from "../experiment/experiment.ts";
import type { ResolvedExperiment } from "../experiment/resolved.ts";
import { folderTree, type Tree } from "../experiment/tree.ts";
import { checkCaptured } from "../experiment/window.ts";
import type { Config, Plan, RunWindow } from "../generated/documents.d.ts";
import type { State } from "../state.ts";
import { problemAt } from "../text/problems.ts";
import { digestTrainer, type Trainer } from "../trainer/trainer.ts";
import type { Replay } from "./data_checks.ts";
import { examine } from "./examined.ts";
import { approvalOf, shortApproval } from "./identity.ts";
import { planRun } from "./plan.ts";
import type { Registry } from "./registry.ts";
import { refuseStale } from "./stale.ts";
import type { Store } from "./store.ts";
import { describeTransfer, findWeights } from "./weights.ts";

/** What planning needs of a repository. */
export interface PlanPorts {
	/** Where experiments and recipes stand. */
	root: string;
	/** The checkout whose configuration, machines and gates apply; the root, but for other checkouts of the repository. */
	home: string;
	state: State;
	/** Whether somebody has approved what stands in the root: data are made and fetched as its recipes say. */
	isApproved: boolean;
	/** What is started to plan. */
	trainer: Trainer;
	/** Whose digest names the runs, and what the jobs run. */
	code: Trainer;
	store: Store;
	registry: Registry;
	/** Whether store and registry can be reached from here; else production is what was recorded, and no model can be read. */
	reachesModels: boolean;
	tracking: Config["tracking"];
}

export interface PlanOptions {
	/** A folder whose gates, waivers and machines apply, where that isn't the project's own. */
	base?: string;
	/** Where policies, lines and waivers are read instead, and waivers where that is elsewhere again. */
	gates?: Tree;
	waivers?: Tree;
	/** A folder with the experiment and its recipes as they would be, where that isn't the project's own. */
	head?: string;
	/** Digest of the image the job runs in; empty outside a container. */
	image?: string;
	/** What is known of the experiments' authors beside git. */
	known?: Known;
	/** Called when a dataset is about to be fetched or made, which takes a while, and with what an importer says at its end. */
	onImport?: (name: string, said?: string) => void;
	/** Whether the weights to start from are held against the network, for which the trainer is started; true where it is left out. */
	transfer?: boolean;
}

/** Where the plan, the jobs and the comment of an experiment are kept between stages. */
export function documentsOf({ documents }: State, experiment: string): string {
	return path.join(documents, experiment);
}

/** What became of the experiment files that were to be planned. */
export interface PlannedFiles {
	/** Plans and where they were written, in the order of the files. */
	plans: { plan: Plan; path: string }[];
	/** Files that can't be planned. */
	refused: { file: string; problems: readonly Problem[] }[];
	/** What kept one of them that its author can't mend: a service that failed, a bug of ours. */
	failures: unknown[];
}

/** Plans experiment files one after the other and writes their plans; a file that can't be planned, for whatever reason, doesn't keep the others. */
export async function planAll(
	project: PlanPorts,
	files: readonly string[],
	options: PlanOptions = {},
): Promise<PlannedFiles> {
	const planned: PlannedFiles = { plans: [], refused: [], failures: [] };
	for (const file of files) {
		try {
			const plan = await planExperiment(project, file, options);
			const place = path.join(documentsOf(project.state, plan.experiment.name), "plan.json");
			planned.plans.push({ plan, path: await writeDocument("plan", plan, place) });
		} catch (error) {
			const isAuthors = error instanceof InvalidFile;
			const problems = isAuthors ? error.problems : [{ file, line: 1, column: 1, message: sentenceOf(error) }];
			planned.refused.push({ file, problems });
			if (!isAuthors) planned.failures.push(error);
		}
	}
	return planned;
}

/** Throws InvalidFile with every problem of every file that couldn't be planned, where there is one. */
export function refuseProblems({ refused, failures }: PlannedFiles): void {
	const problems = refused.flatMap((file) => file.problems);
	if (problems.length > 0) throw new InvalidFile(distinctProblems(problems), failures[0]);
}

/** Throws InvalidInput where a plan isn't the one whose approval was given; an empty approval stands for none asked. */
export function refuseOthers({ plans }: Pick<PlannedFiles, "plans">, approval: string, shown = ""): void {
	// The job's name shows the short one, by which people approve.
	if (shown !== "" && shown !== shortApproval(approval))
		throw new InvalidInput(`${shown} was shown and approved, but the approval that is given is ${approval}.`);
	for (const { plan } of plans) {
		if (approval === "" || approvalOf(plan) === approval) continue;
		throw new InvalidInput(
			`${plan.experiment.file}: the plan is now ${approvalOf(plan)}, but ${approval} was shown and approved: its starting weights, its machine or a limit has changed since. Run the workflow again to show the new plan.`,
		);
	}
}

/** A recipe that several experiments name tells its problems once. */
export function distinctProblems(problems: readonly Problem[]): Problem[] {
	return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** Plans an experiment file of the project, fetching or making its dataset where the data recipe says how. */
export async function planExperiment(project: PlanPorts, file: string, options: PlanOptions = {}): Promise<Plan> {
	const { root, home, trainer, registry } = project;
	const resolved = await loadExperiment(file, {
		root: options.head ?? root,
		base: options.base ?? home,
		...(options.gates ? { gates: options.gates } : {}),
		...(options.waivers ? { waivers: options.waivers } : {}),
	});
	const dataset = await prepareOwn(project, resolved, options.onImport);
	// What labels the data has is known only now.
	const optional = resolved.model.value.optional_heads ?? [];
	resolved.heads = resolved.heads.filter((head) => !optional.includes(head) || dataset.labelled.train[head] > 0);
	if (!project.reachesModels && resolved.experiment.value.weights?.run !== undefined) {
		const message = "this runner can't reach the store, so it sees no runs; use version or production instead";
		throw new InvalidFile([problemAt(resolved.experiment.source, "/weights/run", `weights.run: ${message}`)]);
	}
	const history = await registry.history(resolved.experiment.value.model);
	const planned = planRun({
		resolved,
		dataset,
		start: await findWeights(resolved, history, project),
		replay: await prepareReplay(project, resolved, options.onImport),
		tracking: project.tracking,
		code: await digestTrainer(project.code),
		image: options.image || null,
		// Only a waiver asks who wrote the experiment.
		authors: resolved.policy.waivers ? await authorsOf(root, resolved.file, options.known ?? {}) : [],
		history,
	});
	const opponent = history.versions.find(({ entry }) => entry.version === planned.baseline?.version);
	if (opponent) await registry.verify(opponent);
	const exam = await examine(project, {
		dataset,
		// What is only imagined leaves nothing behind.
		keep: options.head === undefined,
		production: opponent?.entry ?? null,
		recipe: planned.experiment.data,
		base: options.gates ?? folderTree(options.base ?? home),
	});
	const plan = { ...planned, data: { ...planned.data, ...exam } };
	// Where the weights can't be read, what starts the training plans again and asks.
	if (!plan.weights || !project.reachesModels || options.transfer === false) return plan;
	// Shapes are compared before anything starts.
	const transfer = await describeTransfer(trainer, plan.run, plan.weights.location, resolved);
	return { ...plan, weights: { ...plan.weights, transfer } };
}

/** Throws InvalidInput where a plan that was handed over isn't what planning its experiment gives now: its policy and its machine may have been edited. */
export async function refuseEdited(project: PlanPorts, plan: Plan, options: PlanOptions = {}): Promise<void> {
	refuseStale(plan, await planExperiment(project, plan.experiment.file, { ...options, transfer: false }));
}

/** The data that an experiment trains on; throws InvalidFile where its window holds none of them. */
async function prepareOwn(
	project: PlanPorts,
	resolved: ResolvedExperiment,
	onImport: PlanOptions["onImport"],
): Promise<Dataset> {
	const { data, window } = resolved.experiment.value;
	const dataset = await prepareDataset(project, data, resolved.data, preparation(onImport, window));
	const problems = checkCaptured(resolved, dataset);
	if (problems.length > 0) throw new InvalidFile(problems);
	return dataset;
}

function preparation(onMake: PlanOptions["onImport"], window?: RunWindow): Preparation {
	return { ...(onMake ? { onMake } : {}), ...(window ? { window } : {}) };
}

/** The older data that an experiment replays; throws InvalidFile where they can't stand in one batch with its own. */
async function prepareReplay(
	project: PlanPorts,
	{ experiment, data, replay }: ResolvedExperiment,
	onImport: PlanOptions["onImport"],
): Promise<Replay | null> {
	const wanted = experiment.value.replay;
	if (!wanted || !replay) return null;
	const refuse = (key: string, message: string) =>
		new InvalidFile([problemAt(experiment.source, `/replay/${key}`, message)]);
	if (wanted.data === experiment.value.data)
		throw refuse(
			"data",
			`replay.data: found ${wanted.data}, which the experiment already trains on; choose other data`,
		);
	for (const key of ["categories", "tracks"] as const) {
		if (JSON.stringify(replay.value[key]) === JSON.stringify(data.value[key])) continue;
		throw refuse("data", `replay.data: ${replay.source.file} must have the same ${key} as ${data.source.file}`);
	}
	return { dataset: await prepareDataset(project, wanted.data, replay, preparation(onImport)), share: wanted.share };
}
