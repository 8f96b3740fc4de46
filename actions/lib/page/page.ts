// A report and its verdict become one HTML file that a reviewer opens from disk; it shows what they hold, and adds nothing.
import path from "node:path";
import { type ComponentChild, h } from "preact";
import { writeDocument } from "../documents.ts";
import { replaceFile } from "../files.ts";
import { writeWaived } from "../gate/waived_checks.ts";
import type { Report, Verdict } from "../generated/documents.d.ts";
import { isLatency, moved } from "../metrics.ts";
import { scoreNoise } from "../report/noise.ts";
import { reportsOf } from "../report/report.ts";
import {
	calibrationSection,
	confusionSection,
	curvesSection,
	examplesSection,
	latencySection,
	trainingSection,
} from "./evidence.ts";
import { changesSection, dataSection, exportsSection, lineageSection } from "./lineage.ts";
import { htmlPage } from "./look.ts";
import { changeText, intervalText, levelText, metricName, metricsFold } from "./parts.ts";
import { classesSection, heatSection, slicesSection } from "./slices.ts";
import { checksSection, outcomeOf, verdictSentence } from "./verdict.ts";

/** The page as text. A verdict on another report says nothing of this one, and is left out. */
export function renderPage(report: Report, verdict?: Verdict): string {
	const own = verdict?.evaluation === report.evaluation ? verdict : undefined;
	const { name, model, why } = report.experiment;
	const outcome = outcomeOf(own);
	const sections: [string, string, ComponentChild][] = [
		["checks", "Checks", checksSection(own)],
		["slices", "Slices", slicesSection(report, own)],
		["heat", "Heat map", heatSection(report)],
		["classes", "Categories and classes", classesSection(report)],
		["frames", "Frames", examplesSection(report)],
		["curves", "Precision over recall", curvesSection(report)],
		["calibration", "Calibration", calibrationSection(report)],
		["confusion", "Confusion", confusionSection(report)],
		["latency", "Latency", latencySection(report)],
		["training", "Training", trainingSection(report)],
		["changes", "What changed", changesSection(report)],
		["data", "Data", dataSection(report)],
		["exports", "Exports", exportsSection(report)],
		["lineage", "Lineage", lineageSection(report, own)],
	];
	const shown = sections.filter(([, , content]) => content !== null);
	const links = shown.map(([id, title]) => h("li", {}, h("a", { href: `#${id}` }, title)));
	return htmlPage(
		`${name}: ${outcome.word}`,
		h(
			"header",
			{},
			h("p", { class: "line" }, model),
			h("h1", {}, name),
			h("p", {}, h("span", { class: `badge ${outcome.class}` }, outcome.word), " ", verdictSentence(report, own)),
			h("p", { class: "why" }, why),
			tiles(report),
			metricsFold(metricsOf(report)),
			h("nav", { "aria-label": "Sections" }, h("ul", {}, ...links)),
		),
		h("main", {}, ...shown.map(([, , content]) => content)),
	);
}

const MAIN = ["map", "ap50", "ece", "miou", "lane_f1", "lane_accuracy", "min_ade", "min_fde", "miss_rate"];

/** The main figures, overall. */
function tiles(report: Report): ComponentChild {
	const { scores, baseline } = report;
	const overall = scores.filter(({ slice, metric }) => slice === null && (MAIN.includes(metric) || isLatency(metric)));
	const made = overall.map((score) => {
		const noise = scoreNoise(report, score);
		return h(
			"div",
			{ class: "tile" },
			h("p", { class: "line" }, metricName(score.metric)),
			h("p", { class: "value" }, levelText(score.candidate, score.metric)),
			h(
				"p",
				{},
				baseline && score.delta !== null
					? [h("span", { class: moved(score) }, changeText(score)), h("small", {}, ` (${intervalText(score)})`)]
					: h("small", {}, "no production score"),
			),
			noise && h("small", {}, noise),
		);
	});
	return h("div", { class: "tiles" }, ...made);
}

/** Every metric on the page. */
function metricsOf({ scores, figures, policy }: Report): string[] {
	return [
		...scores.map(({ metric }) => metric),
		...figures.classes.metrics,
		...policy.rules.map(({ metric }) => metric),
	];
}

/** Writes reports/<name>/verdict.json, the page again with the verdict in it, and what is waived into the card; returns the paths of the first two. */
export async function writeVerdict(
	root: string,
	report: Report,
	verdict: Verdict,
): Promise<{ verdict: string; page: string }> {
	const folder = reportsOf(root, report.experiment.name);
	await writeWaived(folder, verdict);
	return {
		verdict: await writeDocument("verdict", verdict, path.join(folder, "verdict.json")),
		page: await writePage(root, report, verdict),
	};
}

/** Writes reports/<name>/index.html; returns its path. */
export async function writePage(root: string, report: Report, verdict?: Verdict): Promise<string> {
	const file = path.join(reportsOf(root, report.experiment.name), "index.html");
	await replaceFile(file, renderPage(report, verdict));
	return file;
}
