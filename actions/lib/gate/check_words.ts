// A verdict's checks become words: the limit, what was measured, the outcome, and the order in which a reviewer asks.
import type { Verdict } from "../generated/documents.d.ts";
import { decimalsOf, isLatency, nameOf, unitOf } from "../metrics.ts";
import { checkNoiseText } from "../report/noise.ts";
import { change, code, figure, interval } from "../text/markdown.ts";

type Check = Verdict["checks"][number];

/** How often the verdict itself is wrong, for a reader who has seen gates flip on noise. */
export function familySentence({ family: { checks, level } }: Verdict): string {
	if (checks === 0) return "";
	const tested = checks === 1 ? "the tested check fails" : `any of the ${checks} tested checks fails`;
	return `For a model that meets every limit, the chance that ${tested} is at most ${100 * level} %. A check passes only if its whole interval is within the limit.`;
}

/** Checks in the order in which a reviewer asks: what blocks, what fails, then by how far the bound is missed. */
export function worstFirst(checks: readonly Check[]): Check[] {
	const order = { fail: 0, inconclusive: 1, no_baseline: 2, pass: 3 };
	return checks.toSorted(
		(a, b) => rank(a) - rank(b) || order[a.outcome] - order[b.outcome] || missedBy(b) - missedBy(a) || 0,
	);
}

/** What blocks comes first, then what would if it weren't waived. */
function rank({ blocking, waived }: Check): number {
	return blocking ? 0 : waived ? 1 : 2;
}

/** How far a check misses its bound, in units of the bound, so that scores and latencies compare; what wasn't measured misses most. */
function missedBy({ bound, actual, value }: Check): number {
	if (actual === null) return Number.MAX_VALUE;
	const over = bound === "min" ? value - actual : bound === "max_drop" ? -actual - value : actual - value;
	return over / Math.max(Math.abs(value), 1e-6);
}

/** What a check measured and where, in Markdown: `mAP −0.200 on night`; a level with its limit. */
export function foundText(check: Check): string {
	const { actual, bound } = check;
	const level = actual !== null && (bound === "min" || bound === "max");
	return `${measuredAt(check)}${level ? ` (limit: ${boundText(check)})` : ""}`;
}

/** What a check measured and where, without its limit. */
export function measuredAt(check: Check): string {
	return figureAt(check, check.actual === null ? "not measured" : measuredText(check, check.actual));
}

/** A figure of a metric and where it is measured, in Markdown. */
export function figureAt({ metric, slice }: Pick<Check, "metric" | "slice">, shown: string): string {
	return `${nameOf(metric, code)} ${shown} ${onText(slice, code)}`;
}

/** A metric and where it is measured: `mAP on night`. Names of slices and classes are untrusted text, and go through `quote`. */
export function scoreText(
	{ metric, slice }: Pick<Check, "metric" | "slice">,
	quote: (text: string) => string = (text) => text,
): string {
	return `${nameOf(metric, quote)} ${onText(slice, quote)}`;
}

function onText(slice: string | null, quote: (text: string) => string): string {
	return slice === null ? "overall" : slice === "*" ? "on every slice" : `on ${quote(slice)}`;
}

/** A slice as a reader names it. */
export function whereText(slice: string | null): string {
	return slice === null ? "overall" : slice === "*" ? "every slice" : code(slice);
}

/** On how much a figure was measured, under the heading of frames: a latency is measured in repeats. */
export function framesText({ metric, frames }: Pick<Check, "metric" | "frames">): string {
	return isLatency(metric) ? `${frames} repeats` : String(frames);
}

/** A check's outcome in plain words, and whether it blocks where that isn't said by the outcome itself. */
export function outcomeWords({ outcome, blocking, waived }: Check): string {
	if (outcome === "no_baseline") return "no baseline";
	if (waived) return `${outcome}, waived`;
	return blocking && outcome !== "fail" ? `${outcome}, blocks` : outcome;
}

/** The outcome with its mark. */
export function outcomeText(check: Check): string {
	return `${markOf(check)} ${outcomeWords(check)}`;
}

function markOf({ outcome, blocking, waived }: Check): string {
	if (waived) return "☑️";
	if (outcome === "inconclusive") return blocking ? "⚠️" : "➖";
	return { pass: "✅", fail: "❌", no_baseline: "–" }[outcome];
}

/** A check's limit. */
export function boundText({ bound, value, metric }: { bound: Check["bound"]; value: number; metric: string }): string {
	const unit = unitOf(metric);
	switch (bound) {
		case "min":
			return `at least ${value}${unit}`;
		case "max":
			return `at most ${value}${unit}`;
		case "max_drop":
			return `drop ≤ ${value}`;
		case "max_regression_percent":
			return `rise ≤ ${value} %`;
	}
}

/** A figure of a check, as a level or as a change. */
export function valueText({ bound, metric }: Check, value: number): string {
	const level = bound === "min" || bound === "max";
	const decimals = bound === "max_regression_percent" ? 1 : decimalsOf(metric);
	return level ? figure(value, decimals) : change(value, decimals);
}

/** What a check measured, with its unit. */
export function measuredText(check: Check, actual: number): string {
	const unit = check.bound === "max_regression_percent" ? " %" : unitOf(check.metric);
	return `${valueText(check, actual)}${unit}`;
}

/** What a check measured with its interval and the noise beside that, in a table's cell. */
export function actualText(check: Check): string {
	if (check.actual === null) return "–";
	const beside = [interval(check.interval, (value) => valueText(check, value)), checkNoiseText(check)];
	const small = beside.filter(Boolean).map((text) => `<br><sub>${text}</sub>`);
	return `${measuredText(check, check.actual)}${small.join("")}`;
}
