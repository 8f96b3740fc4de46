// Scores become the slice table, each row with its interval on a common scale, and the heat map of slices by metrics.
import { type ComponentChild, h } from "preact";
import type { Report, Verdict } from "../generated/documents.d.ts";
import { gain, isLatency, moved, nameOf, unitOf } from "../metrics.ts";
import { noiseOf, noiseSentence, scoreNoise } from "../report/noise.ts";
import { change } from "../text/markdown.ts";
import {
	changeText,
	intervalBar,
	intervalText,
	levelText,
	metricColumn,
	metricName,
	type Row,
	rowsOf,
	type Score,
	section,
	shade,
	table,
} from "./parts.ts";

/** Scales in the units of a change: no interval decides over the length of all others' bars. */
const REACH_SHARE = 0.9;

/** The slice table with its filters. */
export function slicesSection(report: Report, verdict: Verdict | undefined): ComponentChild {
	const scores = report.scores.filter(({ metric }) => !isLatency(metric));
	if (scores.length === 0) return null;
	const reaches = reachByUnit(scores, verdict);
	const known: Known = {
		checks: new Map((verdict?.checks ?? []).toReversed().map((check) => [keyOf(check), check])),
		slices: new Map(report.slices.map((slice) => [slice.name, slice])),
	};
	const rows = rowsOf(scores.toSorted(byNews), (score) =>
		sliceRow(score, report, known, reaches.get(unitOf(score.metric)) ?? 1),
	);
	const metrics = [...new Set(scores.map(({ metric }) => metric))];
	const columns = [
		{ title: "slice", sorts: true },
		{ title: "metric", sorts: true },
		{ title: report.uncertainty.unit === "sequence" ? "sequences" : "frames", numeric: true, sorts: true },
		{ title: "objects", numeric: true, sorts: true },
		{ title: "production", numeric: true, sorts: true },
		{ title: "this", numeric: true, sorts: true },
		{ title: "change", numeric: true, sorts: true },
		{ title: "95 % interval of the change" },
		{ title: "verdict", sorts: true },
	];
	return section(
		"slices",
		"Slices",
		h(
			"form",
			{ class: "filters", "data-filters": "slice-table" },
			h("label", {}, "Slice ", h("input", { type: "search", name: "slice", autocomplete: "off" })),
			h(
				"label",
				{},
				"Metric ",
				h(
					"select",
					{ name: "metric" },
					h("option", { value: "" }, "all"),
					...metrics.map((metric) => h("option", { value: metric }, nameOf(metric))),
				),
			),
			h("label", {}, h("input", { type: "checkbox", name: "moved" }), " only what moved"),
			h("output", { "aria-live": "polite" }, `${rows.shown.length} of ${rows.shown.length} rows`),
		),
		table("Scores of each slice", columns, rows, { id: "slice-table", class: "cards" }),
		h("p", { class: "note" }, scaleNote(report, reaches)),
	);
}

function scaleNote(report: Report, reaches: Map<string, number>): string {
	const scales = [...reaches].map(([unit, reach]) => `±${reach}${unit || " (shares)"}`).join(", ");
	const { unit, resamples, seed, method } = report.uncertainty;
	const bars =
		reaches.size > 0
			? `Bars of one unit share one scale (${scales}). The dashed tick is the largest drop that the policy allows. `
			: "";
	const drawn = report.seeds && reaches.size > 0 ? " The pale bands show it." : "";
	return `${bars}Intervals: ${method}, ${resamples} resamples by ${unit}, seed ${seed}, the same draws for both models. ${noiseSentence(report, (text) => text)}${drawn}`;
}

/** What a row looks up: the first check of a score, and its slice. */
interface Known {
	checks: Map<string, Verdict["checks"][number]>;
	slices: Map<string, Report["slices"][number]>;
}

function keyOf({ metric, slice }: { metric: string; slice: string | null }): string {
	return `${slice}\u0000${metric}`;
}

function sliceRow(score: Score, report: Report, { checks, slices }: Known, reach: number): Row {
	const { metric, slice, frames, units, objects } = score;
	const check = checks.get(keyOf(score));
	const info = slice === null ? undefined : slices.get(slice);
	const where = Object.entries(info?.where ?? {}).map(([key, value]) => `${key}: ${[value].flat().join(" or ")}`);
	const state = moved(score);
	const noise = scoreNoise(report, score);
	const allowed = check?.bound === "max_drop" ? -check.value : null;
	return {
		data: { "data-slice": slice ?? "overall", "data-metric": metric, "data-moved": String(state !== "same") },
		cells: [
			{
				show: [
					h("span", { class: "name", title: where.join(", ") || undefined }, slice ?? "overall"),
					info?.protected ? h("span", { class: "tag" }, "protected") : null,
				],
				sort: slice ?? "",
			},
			{ show: metricName(metric) },
			{ show: report.uncertainty.unit === "sequence" ? `${units} (${frames} frames)` : String(frames), sort: units },
			{ show: objects === null ? "–" : String(objects), sort: objects },
			{ show: levelText(score.production, metric), sort: score.production },
			{ show: [levelText(score.candidate, metric), score.delta === null && small(noise)], sort: score.candidate },
			{ show: changeText(score), sort: gain(score), class: state },
			{
				show: [
					intervalBar(score, reach, { allowed, noise: noiseOf(report.seeds, score, "change")?.deviation ?? null }),
					h("span", { class: "ends" }, intervalText(score)),
					score.delta !== null && noise && h("span", { class: "ends" }, noise),
				],
			},
			check
				? {
						show: check.outcome === "no_baseline" ? "no baseline" : check.outcome,
						class: `outcome ${check.blocking ? "fail" : check.outcome}`,
					}
				: { show: "–", class: "outcome" },
		],
	};
}

function small(text: string): ComponentChild {
	return text === "" ? null : [h("br", {}), h("small", {}, text)];
}

/** Overall first, then what is surely worse, what is surely better, and the rest as it comes. */
function byNews(a: Score, b: Score): number {
	const rank = (score: Score) => (score.slice === null ? 0 : { worse: 1, better: 2, same: 3 }[moved(score)]);
	const first = rank(a) - rank(b);
	if (first !== 0 || rank(a) === 0 || rank(a) === 3) return first;
	return rank(a) === 1 ? gain(a)! - gain(b)! : gain(b)! - gain(a)!;
}

/** The largest of numbers that may be too many for arguments. */
function largestOf(values: readonly number[]): number {
	return values.reduce((largest, value) => Math.max(largest, value), 0);
}

/** For each unit the width of the bars' scale, rounded up to a plain number. */
function reachByUnit(scores: Score[], verdict: Verdict | undefined): Map<string, number> {
	const reaches = new Map<string, number>();
	for (const [unit, group] of Map.groupBy(scores, ({ metric }) => unitOf(metric))) {
		const ends = group.flatMap(({ delta_interval: ends }) =>
			ends ? [Math.max(Math.abs(ends[0]), Math.abs(ends[1]))] : [],
		);
		const allowed = (verdict?.checks ?? []).flatMap(({ bound, value, metric }) =>
			bound === "max_drop" && unitOf(metric) === unit ? [value] : [],
		);
		const sorted = ends.toSorted((a, b) => a - b);
		const most = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * REACH_SHARE))];
		const wanted = largestOf([most ?? 0, ...allowed]);
		if (!wanted) continue;
		const power = 10 ** Math.floor(Math.log10(wanted));
		const step = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= wanted - 1e-12) ?? 10;
		reaches.set(unit, Number((step * power).toPrecision(2)));
	}
	return reaches;
}

/** Each category and class on each slice, its change as a colour: which of them moved a slice's own score. */
export function classesSection(report: Report): ComponentChild {
	const { metrics, rows } = report.figures.classes;
	if (rows.length === 0) return null;
	const changes = rows.map(({ candidate, production }) =>
		metrics.map((_, place) => {
			const [own, other] = [candidate?.[place] ?? null, production?.[place] ?? null];
			return { own, delta: own === null || other === null ? null : own - other };
		}),
	);
	const largest = metrics.map((_, place) => largestOf(changes.map((row) => Math.abs(row[place]!.delta ?? 0))));
	const shown = rowsOf(rows, ({ slice }, at): Row => {
		const cells = metrics.map((metric, place) => {
			const { own, delta } = changes[at]![place]!;
			const step = delta === null ? 0 : shade(Math.abs(delta) / (largest[place]! || 1));
			const beside = delta === null ? null : ` (${change(delta)})`;
			return { show: [levelText(own, metric), beside], class: `heat ${(delta ?? 0) < 0 ? "down" : "up"}-${step}` };
		});
		return { cells: [slice ?? "overall", ...cells] };
	});
	const columns = [{ title: "slice" }, ...metrics.map(metricColumn)];
	const compared = report.baseline ? " and its change from production, without an interval" : "";
	return section(
		"classes",
		"Categories and classes, by slice",
		table("Scores of each category and class on each slice", columns, shown, { class: "heat-map" }),
		h("p", { class: "note" }, `This model's score${compared}. Blue is better, orange worse.`),
	);
}

/** What a heat map shows of each slice: its own heads' main metric, and AP of a category's slice beside them. */
const MAIN = ["map", "ap50", "ar", "ece", "miou", "lane_f1", "lane_accuracy", "min_ade", "min_fde", "miss_rate"];

/** Changes of each slice and metric, as colours and figures. */
export function heatSection(report: Report): ComponentChild {
	if (!report.baseline) return null;
	const scores = report.scores.filter(({ delta }) => delta !== null);
	const categories = [...new Set(scores.map(({ metric }) => metric).filter((metric) => metric.startsWith("ap/")))];
	const metrics = [...MAIN, ...categories].filter((metric) =>
		scores.some((score) => score.metric === metric && score.slice !== null),
	);
	if (metrics.length === 0) return null;
	const find = new Map(scores.map((score) => [`${score.slice}\u0000${score.metric}`, score]));
	const largest = new Map(
		metrics.map((metric) => [
			metric,
			largestOf(scores.filter((score) => score.metric === metric).map((score) => Math.abs(gain(score)!))),
		]),
	);
	const rows = rowsOf([null, ...report.slices.map(({ name }) => name)], (slice): Row => {
		const cells = metrics.map((metric) => {
			const score = find.get(`${slice}\u0000${metric}`);
			if (!score) return { show: "", class: "none" };
			const better = gain(score)!;
			const step = shade(Math.abs(better) / (largest.get(metric) || 1));
			const sure = moved(score) === "same" ? "" : " sure";
			return { show: changeText(score), class: `heat ${better < 0 ? "down" : "up"}-${better === 0 ? 0 : step}${sure}` };
		});
		return { cells: [slice ?? "overall", ...cells] };
	});
	const columns = [{ title: "slice" }, ...metrics.map(metricColumn)];
	return section(
		"heat",
		"Change against production, slice by metric",
		table("Change of each metric on each slice", columns, rows, { class: "heat-map" }),
		h(
			"p",
			{ class: "note" },
			"Blue is better, orange worse; the deepest colour is the metric's largest change. Bold: the 95 % interval excludes zero.",
		),
	);
}
