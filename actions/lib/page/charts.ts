// Figures become charts: SVG drawn ahead, in the page's own colours, so that light, dark and print need no script.
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { type ComponentChild, h } from "preact";
import type { Figures, Report } from "../generated/documents.d.ts";

type Diagram = Figures["calibration"]["diagrams"][number];
type Marks = NonNullable<Plot.PlotOptions["marks"]>;

const { document } = parseHTML("<!doctype html><html><body></body></html>");
const COLOURS = { candidate: "var(--candidate)", production: "var(--production)" };
/** Of the classes of heads in training, by their order. */
const SERIES = ["var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)", "var(--series-5)"];

/** A chart with a sentence in the place of what can't be seen. */
function chart(label: string, options: Plot.PlotOptions, marks: Marks): ComponentChild {
	const svg = Plot.plot({ document: document as unknown as Document, width: 300, height: 210, ...options, marks });
	// The page's policy lets in no style but its own, which has what this one says.
	svg.querySelector("style")?.remove();
	// What has no role may have no name; the whole has both.
	for (const named of svg.querySelectorAll("[aria-label]")) named.removeAttribute("aria-label");
	svg.setAttribute("role", "img");
	svg.setAttribute("aria-label", label);
	// Hundredths of a pixel are enough.
	const markup = svg.outerHTML.replaceAll(/(\d+\.\d\d)\d+/g, "$1");
	return h("div", { class: "chart", dangerouslySetInnerHTML: { __html: markup } });
}

interface Point {
	x: number;
	y: number;
}

const line = (points: Point[], stroke: string, dashed = false) =>
	Plot.line(points, { x: "x", y: "y", stroke, strokeWidth: 1.8, ...(dashed ? { strokeDasharray: "4 3" } : {}) });

/** Precision over recall of both models. */
export function curveChart(curve: Figures["curves"][number], recall: number[]): ComponentChild {
	const points = (values: number[] | null) => values?.map((y, place) => ({ x: recall[place]!, y })) ?? [];
	const dots = (["production", "candidate"] as const).flatMap((model) => {
		const place = curve.reached[model];
		if (place === null) return [];
		return [Plot.dot([points(curve[model])[place]!], { x: "x", y: "y", r: 3.5, fill: COLOURS[model] })];
	});
	const marks = [
		...(curve.production ? [line(points(curve.production), COLOURS.production, true)] : []),
		...(curve.candidate ? [line(points(curve.candidate), COLOURS.candidate)] : []),
		...dots,
	];
	const axes = {
		x: { domain: [0, 1], label: "recall", ticks: 5 },
		y: { domain: [0, 1], label: "precision", ticks: 5, grid: true },
	};
	const who = curve.production ? "this model over production" : "this model";
	return chart(`Precision over recall, ${curve.category ?? "mean of all categories"}, ${who}`, axes, marks);
}

/** The share of right boxes over their mean score, of both models. */
export function reliabilityChart(diagram: Diagram): ComponentChild {
	const drawn = (["production", "candidate"] as const).flatMap((model) => {
		const bins = diagram[model];
		if (bins === null) return [];
		const total = bins.boxes.reduce((sum, count) => sum + count, 0);
		const points = bins.boxes.flatMap((count, place) =>
			count > 0
				? [{ x: bins.score[place]!, y: bins.precision[place]!, r: Math.max(1.5, 7 * Math.sqrt(count / total)) }]
				: [],
		);
		return [
			line(points, COLOURS[model], model === "production"),
			Plot.dot(points, { x: "x", y: "y", r: "r", fill: COLOURS[model], fillOpacity: 0.75 }),
		];
	});
	const promise = [0, 1].map((value) => ({ x: value, y: value }));
	const marks = [
		Plot.line(promise, { x: "x", y: "y", stroke: "currentColor", strokeOpacity: 0.45, strokeDasharray: "2 3" }),
		...drawn,
	];
	const axes = {
		x: { domain: [0, 1], label: "score", ticks: 5 },
		y: { domain: [0, 1], label: "precision", ticks: 5, grid: true },
		r: { type: "identity" as const },
	};
	const who = diagram.production ? "this model over production" : "this model";
	const where = `${diagram.category ?? "all categories"}${diagram.slice === null ? "" : ` on ${diagram.slice}`}`;
	return chart(`Precision over score, ${where}, ${who}`, axes, marks);
}

/** How the repeats of both models' exports are spread, up to the 99th of 100: the machine's own hiccups lie beyond. */
export function latencyChart(latency: Figures["latency"], suffix: string): ComponentChild {
	const own = latency.filter(({ of }) => of === `candidate${suffix}` || of === `production${suffix}`);
	const highest = Math.max(...own.map(({ ms }) => ms.toSorted((a, b) => a - b)[Math.floor(ms.length * 0.99)] ?? 0));
	const lowest = Math.min(...own.flatMap(({ ms }) => ms));
	const marks = own.map(({ of, ms }) => {
		const model = of.startsWith("candidate") ? "candidate" : "production";
		const bins = { thresholds: 40, domain: [lowest, highest] as [number, number] };
		const shown = Plot.binX({ y: "count" }, { x: (value: number) => value, ...bins });
		return Plot.rectY(ms, { ...shown, fill: COLOURS[model], fillOpacity: 0.45, inset: 0 });
	});
	const axes = {
		x: { domain: [lowest, highest], label: "milliseconds", ticks: 5 },
		y: { label: "repeats", grid: true, ticks: 4 },
	};
	return chart(`How the latencies of ${own.map(({ of }) => of).join(" and ")} are spread`, axes, marks);
}

/** A value of each epoch, by name of its series. */
export function epochChart(
	label: string,
	epochs: Report["training"]["epochs"],
	seriesOf: (epoch: Report["training"]["epochs"][number]) => Record<string, number | null>,
	best: number | null,
): ComponentChild {
	const names = [...new Set(epochs.flatMap((epoch) => Object.keys(seriesOf(epoch))))];
	const lines = names.map((name, place) => {
		const points = epochs.flatMap((epoch) => {
			const y = seriesOf(epoch)[name];
			return typeof y === "number" && Number.isFinite(y) ? [{ x: epoch.epoch, y }] : [];
		});
		return { name, points, stroke: SERIES[place % SERIES.length]! };
	});
	const drawn = lines.filter(({ points }) => points.length > 0);
	const marks = [
		...(best === null
			? []
			: [Plot.ruleX([best], { stroke: "currentColor", strokeOpacity: 0.35, strokeDasharray: "2 3" })]),
		...drawn.flatMap(({ points, stroke }) => [
			line(points, stroke),
			Plot.dot(points, { x: "x", y: "y", fill: stroke, r: 2 }),
		]),
	];
	const last = epochs.at(-1)?.epoch ?? 1;
	const axes = {
		x: { label: "epoch", domain: [Math.min(1, last), Math.max(2, last)], ticks: Math.min(last, 6), tickFormat: "d" },
		y: { label: null, grid: true, ticks: 4, zero: true },
	};
	const legend = drawn.map(({ name, stroke }) => h("span", { class: "key" }, swatch(stroke), name));
	return h(
		"figure",
		{},
		h("figcaption", {}, label),
		chart(`${label} of each epoch`, axes, marks),
		h("p", { class: "keys" }, legend),
	);
}

/** A model's score in the order of time; `production` where the model was promoted. */
export interface TrendPoint extends Point {
	production: boolean;
	title: string;
}

/** A metric of a line's models, of which there are `count`. */
export function trendChart(label: string, points: TrendPoint[], count: number): ComponentChild {
	const axes = {
		width: 220,
		height: 90,
		marginLeft: 36,
		marginRight: 8,
		marginTop: 8,
		marginBottom: 8,
		x: { axis: null, domain: [0, Math.max(1, count - 1)] },
		y: { label: null, ticks: 3, grid: true, nice: true },
	};
	const marks = [
		line(points, "var(--muted)"),
		Plot.dot(points, {
			x: "x",
			y: "y",
			r: 3.5,
			title: "title",
			fill: (point: TrendPoint) => (point.production ? "var(--candidate)" : "var(--back)"),
			stroke: "var(--candidate)",
		}),
	];
	return chart(label, axes, marks);
}

/** A legend's mark. */
export function swatch(colour: string): ComponentChild {
	return h(
		"svg",
		{ class: "swatch", width: 14, height: 8, viewBox: "0 0 14 8", "aria-hidden": "true" },
		h("rect", { width: 14, height: 8, rx: 2, fill: colour }),
	);
}
