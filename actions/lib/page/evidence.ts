// Figures become the evidence behind a verdict: curves, confusion matrices, latencies, training, and the frames themselves.
import { type ComponentChild, Fragment, h } from "preact";
import type { Figures, Report } from "../generated/documents.d.ts";
import { nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { figure } from "../text/markdown.ts";
import { curveChart, epochChart, latencyChart, reliabilityChart, swatch } from "./charts.ts";
import { cutNote, facts, fold, levelText, type Row, section, shade, table } from "./parts.ts";

type Example = Figures["examples"][number];

/** Charts of a section, overall and on slices, and cells of its matrices. */
const MOST_CHARTS = 40;
const MOST_CELLS = 10_000;
/** Names of a matrix: a table has no more columns. */
const MOST_NAMES = 36;
/** Frames of a kind. */
const MOST_FRAMES = 40;

function legend(report: Report): ComponentChild {
	return h(
		"p",
		{ class: "keys" },
		h("span", { class: "key" }, swatch("var(--candidate)"), "this model"),
		report.baseline
			? h("span", { class: "key" }, swatch("var(--production)"), `production v${report.baseline.version}`)
			: null,
	);
}

/** Precision over recall: each category overall, and the slices on demand. */
export function curvesSection(report: Report): ComponentChild {
	const { curves, recall, matched } = report.figures;
	const shown = (chosen: Figures["curves"]) =>
		h(
			"div",
			{ class: "grid" },
			...chosen.map((curve) =>
				h(
					"figure",
					{},
					h("figcaption", {}, `${curve.category ?? "mean of categories"}, IoU ${curve.iou}`),
					curveChart(curve, recall),
				),
			),
		);
	const overall = curves.filter(({ slice }) => slice === null);
	if (overall.length === 0) return null;
	const onSlices = curves.filter(({ slice }) => slice !== null);
	const slices = Map.groupBy(onSlices.slice(0, MOST_CHARTS), ({ slice }) => slice!);
	const strict = overall.filter(({ iou }) => iou !== 0.5);
	const lenient = overall.filter(({ iou }) => iou === 0.5);
	return section(
		"curves",
		"Precision over recall",
		legend(report),
		h(
			"p",
			{ class: "note" },
			`The dot is at score ${matched.min_score}. Boxes with a lower score don't count in the sections below, nor on the frames above.`,
		),
		shown(lenient.slice(0, MOST_CHARTS)),
		cutNote(MOST_CHARTS, lenient.length, "curves"),
		fold("At IoU 0.75", shown(strict.slice(0, MOST_CHARTS)), cutNote(MOST_CHARTS, strict.length, "curves")),
		slices.size > 0
			? fold(
					"By slice",
					...[...slices].map(([slice, own]) => fold(slice, shown(own))),
					cutNote(MOST_CHARTS, onSlices.length, "curves"),
				)
			: null,
	);
}

/** Scores of boxes, and how often such boxes are right: overall and of each category, and the slices on demand. */
export function calibrationSection(report: Report): ComponentChild {
	const { calibration, matched } = report.figures;
	const scores = new Map(report.scores.map((score) => [`${score.slice}\u0000${score.metric}`, score]));
	const draw = (diagram: Figures["calibration"]["diagrams"][number]) => {
		const { slice, category } = diagram;
		const metric = category === null ? "ece" : `ece/${category}`;
		const score = scores.get(`${slice}\u0000${metric}`);
		const before = score && score.production !== null ? `, production ${levelText(score.production, metric)}` : "";
		const title = `${category ?? "all categories"}: ECE ${levelText(score?.candidate ?? null, metric)}${before}`;
		return h("figure", {}, h("figcaption", {}, title), reliabilityChart(diagram));
	};
	const overall = calibration.diagrams.filter(({ slice }) => slice === null);
	if (overall.length === 0) return null;
	const slices = calibration.diagrams.filter(({ slice }) => slice !== null);
	const bySlice = slices
		.slice(0, MOST_CHARTS)
		.map((diagram) => h("div", {}, h("h3", {}, diagram.slice), draw(diagram)));
	return section(
		"calibration",
		"Calibration of scores",
		legend(report),
		h(
			"p",
			{ class: "note" },
			`Share of the boxes of a score that are right, at IoU ${matched.min_iou}. On the dashed line scores equal precision; below it they are too high. Boxes count from a score of ${matched.min_score}. A dot's area is its bin's share of the boxes.`,
		),
		h("div", { class: "grid" }, ...overall.slice(0, MOST_CHARTS).map(draw)),
		cutNote(MOST_CHARTS, overall.length, "charts"),
		slices.length > 0
			? fold("By slice", h("div", { class: "grid" }, ...bySlice), cutNote(MOST_CHARTS, slices.length, "charts"))
			: null,
	);
}

/** What is taken for what. */
export function confusionSection(report: Report): ComponentChild {
	const { confusion, matched } = report.figures;
	const parts = Map.groupBy(confusion, ({ slice }) => slice);
	const shown = (matrices: Figures["confusion"]) => {
		const tables = matrices.flatMap((item) =>
			(["production", "candidate"] as const).flatMap((model) => {
				const matrix = item[model];
				return matrix ? [matrixTable(item, matrix, model === "candidate" ? "this model" : "production")] : [];
			}),
		);
		return h("div", { class: "grid wide" }, ...tables);
	};
	const overall = parts.get(null);
	if (!overall) return null;
	const named = [...parts].flatMap(([slice, own]) => (slice === null ? [] : [{ slice, own }]));
	let cells = 0;
	const kept = named.filter(({ own }) => {
		cells += own.reduce((sum, { names }) => sum + 2 * Math.min(names.length, MOST_NAMES) ** 2, 0);
		return cells <= MOST_CELLS;
	});
	const slices = kept.map(({ slice, own }) => fold(slice, shown(own)));
	const note = `Rows are labels, columns are predictions, in percent of the row. Boxes count from a score of ${matched.min_score}; each is matched to the free label with the highest IoU, at least ${matched.min_iou}. Pixels count by class.`;
	return section(
		"confusion",
		"Confusion",
		shown(overall),
		named.length > 0 ? fold("By slice", ...slices, cutNote(slices.length, named.length, "slices")) : null,
		h("p", { class: "note" }, note),
	);
}

function matrixTable(
	{ head, names, slice }: Figures["confusion"][number],
	matrix: number[][],
	model: string,
): ComponentChild {
	const label = `${head === "detection" ? "Boxes" : "Pixels"}, ${model}`;
	const rows = matrix.slice(0, MOST_NAMES).map((row, place): Row => {
		const total = row.reduce((sum, count) => sum + count, 0);
		const cells = row.slice(0, MOST_NAMES).map((count, column) => {
			const share = total > 0 ? count / total : 0;
			const right = column === place;
			return {
				show: h("span", { title: `${count} of ${total}` }, total === 0 ? "–" : figure(100 * share, 1)),
				class: `heat ${right ? "up" : "down"}-${shade(share)}`,
			};
		});
		return { cells: [names[place]!, ...cells, String(total)] };
	});
	const columns = [
		{ title: "label" },
		...names.slice(0, MOST_NAMES).map((title) => ({ title, numeric: true })),
		{ title: "count", numeric: true },
	];
	return h(
		"figure",
		{},
		h("figcaption", {}, label),
		table(`${label}${slice === null ? "" : ` on ${slice}`}`, columns, rows, { class: "heat-map" }),
		cutNote(rows.length, names.length, "categories"),
	);
}

/** How long the exports take. */
export function latencySection(report: Report): ComponentChild {
	const { latency } = report;
	const exports = [
		{ name: "float32", suffix: "", own: latency.candidate, other: latency.production },
		{ name: "int8", suffix: " int8", own: latency.int8.candidate, other: latency.int8.production },
	].filter(({ own }) => own !== null);
	const ms = (value: number | undefined) => (value === undefined ? "–" : `${figure(value, 2)} ms`);
	const rows = exports.map(
		({ name, own, other }): Row => ({
			cells: [name, ms(other?.p50_ms), ms(own?.p50_ms), ms(other?.p95_ms), ms(own?.p95_ms)],
		}),
	);
	const columns = ["export", "p50 production", "p50 this", "p95 production", "p95 this"].map((title, place) => ({
		title,
		numeric: place > 0,
	}));
	const drawn = exports.filter(({ suffix }) => report.figures.latency.some(({ of }) => of === `candidate${suffix}`));
	const threads = counted(latency.threads, "thread");
	return section(
		"latency",
		"Latency",
		legend(report),
		h(
			"div",
			{ class: "grid" },
			...drawn.map(({ name, suffix }) =>
				h("figure", {}, h("figcaption", {}, name), latencyChart(report.figures.latency, suffix)),
			),
		),
		table("Latency of the exports", columns, rows),
		h(
			"p",
			{ class: "note" },
			`ONNX Runtime, batch ${latency.batch}, ${threads}, ${latency.device}; ${latency.repeats} repeats of each, taken in turn. The charts leave out the slowest 1 %.`,
		),
	);
}

/** Losses and validation of each epoch. */
export function trainingSection({ training }: Report): ComponentChild {
	const { epochs, best_epoch: best } = training;
	if (epochs.length === 0) return null;
	const drift = training.checks.drift;
	return section(
		"training",
		"Training",
		h(
			"div",
			{ class: "grid" },
			epochChart("Loss", epochs, ({ loss }) => loss, best),
			epochChart("Validation", epochs, ({ validation }) => byName(validation), best),
		),
		facts([
			["best epoch", `${best ?? "–"} of ${epochs.length}`],
			["on", `${training.device}, ${training.precision}, ${counted(training.processes, "process", "processes")}`],
			["took", `${Math.round(training.seconds)} s${training.attempts > 1 ? ` in ${training.attempts} attempts` : ""}`],
			["waited for data", `${figure(training.data_wait_percent, 1)} %`],
			...(drift
				? ([["drift of the data", drift.drifted.length === 0 ? "none" : drift.sentences.join("; ")]] as [
						string,
						string,
					][])
				: []),
			...(training.tracking_url ? ([["tracked at", training.tracking_url]] as [string, string][]) : []),
		]),
	);
}

/** Figures by the names of their metrics. */
function byName(figures: Record<string, number | null>): Record<string, number | null> {
	return Object.fromEntries(Object.entries(figures).map(([metric, value]) => [nameOf(metric), value]));
}

const KINDS = {
	lost: "Lost most against production",
	won: "Won most against production",
	worst: "Most errors",
} as const;

/** The frames where the candidate lost and won most, with the boxes of both. */
export function examplesSection(report: Report): ComponentChild {
	const { examples } = report.figures;
	const groups = Map.groupBy(examples, ({ kind }) => kind);
	let number = 0;
	const shown = [...groups].map(([kind, own]) =>
		h(
			Fragment,
			{},
			h("h3", {}, KINDS[kind]),
			cutNote(MOST_FRAMES, own.length, "frames"),
			h("div", { class: "frames" }, ...own.slice(0, MOST_FRAMES).map((example) => exampleFigure(example, number++))),
		),
	);
	if (shown.length === 0) return null;
	const keys = [
		["right", "right box"],
		["wrong", "wrong box"],
		["missed", "missed label"],
	].map(([name, title]) => h("span", { class: "key" }, h("span", { class: `mark ${name}` }), title));
	return section("frames", "Frames", h("p", { class: "keys" }, ...keys), ...shown);
}

function exampleFigure(example: Example, number: number): ComponentChild {
	const { frame, attributes, sequence, candidate, production, counted } = example;
	const about = [
		...Object.entries(attributes).map(([key, value]) => `${key} ${value}`),
		...(sequence ? [`sequence ${sequence}`] : []),
	];
	const shown = (value: number) => String(Number(value.toFixed(3)));
	const figures =
		production === null
			? `${shown(candidate)} ${counted}`
			: `${counted}: production ${shown(production)}, this ${shown(candidate)}`;
	const panes = example.thumbnail
		? h(
				"div",
				{ class: "panes" },
				production === null ? null : pane(example, "production", number, true),
				pane(example, "candidate", number, production === null),
			)
		: null;
	return h(
		"figure",
		{ class: "frame" },
		panes,
		h(
			"figcaption",
			{},
			h("strong", {}, figures),
			h("br", {}),
			h("span", { class: "path" }, frame),
			about.length > 0 ? ` · ${about.join(", ")}` : "",
		),
	);
}

/** One model's boxes on the frame; the first pane holds the picture, the second shows it again. */
function pane(example: Example, model: "candidate" | "production", number: number, holds: boolean): ComponentChild {
	const { width, height, thumbnail, labels } = example;
	const boxes = example.boxes[model] ?? [];
	const missed = labels.filter(({ found }) => found[model] === false);
	const id = `frame-${number}`;
	const picture = holds
		? h("image", { id, href: `data:image/jpeg;base64,${thumbnail}`, width, height, preserveAspectRatio: "none" })
		: h("use", { href: `#${id}` });
	const rectangle = (box: number[], className: string, title: string) =>
		h("rect", { class: className, x: box[0], y: box[1], width: box[2], height: box[3] }, h("title", {}, title));
	const wrong = boxes.filter(({ right }) => !right).length;
	const name = model === "candidate" ? "this model" : "production";
	const label = `${name}: ${boxes.length - wrong} boxes right, ${wrong} wrong, ${missed.length} labels missed`;
	return h(
		"div",
		{},
		h("p", { class: "who" }, name),
		h(
			"svg",
			{ class: "pane", role: "img", "aria-label": label, viewBox: `0 0 ${width} ${height}` },
			picture,
			...missed.map(({ box, category }) => rectangle(box, "missed", `missed: ${category}`)),
			...boxes.map(({ box, category, score, right }) =>
				rectangle(box, right ? "right" : "wrong", `${category} ${score}`),
			),
		),
	);
}
