// Days become windows of days, and what says when a frame was captured becomes its day; all of them in UTC.
import type { Problem } from "../errors.ts";
import type { RunWindow } from "../generated/documents.d.ts";
import { dayOf, isDay } from "../text/days.ts";
import { problemAt } from "../text/problems.ts";
import type { ResolvedExperiment } from "./resolved.ts";

/** The frames of a manifest that say when they were captured: how many, and the first and the last of their days. */
export interface Captured {
	frames: number;
	from: string;
	to: string;
}

/** Whether a manifest's `captured` lies inside. */
export function isInside(captured: unknown, { from, to }: RunWindow): boolean {
	const day = dayOf(captured);
	return day !== null && from <= day && day <= to;
}

/** The words for it where frames are counted; empty where there is none. */
export function windowWords(window: RunWindow | undefined): string {
	return window ? ` captured from ${window.from} to ${window.to}` : "";
}

/** An experiment's window that no calendar has, or that ends before it begins. */
export function checkWindow({ experiment: { source, value } }: ResolvedExperiment): Problem[] {
	const { window } = value;
	if (!window) return [];
	const unknown = (["from", "to"] as const).filter((key) => !isDay(window[key]));
	if (unknown.length === 0 && window.to < window.from)
		return [
			problemAt(source, "/window/to", `window.to: found "${window.to}"; it must be ${window.from} (from) or later`),
		];
	return unknown.map((key) =>
		problemAt(source, `/window/${key}`, `window.${key}: found "${window[key]}"; there is no such day`),
	);
}

/** An experiment's window in which no frame of its data was captured. */
export function checkCaptured(
	{ experiment: { source, value }, data }: ResolvedExperiment,
	{ captured, splits }: { captured: Captured | null; splits: { train: { frames: number } } },
): Problem[] {
	if (!value.window || splits.train.frames > 0) return [];
	const found = captured
		? `its ${captured.frames} frames with \`captured\` are from ${captured.from} to ${captured.to}`
		: "no frame has `captured`, the day it was taken";
	return [
		problemAt(
			source,
			"/window",
			`window: the training manifest of ${data.source.file} has no frame from ${value.window.from} to ${value.window.to}: ${found}`,
			"key",
		),
	];
}
