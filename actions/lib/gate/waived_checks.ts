// What a verdict let by, and on whose word, becomes a section of the comment and of the model card.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { replaceFile } from "../files.ts";
import type { Verdict } from "../generated/documents.d.ts";
import { code } from "../text/markdown.ts";
import { foundText, scoreText } from "./check_words.ts";

/** Entries of each list in a comment; the rest is in the verdict. */
const MOST = 12;
/** Around the card's section, so that a later verdict replaces it. */
const BEGIN = "<!-- waived checks, by the gate -->";
const END = "<!-- end of waived checks -->";

/** The waived checks, and the waivers that have no effect; empty where there are neither. */
export function waiversSection(verdict: Verdict): string {
	const { file = "", idle = [] } = verdict.waivers ?? {};
	const vain = idle.map(
		({ who, line, why, ...check }) =>
			`- ${scoreText(check, code)}, granted by ${code(who)} (line ${line}): ${code(why)}`,
	);
	return [
		titled(`Waived checks (${code(file)})`, waivedLines(verdict)),
		titled(`Waivers without effect (${code(file)})`, vain),
	]
		.filter(Boolean)
		.join("\n\n");
}

/** The model card with the verdict's waived checks as its last section, in the place of those of an earlier verdict. */
export function waivedCard(card: string, verdict: Verdict): string {
	const at = card.lastIndexOf(BEGIN);
	const own = at >= 0 && card.trimEnd().endsWith(END) ? card.slice(0, at) : card;
	const lines = waivedLines(verdict);
	if (lines.length === 0) return at >= 0 ? `${own.trimEnd()}\n` : own;
	const intro =
		"These checks did not pass. Somebody other than the experiment's authors waived them for a limited time:";
	return `${own.trimEnd()}\n\n${BEGIN}\n\n## Waived checks\n\n${intro}\n\n${lines.join("\n")}\n\n${END}\n`;
}

/** Puts the verdict's waived checks into the model card beside the report; where there is no card there is nothing to say it in. */
export async function writeWaived(folder: string, verdict: Verdict): Promise<void> {
	const file = path.join(folder, "model_card.md");
	const card = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return null;
		throw error;
	});
	if (card === null) return;
	const changed = waivedCard(card, verdict);
	if (changed !== card) await replaceFile(file, changed);
}

function waivedLines({ checks }: Verdict): string[] {
	return checks.flatMap((check) => {
		if (!check.waived) return [];
		const { who, until, reason, line } = check.waived;
		return `- ${foundText(check)}, ${check.outcome}: waived by ${code(who)} until ${code(until)} (line ${line}): ${code(reason)}`;
	});
}

function titled(title: string, lines: readonly string[]): string {
	if (lines.length === 0) return "";
	const left = lines.length - MOST;
	const rest = left > 0 ? `\n- …and ${left} more, in verdict.json` : "";
	return `**${title}**\n\n${lines.slice(0, MOST).join("\n")}${rest}`;
}
