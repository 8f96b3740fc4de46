// A verdict's checks that another seed may end otherwise become a section of the comment: by how much, and which seed to run.
import { boundText, measuredAt, outcomeText, worstFirst } from "../gate/check_words.ts";
import type { Verdict } from "../generated/documents.d.ts";
import { checkNoiseText, seedsToRun } from "../report/noise.ts";
import { code } from "../text/markdown.ts";

type Check = Verdict["checks"][number];

/** Checks of the list in a comment; the rest is in the verdict. */
const MOST = 8;

/** The checks whose figure is nearer to its bound than the noise of training, with the seed to run next; empty where there are none. */
export function nearSection({ checks }: Verdict): string {
	const near = worstFirst(checks.filter(({ noise }) => noise?.next));
	if (near.length === 0) return "";
	const left = near.length - MOST;
	const rest = left > 0 ? `\n- …and ${left} more, in verdict.json` : "";
	return [
		"**Closer to the limit than the training noise:** another seed may change these outcomes.",
		`${near.slice(0, MOST).map(lineOf).join("\n")}${rest}`,
		`To find out, run ${seedsToRun(near, code)}. This verdict stays as it is.`,
	].join("\n\n");
}

function lineOf(check: Check): string {
	return `- ${outcomeText(check)}: ${measuredAt(check)}, limit: ${boundText(check)}, ${checkNoiseText(check)}`;
}
