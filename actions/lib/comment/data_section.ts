// What the splits of the data share, and what the plan warns of, become what a reviewer reads before the figures.
import { overlapMarkdown } from "../data/overlap.ts";
import type { Plan } from "../generated/documents.d.ts";
import { code, codeWithin } from "../text/markdown.ts";
import { cutList } from "./sections.ts";

/** What the splits share; empty of a plan that hasn't counted it. */
export function overlapSection({ data: { overlap } }: Plan): string {
	return overlap ? `**Splits:** ${overlapMarkdown(overlap)}` : "";
}

/** Warnings that a comment has, and the longest of them. */
const MOST_WARNINGS = 20;
const MAX_WARNING = 400;

/** What the author may want to mend. */
export function warningsSection({ warnings = [] }: Plan): string {
	if (warnings.length === 0) return "";
	const lines = warnings.map(
		({ file, line, message }) => `- ${code(`${file}:${line}`)} ${codeWithin(message, MAX_WARNING)}`,
	);
	return `⚠️ **Is this meant?**\n\n${cutList(lines, MOST_WARNINGS, "plan.json")}`;
}
