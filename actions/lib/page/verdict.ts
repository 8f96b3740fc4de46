// A verdict becomes the first screen of a page: the outcome in a sentence, and every check with its policy line and reason.
import { type ComponentChild, h } from "preact";
import {
	boundText,
	familySentence,
	measuredText,
	outcomeWords,
	scoreText,
	valueText,
	worstFirst,
} from "../gate/check_words.ts";
import { waivedWords } from "../gate/waivers.ts";
import type { Report, Verdict } from "../generated/documents.d.ts";
import { checkNoiseText, nearText } from "../report/noise.ts";
import { counted } from "../text/counted.ts";
import { interval } from "../text/markdown.ts";
import { fold, metricName, type Row, rowsOf, section, table } from "./parts.ts";

type Check = Verdict["checks"][number];

/** The outcome in a word and a class. */
export function outcomeOf(verdict: Verdict | undefined): { word: string; class: string } {
	if (!verdict) return { word: "not judged yet", class: "open" };
	if (verdict.outcome === "pass") return { word: `passed${waivedWords(verdict.counts.waived)}`, class: "pass" };
	return verdict.outcome === "fail"
		? { word: "failed", class: "fail" }
		: { word: "inconclusive", class: "inconclusive" };
}

/** What was found and what it was held against, in a sentence. */
export function verdictSentence(report: Report, verdict: Verdict | undefined): string {
	const against = report.baseline ? `against production v${report.baseline.version}` : "as the first model of its line";
	if (!verdict) return `Measured ${against}, not judged yet.`;
	const { counts } = verdict;
	const parts = [
		`${counted(counts.pass, "check")} passed`,
		`${counts.fail} failed`,
		`${counts.inconclusive} inconclusive`,
		...(counts.waived > 0 ? [`${counts.waived} waived`] : []),
		...(counts.no_baseline > 0 ? [`${counts.no_baseline} without a baseline`] : []),
	];
	return `Judged ${against} by ${verdict.policy.file}: ${parts.join(", ")}.`;
}

/** All checks: those that didn't pass in sight, the others folded. */
export function checksSection(verdict: Verdict | undefined): ComponentChild {
	if (!verdict) return null;
	const sorted = worstFirst(verdict.checks);
	const open = sorted.filter(({ outcome }) => outcome === "fail" || outcome === "inconclusive");
	const rest = sorted.filter(({ outcome }) => outcome !== "fail" && outcome !== "inconclusive");
	const shown = open.length > 0 ? checkTable("Checks that did not pass", open, verdict) : null;
	return section(
		"checks",
		"Checks",
		open.length === 0 ? h("p", {}, heldSentence(verdict)) : shown,
		rest.length > 0
			? fold(`${restWords(verdict, rest.length)}${nearWords(rest)}`, checkTable("Other checks", rest, verdict))
			: null,
		idleWaivers(verdict),
		h("p", { class: "note" }, familySentence(verdict)),
	);
}

/** That nothing is open; checks without a baseline are told apart only where there are some. */
function heldSentence({ counts }: Verdict): string {
	if (counts.pass === 0) return "No check could run.";
	return counts.no_baseline > 0 ? "All checks that could run passed." : "All checks passed.";
}

/** What the folded checks have in common. */
function restWords({ counts }: Verdict, count: number): string {
	const checks = counted(count, "check");
	if (counts.no_baseline === 0) return `${checks} passed`;
	return counts.pass === 0 ? `${checks} without a baseline` : `${checks} passed or without a baseline`;
}

/** How many of some checks another seed may end otherwise; empty where it is none. */
function nearWords(checks: Check[]): string {
	const { length } = checks.filter(({ noise }) => noise?.next);
	if (length === 0) return "";
	return `; ${length} closer to the limit than the training noise`;
}

/** Waivers that name a check which blocks, and why they don't let it by. */
function idleWaivers({ waivers }: Verdict): ComponentChild {
	if (!waivers || waivers.idle.length === 0) return null;
	const lines = waivers.idle.map(({ who, line, why, ...check }) =>
		h("li", {}, `${scoreText(check)}, granted by ${who} (${waivers.file}, line ${line}): ${why}`),
	);
	return [h("p", {}, "Waivers without effect:"), h("ul", {}, ...lines)];
}

function waivedSentence({ who, until, reason, line }: NonNullable<Check["waived"]>): string {
	return `Waived by ${who} until ${until} (line ${line} of the waivers): ${reason}`;
}

function checkTable(label: string, checks: Check[], { policy }: Verdict): ComponentChild {
	const columns = [
		{ title: "slice", sorts: true },
		{ title: "metric", sorts: true },
		{ title: "outcome", sorts: true },
		{ title: "limit" },
		{ title: "measured (95 % interval)" },
		{ title: "reason" },
	];
	const rows = rowsOf(checks, (check): Row => {
		const { slice, metric, outcome, blocking, why, reason, line, waived } = check;
		// Where a figure is settled the table says all; where there is none, or it is inconclusive, only words can.
		const words = check.actual === null || outcome === "inconclusive" ? why : "";
		const notes = [checkNoiseText(check), words, nearText(check)].filter(Boolean);
		return {
			cells: [
				{
					show: [slice ?? "overall", check.protected ? h("span", { class: "tag" }, "protected") : null],
					sort: slice ?? "",
				},
				{ show: metricName(metric) },
				{ show: outcomeWords(check), class: `outcome ${blocking ? "fail" : outcome}` },
				boundText(check),
				{
					show: [foundCell(check), ...notes.map((text) => h("p", { class: "note" }, text))],
					class: notes.length > 0 ? "words" : "",
				},
				{
					show: [
						reason,
						h("br", {}),
						h("small", {}, `${policy.file.split("/").at(-1)}, line ${line}`),
						waived && h("p", { class: "note" }, waivedSentence(waived)),
					],
					class: "words",
				},
			],
		};
	});
	return table(label, columns, rows, { class: "cards", where: "verdict.json, beside this page" });
}

function foundCell(check: Check): string {
	if (check.actual === null) return "–";
	const ends = check.interval ? ` (${interval(check.interval, (value) => valueText(check, value))})` : "";
	return `${measuredText(check, check.actual)}${ends}`;
}
