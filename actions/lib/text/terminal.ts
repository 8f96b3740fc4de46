// Markdown of a comment becomes text for a terminal: what is folded stays folded, tables keep their columns.
import { markdownTable } from "markdown-table";
import { plainText } from "./plain.ts";

/** Text of the comment's Markdown up to its first fold, for a person who reads it in a terminal. */
export function showMarkdown(markdown: string): string {
	const shown: string[] = [];
	let table: string[] = [];
	const flush = () => {
		if (table.length > 0) shown.push(...showTable(table));
		table = [];
	};
	for (const line of unfolded(markdown).split("\n")) {
		if (line.startsWith("|")) {
			table.push(line);
			continue;
		}
		flush();
		if (line.startsWith("#")) shown.push(...underline(plain(line.replace(/^#+ /, ""))));
		else shown.push(plain(line));
	}
	flush();
	// Without its code span a text stands at the line's start, where a runner's log takes it for a command.
	return plainText(shown.join("\n"))
		.replaceAll(/\n{3,}/g, "\n\n")
		.trim();
}

/** Not by an escape sequence: the text may end in a file, and what steers a terminal is named by number. */
function underline(title: string): string[] {
	return [title, "═".repeat(displayWidth(title))];
}

function unfolded(markdown: string): string {
	const folded = [...markdown.matchAll(/<summary>(.*?)<\/summary>/gs)].map((match) => plain(match[1]!));
	const text = markdown.replaceAll(/<!--.*?-->/gs, "").replaceAll(/<details>.*?<\/details>/gs, "");
	return folded.length > 0 ? `${text}\n\nFolded: ${folded.join("; ")}.` : text;
}

function showTable(rows: string[]): string[] {
	const cells = rows.map((row) =>
		row
			.split("|")
			.slice(1, -1)
			.map((cell) => plain(cell.trim())),
	);
	const [head, rule, ...body] = cells;
	if (!head || !rule) return rows;
	const align = rule.map((cell) => (cell.endsWith(":") ? "r" : "l"));
	const lines = markdownTable([head, ...body], {
		align,
		stringLength: displayWidth,
		delimiterStart: false,
		delimiterEnd: false,
	}).split("\n");
	return lines.map((line, place) =>
		place === 1 ? line.replaceAll(/[^|]/g, "─").replaceAll("|", "┼") : line.replaceAll(" | ", " │ "),
	);
}

/** Text without its Markdown and HTML, entities as the characters they stand for. */
function plain(text: string): string {
	return text
		.replaceAll("<br>", "  ")
		.replaceAll(/<[^>]+>/g, "")
		.replaceAll("**", "")
		.replaceAll(/`([^`]*)`/g, "$1")
		.replaceAll(/&#(\d+);/g, (_, code: string) => printable(Number(code)))
		.replaceAll("&lt;", "<")
		.replaceAll("&gt;", ">")
		.replaceAll("&amp;", "&");
}

/** A character that a terminal may be shown; one that would steer it becomes a question mark. */
function printable(code: number): string {
	return code < 32 || (code >= 127 && code < 160) || code === 124 ? "?" : String.fromCodePoint(code);
}

/** Columns that a text takes: emoji take two. */
function displayWidth(text: string): number {
	return [...text].reduce(
		(width, character) => width + (/\p{Emoji_Presentation}/u.test(character) ? 2 : character === "\uFE0F" ? 0 : 1),
		0,
	);
}
