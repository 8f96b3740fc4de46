// All reports become one page over time: each line of models, each metric, each slice.
import { type ComponentChild, h } from "preact";
import type { Promotion, Report, Verdict } from "../generated/documents.d.ts";
import { isLowerBetter, nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { type TrendPoint, trendChart } from "./charts.ts";
import { htmlPage } from "./look.ts";
import { fold, levelText, metricColumn, metricName, metricsFold, type Row, section, table } from "./parts.ts";
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
			...sorted.map(([model, own], place) => lineSection(model, own.toSorted(byTime), place)),
			skipped.length > 0
				? section("skipped", "Left out", h("ul", {}, ...skipped.map((why) => h("li", {}, why))))
				: null,
		),
	);
}

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

function lineSection(model: string, reports: Reported[], place: number): ComponentChild {
	const production = productionOf(reports);
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
		h(
			"p",
			{ class: "note" },
			"Charts go from the oldest model to the newest. Filled marks became production. Hover over a mark for its model.",
		),
		trends(reports, null),
		...slices.map((slice) => fold(slice, trends(reports, slice))),
	);
}

function scoreOf(report: Report, metric: string, slice: string | null): number | null {
	return report.scores.find((score) => score.metric === metric && score.slice === slice)?.candidate ?? null;
}

/** A small chart for each metric of a slice, or overall. */
function trends(reports: Reported[], slice: string | null): ComponentChild {
	const names = new Set(
		reports.flatMap(({ report }) => report.scores.filter((score) => score.slice === slice).map(({ metric }) => metric)),
	);
	const made = [...names].flatMap((metric) => {
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
	return h("div", { class: "grid small" }, ...made);
}
