// All reports in reports/*/report.json become one page over time: each line of models, each metric, each slice.
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { type ComponentChild, h } from "preact";
import writeFileAtomic from "write-file-atomic";
import { readDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { Promotion, Report, Verdict } from "../generated/documents.d.ts";
import { isLowerBetter, nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { type TrendPoint, trendChart } from "./charts.ts";
import { htmlPage } from "./look.ts";
import { renderPage } from "./page.ts";
import { fold, levelText, metricColumn, metricName, metricsFold, type Row, section, table } from "./parts.ts";
import { outcomeOf } from "./verdict.ts";

/** A model that was measured, with what became of it: a verdict or a promotion of an earlier run is left out. */
export interface Reported {
	folder: string;
	report: Report;
	verdict: Verdict | undefined;
	promotion: Promotion | undefined;
}

/** Reads every report; one of another version of this tool is named in `skipped`, and holds up no other. */
export async function readReports(root: string): Promise<{ reports: Reported[]; skipped: string[] }> {
	const folder = path.join(root, "reports");
	const names = (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory());
	const reports: Reported[] = [];
	const skipped: string[] = [];
	for (const { name } of names.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
		const file = (what: string) => path.join(folder, name, `${what}.json`);
		const ifThere = async <N extends "verdict" | "promotion">(what: N) =>
			existsSync(file(what)) ? readDocument(what, file(what)) : undefined;
		if (!existsSync(file("report"))) continue;
		try {
			const report = await readDocument("report", file("report"));
			const [verdict, promotion] = [await ifThere("verdict"), await ifThere("promotion")];
			reports.push({
				folder: name,
				report,
				verdict: verdict?.evaluation === report.evaluation ? verdict : undefined,
				promotion: promotion?.manifest === report.manifest ? promotion : undefined,
			});
		} catch (error) {
			if (!(error instanceof InvalidInput)) throw error;
			skipped.push(error.message.replaceAll(`${root}${path.sep}`, ""));
		}
	}
	return { reports, skipped };
}

/** Draws reports/index.html over all reports, and with `each` the page of each of them anew; returns its path and how many there are. */
export async function writePages(
	root: string,
	{ each }: { each: boolean },
): Promise<{ file: string; reports: number; skipped: string[] }> {
	const { reports, skipped } = await readReports(root);
	for (const { folder, report, verdict } of each ? reports : [])
		await writeFileAtomic(path.join(root, "reports", folder, "index.html"), renderPage(report, verdict));
	const file = path.join(root, "reports", "index.html");
	await mkdir(path.dirname(file), { recursive: true });
	await writeFileAtomic(file, renderIndex(reports, skipped));
	return { file, reports: reports.length, skipped };
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
