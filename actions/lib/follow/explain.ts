// A question about a check becomes an answer from the verdict: what was measured, the limit, the rule's reason, what would settle it.
import { actualText, boundText, outcomeText, scoreText } from "../gate/check_words.ts";
import type { Verdict } from "../generated/documents.d.ts";
import { isLatency, nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { code, renderTable } from "../text/markdown.ts";

/** More checks than this answer no question. */
const MOST = 10;

/** The checks that every word of a question names: a metric by its key or its name, a slice, an outcome; all that block where it has no word. */
export function findChecks({ checks }: Verdict, question: string): Verdict["checks"] {
	const words = question.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return checks.filter(({ blocking }) => blocking);
	const named = ({ metric, slice, outcome }: Verdict["checks"][number]) => {
		// The name as words, and the "on" between a metric and its slice, so that a line of the comment is a question.
		const names = [metric, ...nameOf(metric).split(/\s+/), slice ?? "overall", outcome, "on"];
		const known = new Set(names.map((name) => name.toLowerCase()));
		return words.every((word) => known.has(word));
	};
	return checks.filter(named);
}

/** The answer as Markdown, for a verdict; `question` is anybody's text. */
export function explain(verdict: Verdict, question: string): string {
	const found = findChecks(verdict, question);
	const asked = question.trim() === "" ? "the checks that block" : code(question.trim());
	if (found.length === 0) {
		const names = [...new Set(verdict.checks.map((check) => scoreText(check, code)))];
		const rows = names.map((name) => [name]);
		return [
			`No check of ${code(verdict.experiment)} matches ${asked}. Its checks:`,
			renderTable({ head: ["check"], align: "l", rows, rest: "verdict.json" }, 40),
		].join("\n\n");
	}
	const shown = found.slice(0, MOST).map((check) => sectionOf(check, verdict));
	const rest = found.length > MOST ? [`…and ${found.length - MOST} more, all in verdict.json.`] : [];
	return [`${code(verdict.experiment)}: ${asked}`, ...shown, ...rest].join("\n\n");
}

function sectionOf(check: Verdict["checks"][number], { policy, baseline }: Verdict): string {
	const { metric, why, reason, line, frames, units, p_fail, waived, protected: isProtected } = check;
	const sequences = units > 0 && units !== frames ? ` in ${counted(units, "sequence")}` : "";
	const facts = [
		`measured ${actualText(check).replace("<br><sub>", " (").replace("</sub>", ")")}, limit: ${boundText(check)}, against ${baseline === null ? "no production model" : `production v${baseline}`}`,
		`on ${isLatency(metric) ? `${frames} repeats` : counted(frames, "frame")}${sequences}${isProtected ? ", a protected slice" : ""}`,
		code(why),
		p_fail === null
			? ""
			: `chance of a result this bad if the limit were just met: ${p_fail < 0.0001 ? "under 0.01 %" : `${(100 * p_fail).toFixed(2)} %`}`,
		waived ? `waived by ${code(waived.who)} until ${waived.until}: ${code(waived.reason)}` : "",
		`rule: ${code(`metric: ${metric}`)} at ${code(policy.file)}, line ${line}: ${code(reason)}`,
	];
	const list = facts.filter(Boolean).map((fact) => `- ${fact}`);
	return `**${outcomeText(check)}: ${scoreText(check, code)}**\n\n${list.join("\n")}`;
}

/** The answer where there is no verdict to ask. */
export function unexplained(experiment: string): string {
	return `${code(experiment)} isn't judged yet, so there is no check to explain.`;
}
