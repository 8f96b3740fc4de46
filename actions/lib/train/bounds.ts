// A machine's limits of time and money become the end of a job that passes them.
import type { Jobs, Plan } from "../generated/documents.d.ts";
import type { Job, TrainPorts } from "./executor.ts";

/** Asks a job to stop that runs past its machine's deadline, or whose plan has cost more than its machine's budget. */
export async function keepBounds(plan: Plan, jobs: Jobs, { executor }: TrainPorts): Promise<Jobs> {
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
