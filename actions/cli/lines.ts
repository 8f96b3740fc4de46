// Documents become one line each, for a terminal.
import { overlapText } from "../lib/data/overlap.ts";
import { windowWords } from "../lib/experiment/window.ts";
import { scoreText } from "../lib/gate/check_words.ts";
import { waivedWords } from "../lib/gate/waivers.ts";
import type { Jobs, Plan, PlanOverlap, PlanWarning, Promotion, Verdict } from "../lib/generated/documents.d.ts";
import { seedsToRun } from "../lib/report/noise.ts";
import { counted } from "../lib/text/counted.ts";

/** Settings that a line names. */
const MOST_NAMED = 4;

/** What would run, on what, against whom. */
export function planText({ run, data, baseline, promoted, changes, machine, estimate }: Plan): string {
	const against =
		promoted !== null
			? `was promoted as v${promoted}`
			: baseline
				? `against production v${baseline.version}`
				: "no production model yet";
	const seconds = estimate.seconds === null ? "" : `, about ${Math.round(estimate.seconds)} s`;
	const cost =
		machine.price_usd_per_hour === 0
			? ""
			: `, ${estimate.cost_usd === null ? "" : `$${estimate.cost_usd.toFixed(2)}, `}at most $${estimate.max_cost_usd.toFixed(2)}`;
	const shared = data.overlap ? `\nsplits: ${overlapText(data.overlap)}${reasonText(data.overlap)}` : "";
	return `run ${run.id} on ${data.splits.train.frames} frames of ${run.data.name}${windowWords(run.window)}, ${against}, ${changesText(changes)}${seconds}${cost}${shared}`;
}

/** Why splits may share drives. */
function reasonText({ reason }: PlanOverlap): string {
	return reason === null ? "" : ` (shared drives: ${reason})`;
}

/** A warning with its place, as editors find it. */
export function warningLine({ file, line, column, message }: PlanWarning): string {
	return `warning: ${file}:${line}:${column} ${message}`;
}

/** How many settings differ from production's, and the first of them by name. */
function changesText(changes: Plan["changes"]): string {
	const count = counted(changes.length, "setting differs", "settings differ");
	if (changes.length === 0) return count;
	const more = changes.length > MOST_NAMED ? ` and ${changes.length - MOST_NAMED} more` : "";
	const named = changes.slice(0, MOST_NAMED).map(({ path }) => path);
	return `${count} (${named.join(", ")}${more})`;
}

/** How each job ended, and what it took. */
export function jobsText({ jobs }: Jobs): string {
	return jobs
		.map((job) => {
			const adopted = job.adopted ? " (adopted: already there)" : "";
			const took = job.seconds === null ? "" : ` in ${Math.round(job.seconds)} s`;
			return `${job.kind} ${job.state}${job.adopted ? adopted : took}${job.diagnosis ? `: ${job.diagnosis}` : ""}`;
		})
		.join(", ");
}

/** The outcome, its counts and what was lost. */
export function verdictText({ outcome, checks, counts }: Verdict): string {
	const failed = [...new Set(checks.filter((check) => check.blocking).map((check) => scoreText(check)))];
	const lost =
		failed.length > 0
			? `: ${failed.slice(0, 12).join(", ")}${failed.length > 12 ? ` and ${failed.length - 12} more` : ""}`
			: "";
	const seeds = seedsToRun(checks, (text) => text);
	const noise = seeds ? `; closer to a limit than the training noise: to find out, run ${seeds}` : "";
	const tally = `${counted(counts.pass, "check")} passed, ${counts.fail} failed, ${counts.inconclusive} inconclusive, ${counts.no_baseline} without a baseline`;
	return `${outcome}${waivedWords(counts.waived)} (${tally})${lost}${noise}`;
}

/** What became of the model in its line; `production` is the line's where this promotion changed nothing. */
export function promotionText(
	{ status, model, version, replaced, waived = [] }: Promotion,
	production: number | null = null,
): string {
	const words = waivedWords(waived.length);
	if (status === "pending") return `registered as ${model} v${version}, pending${words}`;
	if (production === version) return `${model} v${version} is already production${words}`;
	if (production !== null)
		return `${model} v${version}${words} was promoted and replaced since: production is v${production}`;
	return `promoted: ${model} v${version}${replaced === null ? " is its first production model" : ` replaced v${replaced}`}${words}`;
}
