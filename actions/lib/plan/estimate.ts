// Production's time a training frame becomes an estimate of what the plan takes and costs, and those of several plans become their sum.
import type { Dataset } from "../data/dataset.ts";
import type { ResolvedExperiment } from "../experiment/resolved.ts";
import type { Entry, Plan } from "../generated/documents.d.ts";

/** What a plan takes, and at most costs; without production nothing is known but the most. */
export function estimate(
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
			basis: `no earlier run of this line; stopped after ${max_minutes} minutes`,
		};
	}
	const frames = train.epochs * dataset.splits.train.frames;
	const seconds = (production.seconds * frames) / production.frames_trained;
	return {
		seconds,
		cost_usd: (seconds / 3600) * price,
		max_cost_usd,
		basis: `time per training frame of version ${production.version}`,
	};
}

/** What several plans take together; null where it isn't known of one of them. */
export interface Spend {
	runs: number;
	seconds: number | null;
	cost_usd: number | null;
	max_seconds: number;
	max_cost_usd: number;
}

/** The sum of what an approval starts, for one of the environment starts every run that waits for it. */
export function sumOf(plans: readonly Pick<Plan, "estimate" | "machine">[]): Spend {
	const total = (of: (plan: Pick<Plan, "estimate" | "machine">) => number | null) =>
		plans.reduce<number | null>((sum, plan) => {
			const value = of(plan);
			return sum === null || value === null ? null : sum + value;
		}, 0);
	return {
		runs: plans.length,
		seconds: total(({ estimate }) => estimate.seconds),
		cost_usd: total(({ estimate }) => estimate.cost_usd),
		// Training and evaluation may each take as long as a job may.
		max_seconds: total(({ machine }) => 2 * 60 * machine.max_minutes)!,
		max_cost_usd: total(({ estimate }) => estimate.max_cost_usd)!,
	};
}
