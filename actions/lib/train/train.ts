// A plan becomes jobs: the training, then the evaluation of what it made against production; started once, followed, resumed, stopped.
import path from "node:path";
import { documentText, parseDocument, sha256 } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import type {
	Conditions,
	EvalReport,
	Jobs,
	JobsJob,
	Plan,
	PlanMachine,
	RunEvaluate,
	RunTrain,
} from "../generated/documents.d.ts";
import { identify } from "../plan/plan.ts";

export type RunId = string;
export type Job = JobsJob;

/** A run and the places it needs. */
export interface Run {
	document: RunTrain | RunEvaluate;
	machine: PlanMachine;
	/** Where the dataset lies. */
	data: string;
	/** What surrounds it and is no part of what it is. */
	conditions: Conditions;
	/** Folders of artefacts that the job reads, by the trainer's name for each. */
	inputs: {
		weights?: string;
		replay?: string;
		candidate?: string;
		production?: string;
		/** Folders of evaluations that have measured the models already. */
		"measured-candidate"?: string;
		"measured-production"?: string;
	};
	/** Folders outside the machine that checkpoints are copied to. */
	checkpoints: { fast?: string; durable?: string };
	/** Where its artefacts go. */
	output: string;
}

/** A place that trains. */
export interface Executor {
	/** Starts the run, or adopts it if it was started before: safe to repeat, from several processes too. A run whose document differs is refused. */
	start(run: Run): Promise<void>;
	/** What is known of the run now. An unknown status is running, never success. */
	look(id: RunId): Promise<Job>;
	/** Asks it to stop, with the grace that lets it save a checkpoint. */
	stop(id: RunId): Promise<void>;
	/** Every run of this project that is still costing money. */
	list(): Promise<readonly Job[]>;
}

/** Keeps documents and artefacts by key. */
export interface Store {
	/** The bytes at a key; null where there are none. */
	get(key: string): Promise<Uint8Array | null>;
	/** Writes if the key is free; true if this call wrote it. What is there is never changed. */
	put(key: string, bytes: string | Uint8Array): Promise<boolean>;
	/** Keys that begin with a prefix, sorted. */
	list(prefix: string): Promise<string[]>;
	/** Where a job finds or leaves what lies under a key. */
	locate(key: string): string;
}

export interface TrainPorts {
	executor: Executor;
	store: Store;
	/** Resamples of the bootstrap. */
	resamples?: number;
	/** The pull request that asks for the runs: once none asks for a run that is still going, it's stopped. */
	pullRequest?: number | undefined;
}

/** The folder of a training's artefacts in the store. */
export function modelKey(model: string, run: RunId): string {
	return `models/${model}/${run}/model`;
}

/** The folder of an evaluation's artefacts, in that of the training that it judges. */
export function evaluationKey(model: string, run: RunId, evaluation: RunId): string {
	return `models/${model}/${run}/evaluations/${evaluation}`;
}

/** Takes the next step towards the plan's jobs being done, and tells what it saw: starts what is absent, failed or stopped. */
export async function startJobs(plan: Plan, ports: TrainPorts): Promise<Jobs> {
	const training = await begin(trainingRun(plan, ports.store), ports);
	const evaluation = training.state === "succeeded" ? await beginEvaluation(plan, ports) : null;
	return jobsOf(plan, training, evaluation);
}

/** What is to be looked at where nothing is known of a plan's jobs yet. */
export function unseenJobs(plan: Plan): Jobs {
	return { schema: 1, experiment: plan.experiment.name, run: plan.run.id, evaluation: null, jobs: [] };
}

/** Looks at the jobs and goes on from training to evaluation; starts nothing a second time. */
export async function lookAtJobs(plan: Plan, before: Jobs, ports: TrainPorts): Promise<Jobs> {
	const [known, next] = before.jobs;
	const training = { ...(await ports.executor.look(plan.run.id)), adopted: known?.adopted ?? true };
	if (training.state !== "succeeded") return keepBounds(plan, jobsOf(plan, training, null), ports);
	const { document } = await evaluationRun(plan, ports);
	const seen = await ports.executor.look(document.id);
	if (seen.state === "absent") return jobsOf(plan, training, await beginEvaluation(plan, ports));
	// One that failed or was stopped is started again where somebody asks for it, not by a look.
	if (!next) await claim(document.id, ports);
	const evaluation = { ...seen, adopted: next?.adopted ?? true };
	return keepBounds(plan, jobsOf(plan, training, evaluation), ports);
}

export interface FollowOptions {
	/** Told what every look saw. */
	onLook?: ((jobs: Jobs) => void) | ((jobs: Jobs) => void)[];
	pollMs?: number;
	signal?: AbortSignal;
}

/** The stage: starts or adopts, and looks once or follows to the end. */
export async function trainPlan(
	plan: Plan,
	ports: TrainPorts,
	options: FollowOptions & { follow: boolean },
): Promise<Jobs> {
	return options.follow ? followJobs(plan, ports, options) : startJobs(plan, ports);
}

/** Follows the jobs to their end: for a runner that is itself the machine that trains. */
export async function followJobs(plan: Plan, ports: TrainPorts, options: FollowOptions = {}): Promise<Jobs> {
	let jobs = await startJobs(plan, ports);
	const told = [options.onLook ?? []].flat();
	for (;;) {
		for (const tell of told) tell(jobs);
		if (isSettled(jobs) || options.signal?.aborted) return jobs;
		await new Promise((resolve) => setTimeout(resolve, options.pollMs ?? 500));
		jobs = await lookAtJobs(plan, jobs, ports);
	}
}

/** Asks every running job of the plan to stop, with a checkpoint saved, and tells of each that was asked. */
export async function stopJobs(jobs: Jobs, executor: Executor): Promise<Jobs> {
	for (const job of jobs.jobs) if (job.state === "running") await executor.stop(job.id);
	const asked = jobs.jobs.map((job) =>
		job.state === "running" ? { ...job, diagnosis: job.diagnosis ?? "It was asked to stop." } : job,
	);
	return { ...jobs, jobs: asked };
}

/** The jobs with the last of them looked at anew where it still ran: starts nothing. */
export async function renewJobs(jobs: Jobs, executor: Executor): Promise<Jobs> {
	const job = jobs.jobs.at(-1);
	if (job?.state !== "running") return jobs;
	const seen = await executor.look(job.id);
	// That it was asked to stop is known until it has ended.
	const diagnosis = seen.state === "running" ? job.diagnosis : seen.diagnosis;
	return { ...jobs, jobs: [...jobs.jobs.slice(0, -1), { ...seen, diagnosis, adopted: job.adopted }] };
}

function claimKey(id: RunId, pullRequest: number | ""): string {
	return `claims/${id}/${pullRequest}`;
}

async function claim(id: RunId, { store, pullRequest }: TrainPorts): Promise<void> {
	if (pullRequest !== undefined) await store.put(claimKey(id, pullRequest), "");
}

/** The pull requests that have asked for a run; none where a person started it by hand. */
export async function claimsOf(id: RunId, store: Store): Promise<number[]> {
	const prefix = claimKey(id, "");
	return (await store.list(prefix)).map((key) => Number(key.slice(prefix.length)));
}

/** Whether another pull request that is open has asked for what runs. */
export async function isShared(
	{ jobs }: Jobs,
	{ store, pullRequest }: Pick<TrainPorts, "store" | "pullRequest">,
	isOpen: (pullRequest: number) => Promise<boolean>,
): Promise<boolean> {
	const running = jobs.find(({ state }) => state === "running");
	const others = running ? (await claimsOf(running.id, store)).filter((claim) => claim !== pullRequest) : [];
	for (const other of others) if (await isOpen(other)) return true;
	return false;
}

/** True once nothing more will happen by itself. */
export function isSettled(jobs: Jobs): boolean {
	const last = jobs.jobs.at(-1);
	return last !== undefined && last.state !== "running" && !(last.kind === "train" && last.state === "succeeded");
}

/** True once there is something to report. */
export function isEvaluated(jobs: Jobs): boolean {
	return jobs.jobs.some((job) => job.kind === "evaluate" && job.state === "succeeded");
}

/** The evaluation's document: the very artefacts that were trained, against the baseline's, on the test manifest. */
export function evaluationOf(plan: Plan, manifest: string, resamples: number): RunEvaluate {
	const { run, baseline } = plan;
	return identify<RunEvaluate>({
		schema: 1,
		kind: "evaluate",
		id: "",
		experiment: run.experiment,
		model: run.model,
		processes: run.processes,
		data: run.data,
		candidate: { run: run.id, manifest },
		production: baseline && { version: baseline.version, run: baseline.run, manifest: baseline.manifest },
		code: run.code,
		resamples,
		seed: run.seed,
	});
}

function trainingRun(plan: Plan, store: Store): Run {
	const { run, machine, baseline, weights, replay } = plan;
	return {
		document: run,
		machine,
		data: plan.data.location,
		conditions: plan.conditions,
		inputs: {
			...(weights ? { weights: weights.location } : {}),
			...(replay ? { replay: replay.location } : {}),
			// What it is guarded by: production's latency and the profile of its data.
			...(baseline ? { production: baseline.location } : {}),
		},
		checkpoints: {
			...(machine.fast_storage ? { fast: path.join(machine.fast_storage, run.id) } : {}),
			durable: store.locate(`models/${run.model}/${run.id}/checkpoints`),
		},
		output: store.locate(modelKey(run.model, run.id)),
	};
}

async function evaluationRun(
	plan: Plan,
	{ store, resamples = 1000 }: TrainPorts,
): Promise<Run & { document: RunEvaluate }> {
	const { model, id } = plan.run;
	const key = modelKey(model, id);
	const manifest = await store.get(`${key}/manifest.json`);
	if (!manifest) throw new ServiceError("store", `${key}/manifest.json is gone, and the training had succeeded.`);
	const document = evaluationOf(plan, sha256(manifest), resamples);
	return {
		document,
		machine: plan.machine,
		data: plan.data.location,
		conditions: plan.conditions,
		inputs: {
			candidate: store.locate(key),
			...(plan.baseline ? { production: plan.baseline.location } : {}),
		},
		checkpoints: {},
		output: store.locate(evaluationKey(model, id, document.id)),
	};
}

/** Begins the evaluation, with what earlier ones have measured already: after production has moved on that is all of it. */
async function beginEvaluation(plan: Plan, ports: TrainPorts): Promise<Job> {
	const run = await evaluationRun(plan, ports);
	const { candidate, production } = run.document;
	for (const [name, model] of Object.entries({ candidate, production })) {
		const key = model && (await measuredBefore(run.document, model, ports.store));
		if (key) run.inputs[`measured-${name as "candidate" | "production"}`] = ports.store.locate(key);
	}
	return begin(run, ports);
}

/** The key of a finished evaluation that measured a model on the same frames by the same code; null where there is none. */
async function measuredBefore(
	{ model, data, code, id }: RunEvaluate,
	{ run, manifest }: { run: RunId; manifest: string },
	store: Store,
): Promise<string | null> {
	const prefix = evaluationKey(model, run, "");
	const keys = new Set(await store.list(prefix));
	for (const key of keys) {
		const folder = path.posix.dirname(key);
		// The manifest is written last.
		if (path.posix.basename(key) !== "eval_report.json" || !keys.has(`${folder}/manifest.json`)) continue;
		if (folder === `${prefix}${id}`) continue;
		const report = await parseDocument("eval_report", (await store.get(key))!, key).catch((error: unknown) => {
			// What another version of this tool has written is not read; measuring anew costs time alone.
			if (error instanceof InvalidInput) return null;
			throw error;
		});
		const isOfThis = (kept: EvalReport["statistics"][number]) =>
			kept.model === manifest &&
			kept.data === data.version &&
			kept.frames === data.manifests.test.sha256 &&
			kept.code === code;
		if (report?.statistics.some(isOfThis)) return folder;
	}
	return null;
}

async function begin(run: Run, ports: TrainPorts): Promise<Job> {
	const { executor, store } = ports;
	const { id } = run.document;
	// Before anything costs money: what runs and is claimed by nobody would never be stopped.
	await claim(id, ports);
	const key = `documents/${id}.json`;
	const text = documentText(run.document);
	if (!(await store.put(key, text))) {
		const there = await store.get(key);
		if (there && !Buffer.from(there).equals(Buffer.from(text))) {
			await parseDocument("run", there, key);
			throw new InvalidInput(
				`The store has a run ${id} with another document: it isn't adopted. A run's id is the digest of its inputs, so one of the two was changed by hand.`,
			);
		}
	}
	const before = await executor.look(id);
	await executor.start(run);
	const after = await executor.look(id);
	return { ...after, adopted: before.state === "running" || before.state === "succeeded" };
}

/** Asks a job to stop that runs past its machine's deadline, or whose plan has cost more than its machine's budget. */
async function keepBounds(plan: Plan, jobs: Jobs, { executor }: TrainPorts): Promise<Jobs> {
	const job = jobs.jobs.at(-1)!;
	const diagnosis = job.state === "running" ? excess(plan, jobs.jobs) : null;
	if (diagnosis === null) return jobs;
	await executor.stop(job.id);
	return { ...jobs, jobs: [...jobs.jobs.slice(0, -1), { ...job, diagnosis }] };
}

/** Which bound of the machine the jobs are past, in a sentence; null where they keep them all. */
function excess({ machine: { max_minutes, max_cost_usd } }: Plan, jobs: readonly Job[]): string | null {
	if ((jobs.at(-1)?.seconds ?? 0) > max_minutes * 60)
		return `It ran longer than the ${max_minutes} minutes that its machine allows, and was asked to stop.`;
	const cost = jobs.reduce((sum, job) => sum + (job.cost_usd ?? 0), 0);
	if (max_cost_usd !== null && cost > max_cost_usd)
		return `It has cost $${cost.toFixed(2)}, more than the $${max_cost_usd.toFixed(2)} that its machine allows, and was asked to stop.`;
	return null;
}

function jobsOf(plan: Plan, training: Job, evaluation: Job | null): Jobs {
	return {
		schema: 1,
		experiment: plan.experiment.name,
		run: plan.run.id,
		evaluation: evaluation?.id ?? null,
		jobs: evaluation ? [training, evaluation] : [training],
	};
}
