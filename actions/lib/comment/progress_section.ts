// What a job says of itself becomes the words and the bar of a comment: how far it is, what it takes, what is spent.
import { windowWords } from "../experiment/window.ts";
import type { Jobs, JobsJob, Plan, Report } from "../generated/documents.d.ts";
import { nameOf } from "../metrics.ts";
import type { Spend } from "../plan/estimate.ts";
import { counted } from "../text/counted.ts";
import { code, duration, figure, link } from "../text/markdown.ts";

/** Characters of the bar. */
const WIDTH = 20;
/** Metrics beside the bar; the rest is in the log. */
const MOST_METRICS = 6;

/** What it will take, before it is known. */
export function costSection({ estimate, machine, run, data }: Plan): string {
	const time = estimate.seconds === null ? "unknown" : `about ${duration(estimate.seconds)}`;
	const money =
		machine.price_usd_per_hour === 0
			? "no hourly price"
			: `${estimate.cost_usd === null ? "unknown" : `$${estimate.cost_usd.toFixed(2)}`}, at most $${estimate.max_cost_usd.toFixed(2)}`;
	return `**Cost:** ${time} on ${code(machine.name)} (${counted(run.processes, "process", "processes")}), ${money}; ${data.splits.train.frames} training frames${windowWords(run.window)}, ${counted(run.train.epochs, "epoch")}. Basis: ${code(estimate.basis)}.`;
}

/** What several runs take, in an estimate and at most. */
export function spendText({ seconds, cost_usd, max_seconds, max_cost_usd }: Spend): string {
	const time = seconds === null ? "an unknown time" : `about ${duration(seconds)}`;
	if (max_cost_usd === 0) return `${time}, at most ${duration(max_seconds)}, with no hourly price`;
	const money = cost_usd === null ? "" : ` and $${cost_usd.toFixed(2)}`;
	return `${time}${money}, at most ${duration(max_seconds)} and $${max_cost_usd.toFixed(2)}`;
}

/** What the jobs took. */
export function spentLine({ spent }: Report): string {
	return `<sub>Took ${spentText(spent.seconds, spent.cost_usd)}.</sub>`;
}

function spentText(seconds: number, dollars: number): string {
	return `${duration(seconds)}${dollars > 0 ? ` and $${dollars.toFixed(2)}` : ""}`;
}

/** Whether a job that still runs was asked to stop: nothing else gives it a diagnosis before its end. */
export function isStopping({ state, diagnosis }: JobsJob): boolean {
	return state === "running" && diagnosis !== null;
}

/** How far a job is, in a few words. */
export function progressText(job: JobsJob): string {
	const { progress, kind, state } = job;
	if (state === "succeeded") return kind === "train" ? "trained, evaluation is next" : "evaluated, report is next";
	if (!progress) return `${kind} is starting`;
	const share = shareOf(job);
	const step = share === null ? "" : `, ${Math.floor(100 * share)} %`;
	const left = progress.seconds_left === null ? "" : `, ${duration(progress.seconds_left)} left`;
	return `${code(progress.stage)}${step}${left}`;
}

/** How much of its stage a job has done, from 0 to 1; null where it hasn't said. */
function shareOf({ progress }: JobsJob): number | null {
	if (!progress || progress.step === null || !progress.steps) return null;
	return Math.min(Math.max(progress.step / progress.steps, 0), 1);
}

/** The bar, where the job is, its figures so far, what is spent, and where to watch it. */
export function runningSection({ jobs }: Jobs, job: JobsJob, { estimate }: Plan): string {
	const spent = jobs.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0);
	const dollars = jobs.reduce((sum, { cost_usd }) => sum + (cost_usd ?? 0), 0);
	const limit = dollars > 0 && estimate.max_cost_usd > 0 ? ` of at most $${estimate.max_cost_usd.toFixed(2)}` : "";
	const watch = job.url === null ? "" : link("Watch the job", job.url);
	const attempt = job.attempt > 1 ? `Attempt ${job.attempt}.` : "";
	const facts = [
		figuresText(job),
		`Spent so far: ${spentText(spent, dollars)}${limit}.`,
		attempt,
		watch && `${watch}.`,
	];
	return [barText(job), facts.filter(Boolean).join(" ")].filter(Boolean).join("\n\n");
}

function barText(job: JobsJob): string {
	const share = shareOf(job);
	const { progress } = job;
	if (!progress || share === null || job.state !== "running") return "";
	const filled = Math.floor(share * WIDTH);
	const bar = `\`${"█".repeat(filled)}${"░".repeat(WIDTH - filled)}\` **${Math.floor(100 * share)} %**`;
	const epoch = progress.epoch === null ? "" : `epoch ${progress.epoch} of ${progress.epochs}`;
	const left = progress.seconds_left === null ? "" : `${duration(progress.seconds_left)} left`;
	return [bar, code(progress.stage), epoch, `step ${progress.step} of ${progress.steps}`, left]
		.filter(Boolean)
		.join(" · ");
}

function figuresText({ progress, state }: JobsJob): string {
	if (!progress || state !== "running") return "";
	const figures = Object.entries(progress.metric ?? {}).slice(0, MOST_METRICS);
	const shown = figures.map(([name, value]) => `${nameOf(name, code)} ${figure(value)}`);
	if (progress.loss !== null) shown.push(`loss ${figure(progress.loss)}`);
	return shown.length > 0 ? `Now: ${shown.join(", ")}.` : "";
}
