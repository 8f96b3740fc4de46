// A resolved experiment, its dataset and the registry's history become the plan: what would run, on what, against whom, at what cost.
import canonicalize from "canonicalize";
import type { Dataset } from "../data/dataset.ts";
import { differenceFrom } from "../data/difference.ts";
import { sha256 } from "../documents.ts";
import { InvalidFile, InvalidInput, type Problem } from "../errors.ts";
import type { Head, ResolvedExperiment } from "../experiment/experiment.ts";
import type {
	Conditions,
	Config,
	Entry,
	Machine,
	Plan,
	PlanBaseline,
	PlanChange,
	PlanPolicy,
	PlanSlice,
	PlanWeights,
	RunTrain,
} from "../generated/documents.d.ts";
import { problemAt } from "../text/problems.ts";

/** A version that the registry holds, and where its files lie. */
export interface Version {
	entry: Entry;
	location: string;
}

/** One promotion: since then, `version` is production. */
export interface Approval {
	version: number;
	replaced: number | null;
	manifest: string;
	verdict: string;
	approved_by: string;
	approved_at: string;
}

/** Keeps the versions of each line of models, and which of them is production. */
export interface Registry {
	/** The lines of models that have a version, sorted. */
	lines(): Promise<string[]>;
	/** The production version of a line; null before the first promotion. */
	current(model: string): Promise<Version | null>;
	/** Adds a version, whole or not at all; the same evaluation always gets the same version: safe to repeat. */
	register(entry: Omit<Entry, "version">, files: Record<string, string>): Promise<Version>;
	/** Makes a version production if `replaced` still is; approving what is production already changes nothing. */
	approve(model: string, approval: Approval): Promise<Approval>;
	/** Every version, oldest first, and every promotion, oldest first. */
	history(model: string): Promise<{ versions: Version[]; approvals: Approval[] }>;
}

/** What training starts from, before it is known what of it fits. */
export type Start = Omit<PlanWeights, "transfer"> & Omit<NonNullable<RunTrain["weights"]>, "manifest">;

export interface PlanInputs {
	resolved: ResolvedExperiment;
	dataset: Dataset;
	/** What training starts from; null for random weights. */
	start: Start | null;
	/** Older data that stand in every batch. */
	replay: { dataset: Dataset; share: number } | null;
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
	const problems = checkLabels(resolved, dataset);
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

/** Names a run by the digest of its inputs: the same inputs are the same run, whenever and wherever they are planned. */
export function identify<T extends { id: string; experiment: string }>(run: T): T {
	const { id: _, ...inputs } = run;
	const digest = sha256(canonicalize(inputs) ?? "").slice("sha256:".length);
	return { ...run, id: `${run.experiment}-${digest.slice(0, 16)}` };
}

/** Digest of all that an approval of the spend covers: what runs, where, and what it may cost. Production may move meanwhile. */
export function approvalOf({ run, machine, conditions, estimate }: Plan): string {
	return sha256(canonicalize({ run, machine, conditions, max_cost_usd: estimate.max_cost_usd }) ?? "");
}

/** As much of an approval's digest as people compare. */
export function shortApproval(approval: string): string {
	return approval.slice("sha256:".length, "sha256:".length + 12);
}

/** The registry's version as documents name it. */
export function describe({ entry, location }: Version): PlanBaseline {
	return { version: entry.version, run: entry.run, manifest: entry.manifest, location };
}

function checkLabels({ experiment, model, data, heads }: ResolvedExperiment, dataset: Dataset): Problem[] {
	return heads.flatMap((head) => {
		const without = (["train", "test"] as const).filter((split) => dataset.labelled[split][head] === 0);
		if (without.length === 0) return [];
		const where = without.map((split) => dataset.run.manifests[split].file).join(" and ");
		const message = `${model.source.file} has a ${head} head, and no frame in ${where} of ${data.source.file} has labels for it`;
		return [problemAt(experiment.source, "/data", message)];
	});
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
			throw new InvalidInput(`The registry's history names version ${version}, and the registry doesn't hold it.`);
		return found;
	};
	const own = approvals.find(({ version }) => find(version)?.entry.run === run);
	if (own) return { baseline: find(own.replaced), promoted: own.version };
	return { baseline: find(approvals.at(-1)?.version ?? null), promoted: null };
}

function changesFrom(entry: Entry, run: RunTrain, splits: Plan["data"]["splits"]): PlanChange[] {
	const { seed, processes, architecture, train, code, window } = entry;
	// Slices are in the difference of the data.
	const { slices: _, ...data } = entry.data;
	const { name, version, dvc } = run.data;
	const before = flatten({ seed, processes, architecture, train, data, code, window });
	const after = flatten({
		seed: run.seed,
		processes: run.processes,
		architecture: run.architecture,
		train: run.train,
		data: { name, version, dvc, splits },
		code: run.code,
		window: run.window,
	});
	const paths = [...new Set([...before.keys(), ...after.keys()])];
	return paths
		.filter((path) => before.get(path) !== after.get(path))
		.map((path) => ({ path, production: before.get(path) ?? null, candidate: after.get(path) ?? null }));
}

/** What the registry remembers of the data, so that a later plan can say what differs. */
export function entryData(
	run: RunTrain,
	splits: Plan["data"]["splits"],
	slices: readonly PlanSlice[],
): Required<Entry["data"]> {
	const { name, version, dvc } = run.data;
	const counted = slices.map((slice) => [slice.name, { frames: slice.frames, objects: slice.objects }]);
	return { name, version, dvc, splits, slices: Object.fromEntries(counted) };
}

/** The leaves of nested mappings, by their path. */
export function flatten(value: unknown, path = "", into = new Map<string, unknown>()): Map<string, unknown> {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) {
		for (const [key, child] of Object.entries(value)) flatten(child, path ? `${path}.${key}` : key, into);
	} else into.set(path, Array.isArray(value) ? value.join(", ") : value);
	return into;
}

function estimate(
	{ machine, train }: ResolvedExperiment,
	dataset: Dataset,
	production: Entry | null,
): Plan["estimate"] {
	const { price_usd_per_hour: price, max_minutes, max_cost_usd: budget } = machine.value;
	// Training and evaluation may each take as long as a job may.
	const max_cost_usd = Math.min(2 * (max_minutes / 60) * price, budget ?? Number.POSITIVE_INFINITY);
	if (!production || production.frames_trained === 0) {
		return {
			seconds: null,
			cost_usd: null,
			max_cost_usd,
			basis: `no run of this line to go by; stopped after ${max_minutes} minutes`,
		};
	}
	const frames = train.epochs * dataset.splits.train.frames;
	const seconds = (production.seconds * frames) / production.frames_trained;
	return {
		seconds,
		cost_usd: (seconds / 3600) * price,
		max_cost_usd,
		basis: `version ${production.version}'s time a training frame`,
	};
}
