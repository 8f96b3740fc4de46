// A report becomes a verdict: one record for each rule and score, each ending in pass, fail or inconclusive with a sentence that says why.
import { documentText, sha256 } from "./documents.ts";
import type { PlanRule, Report, Verdict } from "./generated/documents.d.ts";
import { decimalsOf, isLatency, unitOf } from "./metrics.ts";

type Score = Report["scores"][number];
export type Check = Verdict["checks"][number];
type Interval = [number, number] | null;
type Finding = Pick<Check, "outcome" | "actual" | "interval" | "why">;

/** Judges a report by the policy in it. What wasn't measured, isn't a number, or rests on too few frames never passes. */
export function judge(report: Report): Verdict {
	const checks = report.policy.rules.flatMap((rule) => applyRule(rule, report));
	const count = (outcome: Check["outcome"]) => checks.filter((check) => check.outcome === outcome).length;
	const failed = checks.some((check) => check.outcome === "fail");
	// A policy without a single check that passed has measured nothing: it can't let a model through.
	const blocked = checks.some((check) => check.blocking) || count("pass") === 0;
	const outcome = failed ? "fail" : blocked ? "inconclusive" : "pass";
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
		outcome,
		passed: outcome === "pass",
		counts: {
			pass: count("pass"),
			fail: count("fail"),
			inconclusive: count("inconclusive"),
			no_baseline: count("no_baseline"),
		},
		checks,
	};
}

function applyRule(rule: PlanRule, report: Report): Check[] {
	const scores = report.scores.filter(
		(score) => score.metric === rule.metric && (rule.slice === "*" ? score.slice !== null : score.slice === rule.slice),
	);
	if (scores.length === 0) return [toCheck(rule, null, report, absent(rule))];
	return scores.map((score) => toCheck(rule, score, report, assess(rule, score)));
}

function toCheck(rule: PlanRule, score: Score | null, report: Report, finding: Finding): Check {
	const slice = score ? score.slice : rule.slice;
	const isProtected = report.slices.some((other) => other.name === slice && other.protected);
	const blocksWhenInconclusive = rule.inconclusive === "block" || isProtected;
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
		objects: score?.objects ?? null,
		min_frames: rule.min_frames,
		reason: rule.reason,
		line: rule.line,
	};
}

function absent(rule: PlanRule): Finding {
	const where = rule.slice === null ? "overall" : rule.slice === "*" ? "on any slice" : `on ${rule.slice}`;
	return {
		outcome: "fail",
		actual: null,
		interval: null,
		why: `${rule.metric} was not measured ${where}; what is not measured does not pass.`,
	};
}

function assess(rule: PlanRule, score: Score): Finding {
	if (!isNumber(score.candidate)) {
		return {
			outcome: "fail",
			actual: null,
			interval: null,
			why: `There was nothing to measure ${rule.metric} on; what is not measured does not pass.`,
		};
	}
	const level = rule.bound === "min" || rule.bound === "max";
	// Before frames are counted: a first model isn't held up by a comparison that nobody could make.
	if (!level && score.production === null && score.delta === null) {
		return {
			outcome: "no_baseline",
			actual: null,
			interval: null,
			why: "There is no production figure to compare with.",
		};
	}
	if (score.frames < rule.min_frames) {
		const why = `${score.frames} frames are too few to judge by; the rule asks for ${rule.min_frames}.`;
		return { outcome: "inconclusive", actual: null, interval: null, why };
	}
	if (level) return assessLevel(rule, score.candidate, pair(score.candidate_interval));
	return assessChange(rule, score);
}

/** The candidate's own level against a fixed bound. */
function assessLevel(rule: PlanRule, level: number, interval: Interval): Finding {
	const { metric } = rule;
	const bound = `${rule.bound === "min" ? "at least" : "at most"} ${format(rule.value, metric)}`;
	if (!interval)
		return {
			outcome: "inconclusive",
			actual: level,
			interval,
			why: `No interval can be given for ${format(level, metric)}, so ${bound} can't be told.`,
		};
	const [low, high] =
		rule.bound === "min"
			? [interval[0] - rule.value, interval[1] - rule.value]
			: [rule.value - interval[1], rule.value - interval[0]];
	return decide(low, high, level, interval, {
		found: `${format(level, metric)} (${formatInterval(interval, metric)})`,
		bound,
	});
}

/** The change from production, with the paired interval. */
function assessChange(rule: PlanRule, score: Score): Finding {
	if (!isNumber(score.production) || !isNumber(score.delta)) {
		return {
			outcome: "fail",
			actual: null,
			interval: null,
			why: `The change of ${rule.metric} is not a number; what is not measured does not pass.`,
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
	if (!measured)
		return {
			outcome: "inconclusive",
			actual: change,
			interval: null,
			why: `No interval can be given for ${shown(change)}, so ${bound} can't be told.`,
		};
	const interval: [number, number] = [measured[0] * scale, measured[1] * scale];
	const [low, high] = percent
		? [rule.value - interval[1], rule.value - interval[0]]
		: [interval[0] + rule.value, interval[1] + rule.value];
	return decide(low, high, change, interval, {
		found: `${shown(change)} (${shown(interval[0])} to ${shown(interval[1])})`,
		bound,
	});
}

/** Of zero there is no percentage, and yet what surely hasn't risen meets every bound: a miss rate may well be zero. */
function assessRiseFromZero(rule: PlanRule, score: Score): Finding {
	const interval = pair(score.delta_interval);
	if (score.production === 0 && interval && interval[1] <= 0) {
		const why = `${rule.metric} is zero, as production's is: it has not risen, with 95 % confidence.`;
		return { outcome: "pass", actual: 0, interval: [0, 0], why };
	}
	const what = isLatency(rule.metric) ? "latency" : rule.metric;
	const why = `Production's ${what} is zero: no percentage can be given.`;
	return { outcome: "inconclusive", actual: null, interval: null, why };
}

/** `low` and `high` are the ends of the margin by which the bound is met: all of it above zero passes, all below fails. */
function decide(
	low: number,
	high: number,
	actual: number,
	interval: Interval,
	text: { found: string; bound: string },
): Finding {
	if (Number.isNaN(low) || Number.isNaN(high)) {
		return {
			outcome: "fail",
			actual: null,
			interval: null,
			why: "The interval is not a number; what is not measured does not pass.",
		};
	}
	if (low >= 0)
		return { outcome: "pass", actual, interval, why: `${text.found} meets ${text.bound}, with 95 % confidence.` };
	if (high < 0)
		return {
			outcome: "fail",
			actual,
			interval,
			why: `${text.found} does not meet ${text.bound}, with 95 % confidence.`,
		};
	return {
		outcome: "inconclusive",
		actual,
		interval,
		why: `${text.found} can't be told from ${text.bound}: more frames would settle it.`,
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
