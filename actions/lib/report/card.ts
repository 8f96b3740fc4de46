// The trainer's model card becomes the one beside the report: with what the splits of its data share, which only the plan knows.
import { overlapMarkdown } from "../data/overlap.ts";
import type { PlanOverlap } from "../generated/documents.d.ts";

const NEXT = "\n## Limitations\n";

/** The card with a section on the splits, before its limitations; as it is where that wasn't counted. */
export function cardWithOverlap(card: string, overlap: PlanOverlap | undefined): string {
	if (!overlap) return card;
	const section = `## Splits\n\n${overlapMarkdown(overlap)}\n`;
	const at = card.indexOf(NEXT);
	return at < 0 ? `${card.trimEnd()}\n\n${section}` : `${card.slice(0, at + 1)}${section}${card.slice(at)}`;
}
