// What other seeds tell of a score becomes the noise of training in a figure, and words on it beside the figure's interval.
import type { Report, Verdict, VerdictNoise } from "../generated/documents.d.ts";
import { decimalsOf, unitOf } from "../metrics.ts";
import { figure } from "../text/markdown.ts";

type Check = Verdict["checks"][number];
type Score = Pick<Report["scores"][number], "metric" | "slice">;
type Name = (text: string) => string;

/** How a figure is spread from seed to seed, and of how many of them; null for a model that tells nothing of it. */
export type Noise = Omit<VerdictNoise, "next">;

/** The noise of training in a model's own score, or in its change from production: of both models, or of the one that is known. */
export function noiseOf(seeds: Report["seeds"], score: Score, of: "level" | "change"): Noise | null {
	const find = (model: "candidate" | "production") =>
		seeds?.[model]?.scores.find(({ metric, slice }) => metric === score.metric && slice === score.slice);
	const own = find("candidate");
	const other = of === "change" ? find("production") : undefined;
	if (!own && !other) return null;
	// Seeds are drawn apart for each of the two, so that their variances add up.
	const deviation = Math.hypot(own?.deviation ?? 0, other?.deviation ?? 0);
	return { deviation, candidate: own?.seeds ?? null, production: other?.seeds ?? null };
}

/** The noise in a check's figure, whose bound is met by `margin`, and the seed to run next where that is less; null where no second seed tells it. `scale` makes scores what the figure is in. */
export function checkNoise(
	seeds: Report["seeds"],
	score: Score,
	{ of, margin, scale }: { of: "level" | "change"; margin: number; scale: number },
): VerdictNoise | null {
	const noise = noiseOf(seeds, score, of);
	if (!seeds || !noise) return null;
	const deviation = noise.deviation * scale;
	return { ...noise, deviation, next: Math.abs(margin) < deviation ? nextSeed(seeds, of) : null };
}

/** One more seed of the model that has fewer of them. */
function nextSeed({ candidate, production }: NonNullable<Report["seeds"]>, of: "level" | "change") {
	const other = of === "change" && production && production.next !== null ? production : candidate;
	const { experiment, next } = other.runs.length < candidate.runs.length ? other : candidate;
	return { experiment, seed: next! };
}

/** The noise in a score's change, or in its level where there is no production to compare with, as it stands beside an interval; empty where no second seed tells it. */
export function scoreNoise({ seeds }: Pick<Report, "seeds">, score: Report["scores"][number]): string {
	const noise = noiseOf(seeds, score, score.delta === null ? "level" : "change");
	return noise ? noiseText(noise, decimalsOf(score.metric), unitOf(score.metric)) : "";
}

/** A check's noise as it stands beside its interval, and of how many seeds; empty where no second seed tells it. */
export function checkNoiseText({ noise, metric, bound }: Check): string {
	if (!noise) return "";
	const { candidate, production } = noise;
	const percent = bound === "max_regression_percent";
	const shown = noiseText(noise, percent ? 1 : decimalsOf(metric), percent ? " %" : unitOf(metric));
	const level = bound === "min" || bound === "max";
	const counts = [candidate, production].filter((count) => count !== null).join(" and ");
	// Of a change the noise of one model is but a part.
	const part = level || (candidate !== null && production !== null) ? "" : partOf(noise);
	return `${shown} (${counts} seeds${part})`;
}

function noiseText({ deviation }: Noise, decimals: number, unit: string): string {
	return `training noise ± ${figure(deviation, decimals)}${unit}`;
}

function partOf({ candidate }: Noise): string {
	return candidate === null ? " of production alone" : " of this model alone";
}

/** That a check's figure is nearer to its bound than the noise of training, and which seed to run, in plain text; empty where it isn't. */
export function nearText(check: Check): string {
	const next = seedsToRun([check], (text) => text);
	return (
		next &&
		`Closer to the limit than the training noise: another seed may change the outcome. To find out, run ${next}.`
	);
}

/** The seeds that checks name to be run, each once; empty where they name none. */
export function seedsToRun(checks: readonly Check[], name: Name): string {
	const named = checks.flatMap(({ noise }) => (noise?.next ? [noise.next] : []));
	return [...new Set(named.map(({ experiment, seed }) => seedOf(experiment, seed, name)))].join(", and ");
}

function seedOf(experiment: string, seed: number, name: Name): string {
	return `a copy of ${name(experiment)} with ${name(`seed: ${seed}`)}`;
}

/** Of how many seeds the noise beside the scores is; empty where there is no second seed. */
export function seedsSentence({ seeds }: Report): string {
	if (!seeds) return "";
	const counted = ({ runs }: { runs: unknown[] }) => (runs.length > 1 ? runs.length : null);
	const [own, other] = [counted(seeds.candidate), seeds.production && counted(seeds.production)];
	const of = [own && `${own} of this model`, other && `${other} of production`].filter(Boolean).join(", ");
	return `Training noise is the standard deviation between seeds (${of}); the intervals don't include it.`;
}

/** What is known of the noise of training, and that it is not in the intervals. */
export function noiseSentence({ seeds, seed, experiment, baseline }: Report, name: Name): string {
	if (!seeds) {
		const lack = baseline ? "neither model has a second seed" : "there is no second seed";
		const next = seedOf(experiment.name, seed === 0 ? 1 : 0, name);
		return `They don't include training noise, which is not known: ${lack}. To measure it, run ${next}.`;
	}
	const list = ({ runs }: { runs: { seed: number }[] }) => runs.map((run) => run.seed).join(", ");
	const told = `this model: ${list(seeds.candidate)}${seeds.production ? `; production: ${list(seeds.production)}` : ""}`;
	const together = baseline ? " For a change it combines both models, where both are known." : "";
	return `They don't include training noise, which is shown beside them: the standard deviation between seeds (${told}).${together} It changes no outcome.`;
}
