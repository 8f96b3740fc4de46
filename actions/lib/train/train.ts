// A plan becomes jobs: the training, then the evaluation of what it made against production; started once, followed, resumed, stopped.
import { documentText, parseDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { Jobs, Plan } from "../generated/documents.d.ts";
import { keepBounds } from "./bounds.ts";
import { claim } from "./claims.ts";
import type { Executor, Job, Run, TrainPorts } from "./executor.ts";
import { evaluationRun, measuredBefore, trainingRun } from "./runs.ts";

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
	/** Minutes after which the jobs are left to go on by themselves; 0 looks once. To their end where it's left out. */
	minutes?: number;
	/** Told what every look saw. */
	onLook?: ((jobs: Jobs) => void) | ((jobs: Jobs) => void)[];
	pollMs?: number;
	signal?: AbortSignal;
}

/** The stage: starts or adopts the jobs, and follows them to their end, or for a while. */
export async function followJobs(plan: Plan, ports: TrainPorts, options: FollowOptions = {}): Promise<Jobs> {
	const { minutes = Number.POSITIVE_INFINITY, signal, pollMs = 500 } = options;
	const until = performance.now() + minutes * 60_000;
	let jobs = await startJobs(plan, ports);
	const told = [options.onLook ?? []].flat();
	for (;;) {
		for (const tell of told) tell(jobs);
		if (isSettled(jobs) || signal?.aborted || performance.now() >= until) return jobs;
		await new Promise((resolve) => setTimeout(resolve, pollMs));
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

/** True once nothing more will happen by itself. */
export function isSettled(jobs: Jobs): boolean {
	const last = jobs.jobs.at(-1);
	return last !== undefined && last.state !== "running" && !(last.kind === "train" && last.state === "succeeded");
}

/** True once there is something to report. */
export function isEvaluated(jobs: Jobs): boolean {
	return jobs.jobs.some((job) => job.kind === "evaluate" && job.state === "succeeded");
}

/** Begins the evaluation, with what earlier ones have measured already: after production has moved on that is all of it. */
async function beginEvaluation(plan: Plan, ports: TrainPorts): Promise<Job> {
	const run = await evaluationRun(plan, ports);
	const { candidate, production } = run.document;
	for (const [name, model] of Object.entries({ candidate, production })) {
		const key = model && (await measuredBefore(run.document, model, ports));
		if (key) run.inputs[`measured-${name as "candidate" | "production"}`] = ports.store.locate(key);
	}
	return begin(run, ports);
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

function jobsOf(plan: Plan, training: Job, evaluation: Job | null): Jobs {
	return {
		schema: 1,
		experiment: plan.experiment.name,
		run: plan.run.id,
		evaluation: evaluation?.id ?? null,
		jobs: evaluation ? [training, evaluation] : [training],
	};
}
