// What was judged, by digest, becomes a line that people don't see in what GitHub shows of it, and that a later look compares with.
import { documentText, sha256 } from "../documents.ts";
import type { Report, Verdict } from "../generated/documents.d.ts";

/** Digests of what a verdict rests on, kept where the store isn't. */
export interface Anchor {
	evaluation: string;
	/** Of the evaluation's manifest, which lists its documents. */
	evaluation_manifest: string;
	/** Of the model's manifest, which lists its files. */
	manifest: string;
	report: string;
	verdict: string;
}

const DIGEST = "sha256:[0-9a-f]{64}";
// A line of its own: no text of a person's begins one. What an earlier or later version writes otherwise is left alone.
const LINE = new RegExp(
	`^<!-- proving-ground judged: evaluation=([\\w-]+) evaluation_manifest=(${DIGEST}) manifest=(${DIGEST}) report=(${DIGEST}) verdict=(${DIGEST}) -->$`,
	"gm",
);

/** The line; empty for a report of an earlier version, which names no manifest of its evaluation, or where a digest is none. */
export function anchorLine(report: Report, verdict: Verdict): string {
	const { evaluation } = report.evidence;
	if (!evaluation) return "";
	const facts = {
		evaluation: report.evaluation,
		evaluation_manifest: evaluation,
		manifest: report.manifest,
		report: verdict.report,
		verdict: sha256(documentText(verdict)),
	} satisfies Anchor;
	const words = Object.entries(facts).map(([name, value]) => `${name}=${value}`);
	const line = `<!-- proving-ground judged: ${words.join(" ")} -->`;
	// A digest that is none could end the HTML comment and write what it likes after it.
	return anchorsIn(line).length === 1 ? line : "";
}

/** What a text of ours says was judged. */
export function anchorsIn(text: string): Anchor[] {
	return [...text.replaceAll("\r\n", "\n").matchAll(LINE)].map(
		([, evaluation, evaluation_manifest, manifest, report, verdict]) => ({
			evaluation: evaluation!,
			evaluation_manifest: evaluation_manifest!,
			manifest: manifest!,
			report: report!,
			verdict: verdict!,
		}),
	);
}
