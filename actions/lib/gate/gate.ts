// A report becomes a verdict: one record for each rule and score, each ending in pass, fail or inconclusive with a sentence that says why.
import { documentText, sha256 } from "../documents.ts";
import type { PlanRule, PlanTestChange, Report, Verdict } from "../generated/documents.d.ts";
import { decimalsOf, isLatency, nameOf, unitOf } from "../metrics.ts";
import { checkNoise } from "../report/noise.ts";
import { counted } from "../text/counted.ts";
import { examCheck, rulesOfLost } from "./exam.ts";
import { studentBelow, studentQuantile } from "./student_t.ts";
import { waive } from "./waivers.ts";

type Score = Report["scores"][number];
export type Check = Verdict["checks"][number];
type Interval = [number, number] | null;
type Finding = Pick<Check, "outcome" | "actual" | "interval" | "why"> & { margin?: Margin };

/** By how much a bound is met, with its standard error; what it was found to be and what was asked, in words. */
interface Margin {
	value: number;
	error: number;
	units: number;
	/** What makes scores of it: percents are per cent of production's. */
	scale: number;
	found: string;
	bound: string;
}

/** One-sided: a pass, and all failures of a verdict together, are each wrong at most this often. With both sides it is the 95 % of the intervals. */
const LEVEL = 0.025;
/** Of more than so many times the units that there are, nobody would be helped by the number. */
const MOST_TIMES = 100;

/** What a policy is held against: scores with their intervals, the slices they are of, and what other seeds tell of them. */
export type Measured = Pick<Report, "policy" | "scores" | "slices" | "seeds"> & {
	uncertainty: Pick<Report["uncertainty"], "unit">;
	/** How the exam differs from production's. */
	change?: PlanTestChange | null;
};

/** What a verdict says of its checks. */
type Judgement = Pick<Verdict, "family" | "outcome" | "passed" | "counts" | "checks">;

/** Judges a report by the policy and the waivers in it. What wasn't measured, isn't a number, or rests on too few frames never passes. */
export function judge(report: Report, now = new Date()): Verdict {
	const { family, checks: found } = judgeScores({ ...report, change: report.data.test?.change ?? null });
	const { checks, idle } = waive([...examCheck(report), ...found], report, now);
	const judgement = conclude(family, checks);
	const { file } = report.policy.waivers ?? {};
	return {
		schema: 1,
		experiment: report.experiment.name,
		model: report.experiment.model,
		run: report.run,
		evaluation: report.evaluation,
		manifest: report.manifest,
		baseline: report.baseline?.version ?? null,
		policy: { name: report.policy.name, file: report.policy.file },
		report: sha256(documentText(report)),
		...(file && judgement.counts.waived + idle.length > 0 ? { waivers: { file, idle } } : {}),
		...judgement,
	};
}

/** The verdict on scores alone, whichever model they are of and whatever is waived. */
export function judgeScores(report: Measured): Judgement {
	const found = report.policy.rules.flatMap((rule) => applyRule(rule, report));
	const tested = found.filter(({ finding }) => finding.margin).length;
	const failing = holm(found.map(({ finding }) => (finding.margin ? pFail(finding.margin) : null)));
	const checks = found.map(({ rule, score, finding }, place) =>
		toCheck(
			rule,
			score,
			report,
			decide(finding, failing[place]!, tested, isLatency(rule.metric) ? null : report.uncertainty.unit),
		),
	);
	return conclude({ method: "holm", level: LEVEL, checks: tested }, checks);
}

/** What checks come to together. */
function conclude(family: Verdict["family"], checks: Check[]): Judgement {
	const waived = checks.filter((check) => check.waived);
	const count = (outcome: Check["outcome"]) => checks.filter((check) => check.outcome === outcome).length;
	const failed = checks.some((check) => check.outcome === "fail" && check.blocking);
	// A policy without a single check that passed, or was waived on a figure, has measured nothing: it can't let a model through.
	const measured = count("pass") + waived.filter((check) => check.actual !== null).length;
	const blocked = checks.some((check) => check.blocking) || measured === 0;
	const outcome = failed ? "fail" : blocked ? "inconclusive" : "pass";
	return {
		family,
		outcome,
		passed: outcome === "pass",
		counts: {
			pass: count("pass"),
			fail: count("fail"),
			inconclusive: count("inconclusive"),
			no_baseline: count("no_baseline"),
			waived: waived.length,
		},
		checks,
	};
}

interface Applied {
	rule: PlanRule;
	score: Score | null;
	finding: Finding;
}

function applyRule(rule: PlanRule, report: Measured): Applied[] {
	const scores = report.scores.filter(
		(score) => score.metric === rule.metric && (rule.slice === "*" ? score.slice !== null : score.slice === rule.slice),
	);
	const lost = rulesOfLost(rule, report.change).map((rule) => ({ rule, score: null, finding: absent(rule) }));
	if (scores.length + lost.length === 0) return [{ rule, score: null, finding: absent(rule) }];
	return [...lost, ...scores.map((score) => ({ rule, score, finding: assess(rule, score) }))];
}

/** The probability of a margin as small as this, were the bound just met. */
function pFail({ value, error, units }: Margin): number {
	if (error === 0) return value < 0 ? 0 : 1;
	return studentBelow(value / error, units - 1);
}

/** Which of several p-values are too small to be chance, all together with an error of LEVEL at most (Holm 1979); null is not tested. */
function holm(values: (number | null)[]): boolean[] {
	const sorted = values
		.flatMap((value, place) => (value === null ? [] : [{ value, place }]))
		.toSorted((a, b) => a.value - b.value);
	const rejected = values.map(() => false);
	for (const [rank, { value, place }] of sorted.entries()) {
		// As decide has it for a single check, where the bound is the interval's end.
		if (!(value < LEVEL / (sorted.length - rank))) break;
		rejected[place] = true;
	}
	return rejected;
}

function toCheck(
	rule: PlanRule,
	score: Score | null,
	report: Measured,
	{ margin, settle, ...finding }: Finding & { settle: number | null },
): Check {
	const slice = score ? score.slice : rule.slice;
	const isProtected = report.slices.some((other) => other.name === slice && other.protected);
	const blocksWhenInconclusive = rule.inconclusive === "block" || isProtected;
	const of = isLevel(rule) ? "level" : "change";
	const noise = score && margin && checkNoise(report.seeds, score, { of, margin: margin.value, scale: margin.scale });
	return {
		metric: rule.metric,
		slice,
		bound: rule.bound,
		value: rule.value,
		...finding,
		blocking: finding.outcome === "fail" || (finding.outcome === "inconclusive" && blocksWhenInconclusive),
		protected: isProtected,
		candidate: score?.candidate ?? null,
		production: score?.production ?? null,
		frames: score?.frames ?? 0,
		units: score?.units ?? 0,
		p_fail: margin ? pFail(margin) : null,
		settle,
		...(noise ? { noise } : {}),
		objects: score?.objects ?? null,
		min_frames: rule.min_frames,
		reason: rule.reason,
		line: rule.line,
	};
}

function absent(rule: PlanRule): Finding {
	const where = rule.slice === null ? "" : rule.slice === "*" ? " on any slice" : ` on ${rule.slice}`;
	return {
		outcome: "fail",
		actual: null,
		interval: null,
		why: `${nameOf(rule.metric)} was not measured${where}, so the check fails.`,
	};
}

/** Whether a rule asks for a level of the candidate's own, rather than for its change from production. */
function isLevel({ bound }: PlanRule): boolean {
	return bound === "min" || bound === "max";
}

function assess(rule: PlanRule, score: Score): Finding {
	if (!isNumber(score.candidate)) {
		return {
			outcome: "fail",
			actual: null,
			interval: null,
			why: `There is nothing to measure ${nameOf(rule.metric)} on, so the check fails.`,
		};
	}
	const level = isLevel(rule);
	// Before frames are counted: a first model isn't held up by a comparison that nobody could make.
	if (!level && score.production === null && score.delta === null) {
		return {
			outcome: "no_baseline",
			actual: null,
			interval: null,
			why: "Production has no score to compare with.",
		};
	}
	if (score.frames < rule.min_frames) {
		const why = `Only ${counted(score.frames, "frame")}; the rule needs ${rule.min_frames}.`;
		return { outcome: "inconclusive", actual: null, interval: null, why };
	}
	if (level) return assessLevel(rule, score, score.candidate);
	return assessChange(rule, score);
}

/** The candidate's own level against a fixed bound. */
function assessLevel(rule: PlanRule, score: Score, level: number): Finding {
	const { metric } = rule;
	const interval = pair(score.candidate_interval);
	const bound = `${rule.bound === "min" ? "at least" : "at most"} ${format(rule.value, metric)}`;
	const value = rule.bound === "min" ? level - rule.value : rule.value - level;
	const found = `${format(level, metric)}${interval ? ` (${formatInterval(interval, metric)})` : ""}`;
	const error = score.candidate_error;
	return toMargin({ actual: level, interval, value, error, units: score.units, scale: 1, found, bound });
}

/** The change from production, with the paired interval. */
function assessChange(rule: PlanRule, score: Score): Finding {
	if (!isNumber(score.production) || !isNumber(score.delta)) {
		return {
			outcome: "fail",
			actual: null,
			interval: null,
			why: `The change in ${nameOf(rule.metric)} is not a number, so the check fails.`,
		};
	}
	const percent = rule.bound === "max_regression_percent";
	if (percent && score.production <= 0) return assessRiseFromZero(rule, score);
	const scale = percent ? 100 / score.production : 1;
	const change = score.delta * scale;
	const measured = pair(score.delta_interval);
	const unit = percent ? " %" : unitOf(rule.metric);
	const bound = percent ? `a rise of at most ${rule.value} %` : `a drop of at most ${format(rule.value, rule.metric)}`;
	const shown = (value: number) =>
		`${value > 0 ? "+" : value < 0 ? "−" : ""}${Math.abs(value).toFixed(percent ? 1 : 3)}${unit}`;
	const interval: Interval = measured && [measured[0] * scale, measured[1] * scale];
	const value = percent ? rule.value - change : change + rule.value;
	const error = score.delta_error === null ? null : score.delta_error * scale;
	const found = `${shown(change)}${interval ? ` (${shown(interval[0])} to ${shown(interval[1])})` : ""}`;
	return toMargin({ actual: change, interval, value, error, units: score.units, scale, found, bound });
}

/** Of zero there is no percentage, and yet what surely hasn't risen meets every bound: a miss rate may well be zero. */
function assessRiseFromZero(rule: PlanRule, score: Score): Finding {
	const interval = pair(score.delta_interval);
	if (score.production === 0 && interval && interval[1] <= 0) {
		const why = `${nameOf(rule.metric)} is zero, as in production: no rise, with 95 % confidence.`;
		return { outcome: "pass", actual: 0, interval: [0, 0], why };
	}
	const level = score.production === 0 ? "zero" : "below zero";
	const why = `Production's ${nameOf(rule.metric)} is ${level}, so a rise in percent can't be computed.`;
	return { outcome: "inconclusive", actual: null, interval: null, why };
}

/** A figure that can be held against its bound; without a standard error it can't be told. */
function toMargin(made: Omit<Margin, "error"> & { actual: number; interval: Interval; error: number | null }): Finding {
	const { actual, interval, error, ...margin } = made;
	if (error === null || interval === null || margin.units < 2) {
		const why = `${margin.found} has no interval, so the limit (${margin.bound}) can't be checked.`;
		return { outcome: "inconclusive", actual, interval: null, why };
	}
	if (![margin.value, error, ...interval].every(Number.isFinite) || error < 0) {
		const why = "The interval is not a number, so the check fails.";
		return { outcome: "fail", actual: null, interval: null, why };
	}
	return { outcome: "inconclusive", actual, interval, why: "", margin: { ...margin, error } };
}

/** The outcome of a finding among all of its verdict: `failing` is what Holm's procedure says of it, `unit` what more of would settle it; null for times, which a quiet machine settles. */
function decide(
	finding: Finding,
	failing: boolean,
	tested: number,
	unit: Report["uncertainty"]["unit"] | null,
): Finding & { settle: number | null } {
	const { margin } = finding;
	if (!margin) return { ...finding, settle: null };
	const { found, bound, value, error, units } = margin;
	if (failing) {
		const why = `${found} is outside the limit (${bound}), with 95 % confidence.`;
		return { ...finding, outcome: "fail", why, settle: null };
	}
	const freedom = units - 1;
	// Even the interval's worse end meets the bound. That each check must pass by itself needs no
	// correction for their number: a model that is worse somewhere must pass wrongly just there (Berger 1982).
	const quantile = -studentQuantile(LEVEL, freedom);
	if (value - quantile * error >= 0) {
		return {
			...finding,
			outcome: "pass",
			why: `${found} is within the limit (${bound}), with 95 % confidence.`,
			settle: null,
		};
	}
	const needed = value < 0 ? -studentQuantile(LEVEL / tested, freedom) : quantile;
	// Twice the units that would just do: then four in five such figures are settled.
	const times = 2 * ((needed * error) / value) ** 2;
	const settle = unit !== null && times <= MOST_TIMES ? Math.max(1, Math.ceil((times - 1) * units)) : null;
	const help =
		unit === null
			? "The times vary too much to tell; on a quiet machine they vary less."
			: settle === null
				? `It is too close to the limit for any realistic number of ${unit}s.`
				: `About ${counted(settle, `more ${unit}`)} would settle it.`;
	const alone = value + quantile * error < 0 ? ` Alone it would fail; among ${tested} checks it may be chance.` : "";
	return {
		...finding,
		outcome: "inconclusive",
		why: `${found} may be within the limit (${bound}) or not. ${help}${alone}`,
		settle,
	};
}

function isNumber(value: number | null): value is number {
	return value !== null && Number.isFinite(value);
}

function pair(interval: Score["delta_interval"]): Interval {
	return interval ? [interval[0], interval[1]] : null;
}

function format(value: number, metric: string): string {
	return `${value.toFixed(decimalsOf(metric))}${unitOf(metric)}`;
}

function formatInterval(interval: [number, number], metric: string): string {
	return `${format(interval[0], metric)} to ${format(interval[1], metric)}`;
}
