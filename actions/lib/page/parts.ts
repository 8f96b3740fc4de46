// Pieces that several sections of a page are made of: tables that scroll and sort, intervals on a scale, boxes of keys.
import { type ComponentChild, type ComponentChildren, Fragment, h } from "preact";
import type { Report } from "../generated/documents.d.ts";
import { decimalsOf, legendOf, meaningOf, moved, nameOf, unitOf } from "../metrics.ts";
import { change, figure, interval } from "../text/markdown.ts";

export type Score = Report["scores"][number];

/** A part of the page with its heading; nothing where it has nothing to show. */
export function section(id: string, title: string, ...children: ComponentChildren[]): ComponentChild {
	const shown = children
		.flat()
		.filter((child) => child !== null && child !== undefined && child !== "" && child !== false);
	if (shown.length === 0) return null;
	return h("section", { id, "aria-labelledby": `${id}-title` }, h("h2", { id: `${id}-title` }, title), ...shown);
}

/** What is shown on demand. */
export function fold(summary: ComponentChildren, ...body: ComponentChildren[]): ComponentChild {
	return h("details", {}, h("summary", {}, summary), ...body);
}

/** A metric's name, which says on hover what the metric is. */
export function metricName(metric: string): ComponentChild {
	const meaning = meaningOf(metric);
	return meaning === null ? nameOf(metric) : h("abbr", { title: meaning }, nameOf(metric));
}

/** What each of some metrics is, for those who can't hover; the key is what a policy has. */
export function metricsFold(metrics: readonly string[]): ComponentChild {
	const known = legendOf(metrics).map(({ key, meaning }): [string, ComponentChildren] => [
		nameOf(key),
		[`${meaning}. In a policy: `, h("code", {}, key)],
	]);
	return known.length === 0 ? null : fold("Metrics explained", facts(known));
}

export interface Column {
	title: string;
	/** What the title means, shown on hover. */
	meaning?: string | null;
	numeric?: boolean;
	/** A reader may sort by it. */
	sorts?: boolean;
}

export interface Row {
	cells: Cell[];
	class?: string;
	/** What filters look at: data-… attributes. */
	data?: Record<string, string>;
}

/** What a cell shows; with what it is sorted by where that isn't its text. */
export type Cell = string | { show: ComponentChildren; sort?: number | string | null; class?: string };

/** What a table and a section show at most: a browser draws more only slowly, nobody reads it, and the documents beside the page have all. */
const MOST_ROWS = 500;
const MOST_COLUMNS = 40;

/** The rows that a table shows, and how many it would have. */
export interface Rows {
	shown: Row[];
	all: number;
}

/** Rows of the first items, as many as a table shows; the others are only counted. */
export function rowsOf<T>(items: readonly T[], rowOf: (item: T, place: number) => Row): Rows {
	return { shown: items.slice(0, MOST_ROWS).map(rowOf), all: items.length };
}

const BESIDE = "report.json, beside this page";

/** How much isn't shown, and where it is; nothing where all is shown. */
export function cutNote(shown: number, all: number, what: string, where = BESIDE): ComponentChild {
	if (shown >= all) return null;
	const [some, whole] = [shown, all].map((count) => count.toLocaleString("en-US"));
	return h("p", { class: "note" }, `${some} of ${whole} ${what} are shown. All of them are in ${where}.`);
}

/** A table that scrolls by itself where it is wider than the page, or with the class `cards` makes a card of each row there; what it leaves out is where `where` says. The first cell of a row names it. */
export function table(
	label: string,
	columns: Column[],
	rows: Row[] | Rows,
	{ where = BESIDE, ...properties }: Record<string, string> = {},
): ComponentChild {
	const { shown, all } = Array.isArray(rows) ? rowsOf(rows, (row) => row) : rows;
	// Where a page is narrow a card's lines have no heads above them.
	const labelled = (properties["class"] ?? "").split(" ").includes("cards");
	const head = columns.slice(0, MOST_COLUMNS).map(({ title, meaning, numeric, sorts }) => {
		const shown = meaning ? h("abbr", { title: meaning }, title) : title;
		return h(
			"th",
			{ scope: "col", class: numeric ? "number" : undefined },
			sorts ? h("button", { type: "button", class: "sort" }, shown) : shown,
		);
	});
	const body = shown.map(({ cells, class: className, data = {} }) =>
		h(
			"tr",
			{ class: className, ...data },
			...cells
				.slice(0, MOST_COLUMNS)
				.map((cell, place) => tableCell(cell, columns[place]!, { names: place === 0, labelled })),
		),
	);
	return h(
		Fragment,
		{},
		h(
			"div",
			{ class: "scroll", role: "region", "aria-label": label, tabIndex: 0 },
			h("table", properties, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)),
		),
		cutNote(shown.length, all, "rows", where),
		cutNote(head.length, columns.length, "columns", where),
	);
}

function tableCell(
	cell: Cell,
	{ numeric, title }: Column,
	{ names, labelled }: { names: boolean; labelled: boolean },
): ComponentChild {
	const { show, sort, class: className } = typeof cell === "string" ? { show: cell } : cell;
	const properties = {
		class: [numeric ? "number" : "", className ?? ""].filter(Boolean).join(" ") || undefined,
		"data-label": labelled && !names ? title : undefined,
		"data-sort": sort === undefined || sort === null ? undefined : String(sort),
	};
	return names ? h("th", { scope: "row", ...properties }, show) : h("td", properties, show);
}

/** A column of a metric's figures. */
export function metricColumn(metric: string): Column {
	return { title: nameOf(metric), meaning: meaningOf(metric), numeric: true };
}

/** Names and values, one below the other. */
export function facts(entries: [string, ComponentChildren][]): ComponentChild {
	return h("dl", {}, ...entries.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function levelText(value: number | null, metric: string): string {
	return value === null ? "–" : `${figure(value, decimalsOf(metric))}${unitOf(metric)}`;
}

export function changeText(score: Score): string {
	return score.delta === null ? "–" : `${change(score.delta, decimalsOf(score.metric))}${unitOf(score.metric)}`;
}

export function intervalText({ delta_interval: ends, metric }: Score): string {
	return ends ? `${interval(ends, (value) => change(value, decimalsOf(metric)))}${unitOf(metric)}` : "–";
}

const WIDTH = 180;
const HEIGHT = 18;

/** A change and its interval on a scale from -reach to reach; what goes beyond is cut at an arrow. `allowed` is the policy's own line, `noise` the training's deviation. */
export function intervalBar(
	score: Score,
	reach: number,
	{ allowed, noise }: { allowed: number | null; noise: number | null },
): ComponentChild {
	const { delta, delta_interval: ends } = score;
	if (delta === null) return "–";
	const at = (value: number) => WIDTH / 2 + (Math.max(-reach, Math.min(reach, value)) / reach) * (WIDTH / 2 - 6);
	const middle = HEIGHT / 2;
	const arrows = [...(ends ?? [])].filter((end) => Math.abs(end) > reach);
	const band = noise === null ? null : [at(delta - noise), at(delta + noise)];
	const parts = [
		band && h("rect", { class: "noise", x: band[0], y: 3, width: band[1]! - band[0]!, height: HEIGHT - 6, rx: 2 }),
		h("line", { class: "zero", x1: at(0), x2: at(0), y1: 1, y2: HEIGHT - 1 }),
		allowed === null ? null : h("line", { class: "allowed", x1: at(allowed), x2: at(allowed), y1: 3, y2: HEIGHT - 3 }),
		ends && h("line", { class: "range", x1: at(ends[0]), x2: at(ends[1]), y1: middle, y2: middle }),
		...arrows.map((end) => {
			const x = at(end);
			const tip = end > 0 ? 5 : -5;
			return h("path", { class: "tip", d: `M${x},${middle - 4}L${x + tip},${middle}L${x},${middle + 4}Z` });
		}),
		h("circle", { class: "dot", cx: at(delta), cy: middle, r: 3.5 }),
	];
	const label = `${changeText(score)}, 95 % interval ${intervalText(score)}`;
	return h(
		"svg",
		{
			class: `bar ${moved(score)}`,
			role: "img",
			"aria-label": label,
			width: WIDTH,
			height: HEIGHT,
			viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
		},
		...parts,
	);
}

/** The step of a colour scale, 0 (none) to 4, for a share of its largest. */
export function shade(share: number): number {
	return Math.max(0, Math.min(4, Math.round(share * 4)));
}
