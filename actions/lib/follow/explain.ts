// A question about a check becomes an answer from the verdict: what was found, what was asked, why the rule stands, what would settle it.
import { actualText, boundText, outcomeText, whereText } from "../gate/check_words.ts";
import type { Verdict } from "../generated/documents.d.ts";
import { isLatency } from "../metrics.ts";
import { code, renderTable } from "../text/markdown.ts";

/** More checks than this answer no question. */
const MOST = 10;

/** The checks that every word of a question names: a metric, a slice, an outcome; all that block where it has no word. */
export function findChecks({ checks }: Verdict, question: string): Verdict["checks"] {
	const words = question.toLowerCase().split(/\s+/).filter(Boolean);
	if (words.length === 0) return checks.filter(({ blocking }) => blocking);
	const named = (check: Verdict["checks"][number]) => {
		const names = [check.metric, check.slice ?? "overall", check.outcome].map((name) => name.toLowerCase());
		return words.every((word) => names.includes(word));
	};
	return checks.filter(named);
}

/** The answer as Markdown, for a verdict; `question` is anybody's text. */
export function explain(verdict: Verdict, question: string): string {
	const found = findChecks(verdict, question);
	const asked = question.trim() === "" ? "the checks that block" : code(question.trim());
	if (found.length === 0) {
		const names = [...new Set(verdict.checks.map(({ metric, slice }) => `${metric} ${slice ?? "overall"}`))];
		const rows = names.map((name) => [code(name)]);
		return [
			`No check of ${code(verdict.experiment)} answers to ${asked}. There are:`,
			renderTable({ head: ["check"], align: "l", rows, rest: "verdict.json" }, 40),
		].join("\n\n");
	}
	const shown = found.slice(0, MOST).map((check) => sectionOf(check, verdict));
	const rest = found.length > MOST ? [`…and ${found.length - MOST} more, all in verdict.json.`] : [];
	return [`${code(verdict.experiment)}: ${asked}`, ...shown, ...rest].join("\n\n");
}

function sectionOf(check: Verdict["checks"][number], { policy, baseline }: Verdict): string {
	const { metric, slice, why, reason, line, frames, units, p_fail, waived, protected: isProtected } = check;
	const facts = [
		`found ${actualText(check).replace("<br><sub>", " (").replace("</sub>", ")")}, asked ${boundText(check)}, against ${baseline === null ? "no production model" : `production v${baseline}`}`,
		`measured ${isLatency(metric) ? `in ${frames} repeats` : `on ${frames} frames`}${units > 0 && units !== frames ? ` in ${units} sequences` : ""}${isProtected ? ", a protected slice" : ""}`,
		code(why),
		p_fail === null
			? ""
			: `the chance of a figure this bad, were the bound just met: ${p_fail < 0.0001 ? "under 0.01 %" : `${(100 * p_fail).toFixed(2)} %`}`,
		waived ? `waived by ${code(waived.who)} until ${waived.until}: ${code(waived.reason)}` : "",
		`the rule stands at ${code(policy.file)}, line ${line}: ${code(reason)}`,
	];
	const list = facts.filter(Boolean).map((fact) => `- ${fact}`);
	return `**${outcomeText(check)} ${code(metric)} ${whereText(slice)}**\n\n${list.join("\n")}`;
}

/** The answer where there is no verdict to ask. */
export function unexplained(experiment: string): string {
	return `${code(experiment)} isn't judged yet: there is no check to explain.`;
}
