// All reports become one page over time: each line of models, each metric, each slice.
import { type ComponentChild, Fragment, h } from "preact";
import type { Promotion, Report, Verdict } from "../generated/documents.d.ts";
import { isLowerBetter, nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { type TrendPoint, trendChart } from "./charts.ts";
import { htmlPage } from "./look.ts";
import { cutNote, fold, levelText, metricColumn, metricName, metricsFold, type Row, section, table } from "./parts.ts";
import { outcomeOf } from "./verdict.ts";

/** A model that was measured, with what became of it: a verdict or a promotion of an earlier run is left out. */
export interface Reported {
	folder: string;
	report: Report;
	verdict: Verdict | undefined;
	promotion: Promotion | undefined;
}

/** The page over all reports as text. */
export function renderIndex(reports: Reported[], skipped: string[] = []): string {
	const lines = Map.groupBy(reports, ({ report }) => report.experiment.model);
	const sorted = [...lines].toSorted(([a], [b]) => (a < b ? -1 : 1));
	const room = { charts: MOST_ON_PAGE };
	return htmlPage(
		"Models",
		h(
			"header",
			{},
			h("h1", {}, "Models"),
			h("p", {}, `${counted(reports.length, "report")} of ${counted(lines.size, "line")} of models.`),
			metricsFold(reports.flatMap(({ report }) => report.scores.map(({ metric }) => metric))),
		),
		h(
			"main",
			{},
			...sorted.map(([model, own], place) => lineSection(model, own.toSorted(byTime), { place, room })),
			skipped.length > 0
				? section("skipped", "Left out", h("ul", {}, ...skipped.map((why) => h("li", {}, why))))
				: null,
		),
	);
}

/** Reports of a line that its table and its charts show, the newest. */
const MOST_REPORTS = 200;
/** Slices of a line with charts, and charts of a slice. */
const MOST_SLICES = 20;
const MOST_CHARTS = 20;
/** Charts of the whole page. */
const MOST_ON_PAGE = 600;

function byTime(a: Reported, b: Reported): number {
	return (a.report.measured_at ?? "") < (b.report.measured_at ?? "") ? -1 : 1;
}

const isPromoted = ({ promotion }: Reported) => promotion?.status === "approved";

/** The last approved version of a line. */
function productionOf(reports: Reported[]): Reported | undefined {
	const approved = reports.filter(isPromoted);
	return approved.toSorted((a, b) => b.promotion!.version - a.promotion!.version)[0];
}

const MAIN = [
	"map",
	"ap50",
	"ar",
	"ece",
	"miou",
	"lane_f1",
	"lane_accuracy",
	"ade",
	"fde",
	"min_ade",
	"min_fde",
	"miss_rate",
	"latency_p95_ms",
];

/** How many charts may still be drawn. */
interface Room {
	charts: number;
}

function lineSection(model: string, all: Reported[], { place, room }: { place: number; room: Room }): ComponentChild {
	const production = productionOf(all);
	const reports = all.slice(-MOST_REPORTS);
	const measured = new Set(
		reports.flatMap(({ report }) => report.scores.filter(({ slice }) => slice === null).map(({ metric }) => metric)),
	);
	const metrics = MAIN.filter((metric) => measured.has(metric));
	const rows = reports.map((item): Row => {
		const { folder, report, verdict, promotion } = item;
		const outcome = outcomeOf(verdict);
		const version = promotion ? `v${promotion.version}${promotion.status === "pending" ? ", pending" : ""}` : "–";
		const overall = metrics.map((metric) => scoreOf(report, metric, null));
		return {
			cells: [
				{
					show: h("a", { href: `${encodeURIComponent(folder)}/index.html` }, report.experiment.name),
					sort: report.experiment.name,
				},
				{ show: report.measured_at?.slice(0, 10) ?? "–", sort: report.measured_at },
				{ show: outcome.word, class: outcome.class },
				{
					show: item === production ? [version, h("span", { class: "tag" }, "production")] : version,
					sort: promotion?.version ?? null,
				},
				...metrics.map((metric, column) => ({ show: levelText(overall[column]!, metric), sort: overall[column]! })),
			],
		};
	});
	const columns = [
		{ title: "experiment", sorts: true },
		{ title: "measured", sorts: true },
		{ title: "verdict", sorts: true },
		{ title: "version", sorts: true },
		...metrics.map((metric) => ({ ...metricColumn(metric), sorts: true })),
	];
	const slices = [...new Set(reports.flatMap(({ report }) => report.slices.map(({ name }) => name)))];
	return section(
		`line-${place}`,
		model,
		table(`Models of ${model}`, columns, rows),
		cutNote(reports.length, all.length, "models", "their folders"),
		h(
			"p",
			{ class: "note" },
			"Charts go from the oldest model to the newest. Filled marks became production. Hover over a mark for its model.",
		),
		trends(reports, null, room),
		...slices.slice(0, MOST_SLICES).map((slice) => fold(slice, trends(reports, slice, room))),
		cutNote(MOST_SLICES, slices.length, "slices", "each model's page"),
	);
}

/** The scores of a report by slice and metric: each is looked up for many charts. */
const known = new WeakMap<Report, Map<string, number | null>>();

function scoreOf(report: Report, metric: string, slice: string | null): number | null {
	const key = (of: { metric: string; slice: string | null }) => `${of.slice}\u0000${of.metric}`;
	const scores = known.get(report) ?? new Map(report.scores.map((score) => [key(score), score.candidate]));
	known.set(report, scores);
	return scores.get(key({ metric, slice })) ?? null;
}

/** A small chart for each metric of a slice, or overall. */
function trends(reports: Reported[], slice: string | null, room: Room): ComponentChild {
	const names = new Set(
		reports.flatMap(({ report }) => report.scores.filter((score) => score.slice === slice).map(({ metric }) => metric)),
	);
	const chosen = [...names].slice(0, Math.min(MOST_CHARTS, room.charts));
	room.charts -= chosen.length;
	const made = chosen.flatMap((metric) => {
		const points = reports.flatMap((item, x): TrendPoint[] => {
			const { report } = item;
			const y = scoreOf(report, metric, slice);
			return y === null
				? []
				: [{ x, y, production: isPromoted(item), title: `${report.experiment.name}: ${levelText(y, metric)}` }];
		});
		if (points.length === 0) return [];
		const better = isLowerBetter(metric) ? ", lower is better" : "";
		const label = `${nameOf(metric)} ${slice ?? "overall"}${better}, from ${points[0]!.title} to ${points.at(-1)!.title}`;
		return [
			h("figure", {}, h("figcaption", {}, metricName(metric), better), trendChart(label, points, reports.length)),
		];
	});
	return h(
		Fragment,
		{},
		h("div", { class: "grid small" }, ...made),
		cutNote(chosen.length, names.size, "charts", "each model's page"),
	);
}
