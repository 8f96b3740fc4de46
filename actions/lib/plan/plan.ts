// A resolved experiment, its dataset and the registry's history become the plan: what would run, on what, against whom, at what cost.
import type { Dataset } from "../data/dataset.ts";
import { differenceFrom } from "../data/difference.ts";
import { testSplitOf } from "../data/test_split.ts";
import { InvalidFile, InvalidInput } from "../errors.ts";
import type { Head, ResolvedExperiment } from "../experiment/resolved.ts";
import type {
	Conditions,
	Config,
	Machine,
	Plan,
	PlanBaseline,
	PlanPolicy,
	PlanWeights,
	RunTrain,
} from "../generated/documents.d.ts";
import { changesFrom } from "./changes.ts";
import { checkDataset, type Replay } from "./data_checks.ts";
import { estimate } from "./estimate.ts";
import { identify } from "./identity.ts";
import type { Registry, Version } from "./registry.ts";

/** What training starts from, before it is known what of it fits. */
export type Start = Omit<PlanWeights, "transfer"> & Omit<NonNullable<RunTrain["weights"]>, "manifest">;

export interface PlanInputs {
	resolved: ResolvedExperiment;
	dataset: Dataset;
	/** What training starts from; null for random weights. */
	start: Start | null;
	/** Older data that stand in every batch. */
	replay: Replay | null;
	/** How trainings are tracked, as the repository's configuration has it. */
	tracking: Config["tracking"];
	/** Digest of the trainer's code. */
	code: string;
	/** Digest of the image the job runs in; null outside a container. */
	image: string | null;
	/** GitHub logins of who wrote the experiment; none where they are not known, or not asked for. */
	authors?: readonly string[];
	history: Awaited<ReturnType<Registry["history"]>>;
}

/** Plans an experiment; throws InvalidFile where the data can't serve it. */
export function planRun(inputs: PlanInputs): Plan {
	const { resolved, dataset, start, replay, tracking, code, image, authors = [], history } = inputs;
	const { problems, warnings, overlap } = checkDataset(resolved, dataset, replay);
	if (problems.length > 0) throw new InvalidFile(problems);
	const { experiment, machine, heads } = resolved;
	const { trajectory, ...architecture } = resolved.model.value.architecture;
	const head = trajectory && heads.includes("trajectory") ? { trajectory } : {};
	const losses = Object.entries(resolved.train.loss).filter(([name]) => heads.includes(name as Head));
	const run = identify<RunTrain>({
		schema: 1,
		kind: "train",
		id: "",
		experiment: resolved.name,
		model: experiment.value.model,
		seed: experiment.value.seed ?? 0,
		processes: machine.value.processes,
		data: dataset.run,
		architecture: { ...architecture, heads: heads as RunTrain["architecture"]["heads"], ...head },
		train: { ...resolved.train, loss: Object.fromEntries(losses) } as RunTrain["train"],
		code,
		image,
		weights: start && { manifest: start.manifest, file: start.file, rename: start.rename, leave: start.leave },
		replay: replay && { share: replay.share, data: replay.dataset.run },
		// Absent where there is none: runs of before there were windows keep their ids.
		...(experiment.value.window ? { window: experiment.value.window } : {}),
	});
	const { baseline, promoted } = chooseBaseline(run.id, history);
	const {
		description: _,
		loader,
		instance,
		all_reduce_floor_gbps,
		timeout_seconds,
		...place
	} = machine.value as Required<Machine>;
	return {
		schema: 1,
		experiment: {
			name: resolved.name,
			file: resolved.file,
			model: experiment.value.model,
			recipe: experiment.value.recipe,
			data: experiment.value.data,
			machine: experiment.value.machine,
			gates: experiment.value.gates,
			why: experiment.value.why,
			...(authors.length > 0 ? { authors: [...authors] } : {}),
		},
		run,
		machine: { name: experiment.value.machine, ...place },
		conditions: {
			schema: 1,
			loader: loader as Conditions["loader"],
			network: { instance, floor_gbps: all_reduce_floor_gbps, timeout_seconds },
			drift: resolved.policy.drift,
			latency: latencyLimits(resolved.policy),
			tracking: { ...(tracking as Conditions["tracking"]), project: experiment.value.model },
		},
		data: {
			location: dataset.location,
			source: dataset.source,
			splits: dataset.splits,
			slices: dataset.slices,
			difference: baseline && differenceFrom(baseline.entry, dataset),
			test: testSplitOf(dataset, baseline && { entry: baseline.entry, frames: null }),
			overlap,
		},
		weights: start && { location: start.location, from: start.from, manifest: start.manifest, transfer: null },
		replay: replay && {
			location: replay.dataset.location,
			share: replay.share,
			frames: replay.dataset.splits.train.frames,
		},
		baseline: baseline && describe(baseline),
		promoted,
		changes: baseline ? changesFrom(baseline.entry, run, dataset.splits) : [],
		policy: resolved.policy,
		estimate: estimate(resolved, dataset, baseline?.entry ?? null),
		...(warnings.length > 0 ? { warnings } : {}),
	};
}

/** The gate's limits that an untrained network can break already. */
function latencyLimits(policy: PlanPolicy): Conditions["latency"] {
	const metrics = ["latency_p50_ms", "latency_p95_ms"] as const;
	const bounds = ["max", "max_regression_percent"] as const;
	return policy.rules.flatMap(({ metric, bound, value }) => {
		const [known] = metrics.filter((name) => name === metric);
		const [limit] = bounds.filter((name) => name === bound);
		return known && limit ? [{ metric: known, bound: limit, value }] : [];
	});
}

/** The registry's version as documents name it. */
function describe({ entry, location }: Version): PlanBaseline {
	return { version: entry.version, run: entry.run, manifest: entry.manifest, location };
}

/** Production; for a run that was promoted before, what it replaced: judged again, it meets the same opponent. */
function chooseBaseline(
	run: string,
	{ versions, approvals }: PlanInputs["history"],
): { baseline: Version | null; promoted: number | null } {
	const find = (version: number | null) => {
		if (version === null) return null;
		const found = versions.find(({ entry }) => entry.version === version);
		if (!found)
			throw new InvalidInput(`The registry's history names version ${version}, but the registry doesn't have it.`);
		return found;
	};
	const own = approvals.find(({ version }) => find(version)?.entry.run === run);
	if (own) return { baseline: find(own.replaced), promoted: own.version };
	return { baseline: find(approvals.at(-1)?.version ?? null), promoted: null };
}
