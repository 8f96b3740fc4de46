// Days become windows of days, and what says when a frame was captured becomes its day; all of them in UTC.
import type { Problem } from "../errors.ts";
import type { RunWindow } from "../generated/documents.d.ts";
import { problemAt } from "../text/problems.ts";
import type { ResolvedExperiment } from "./experiment.ts";

/** The frames of a manifest that say when they were captured: how many, and the first and the last of their days. */
export interface Captured {
	frames: number;
	from: string;
	to: string;
}

const DAY_MS = 24 * 60 * 60 * 1000;
// Years of four digits that both languages count with; what has no offset is in UTC.
const CAPTURED =
	/^([12]\d{3}-\d{2}-\d{2})(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?$/;

/** Whether a text of the form YYYY-MM-DD names a day that some calendar has. */
export function isDay(text: string): boolean {
	const date = new Date(`${text}T00:00:00Z`);
	// Where a month has no such day, the date is of the next month.
	return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

/** The day of a manifest's `captured`, which is a day or a time; null for anything else. */
export function dayOf(captured: unknown): string | null {
	const [, day = "", time, offset = "Z"] = (typeof captured === "string" && CAPTURED.exec(captured)) || [];
	if (!isDay(day)) return null;
	return time === undefined ? day : utcDay(new Date(`${day}T${time}${offset}`));
}

/** The day of a moment. */
export function utcDay(moment: Date): string {
	return moment.toISOString().slice(0, "YYYY-MM-DD".length);
}

/** The day so many days later, or earlier. */
export function addDays(day: string, days: number): string {
	return utcDay(new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS));
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
		? `the ${captured.frames} frames with \`captured\` are of ${captured.from} to ${captured.to}, none of ${value.window.from} to ${value.window.to}`
		: "no frame has `captured`, which says when it was taken";
	return [problemAt(source, "/window", `window: in the training manifest of ${data.source.file} ${found}`, "key")];
}
