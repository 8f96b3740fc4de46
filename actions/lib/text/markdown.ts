// Values become GitHub Markdown that says what they say and does nothing else.
import { markdownTable } from "markdown-table";
import { counted } from "./counted.ts";
import { nameInvisible } from "./plain.ts";
import { withoutPrivate } from "./private.ts";

/** Longest text of a person's that is shown; the rest is in the documents. */
const MAX_TEXT = 160;

// What would end a code span or a table's cell, and the character that is shown for it.
const LOOKALIKES: Record<string, string> = { "`": "\u02CB", "|": "\u2223", "\n": " ", "\r": " ", "\t": " " };

/**
 * Untrusted text as a code span. Inside code GitHub neither notifies an @name nor links #1, hashes and addresses, which it
 * does everywhere else, even where the characters are written as entities. Characters that would end the code are shown by
 * their likes; those that steer the reading direction or can't be seen are named by their number.
 */
export function code(text: string): string {
	return codeWithin(text, MAX_TEXT);
}

/** Untrusted text as a code span, of at most so many characters. */
export function codeWithin(text: string, most: number): string {
	// Before it is cut: the half of an address tells whose it is.
	const characters = [...withoutPrivate(text)];
	const shown = characters.length > most ? [...characters.slice(0, most - 1), "…"] : characters;
	const inner = shown
		.map((character) => LOOKALIKES[character] ?? nameInvisible(character))
		.join("")
		.replaceAll(/ {2,}/g, " ")
		.trim();
	// Empty code would be two backticks in the text.
	return `\`${inner === "" ? " " : inner}\``;
}

/** A link where the address is one of the web, without a name and password in it; else the empty text. */
export function link(text: string, address: string): string {
	if (!URL.canParse(address)) return "";
	const { protocol, username, password, href } = new URL(address);
	if (!["http:", "https:"].includes(protocol) || username !== "" || password !== "") return "";
	// What would end the link or the cell it stands in.
	const safe = href.replaceAll(/[()[\]<>|`\\"'@\s]/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
	return `[${text}](${safe})`;
}

/** Rows of a table; a list of them is some. */
export interface Rows {
	readonly length: number;
	slice(from: number, to: number): string[][];
}

/** Rows that are made only where they are shown: of a hundred thousand a few hundred are. */
export function rowsOf<T>(items: readonly T[], rowOf: (item: T) => string[]): Rows {
	return { length: items.length, slice: (from, to) => items.slice(from, to).map(rowOf) };
}

/** Rows that are cut, among which those to name are looked for. */
const MOST_NAMED = 50;

/** A table and how many rows of it may be shown. */
export interface Table {
	head: string[];
	/** A letter for each column: l or r. */
	align: string;
	rows: Rows;
	/** Where the rows are that are cut. */
	rest: string;
	/** Columns that name a row; the first, where it is left out. */
	named?: number[];
}

/** A table cut at a row, with the rest counted and, by their first column, the next of them named. */
export function renderTable({ head, align, rows, rest, named: columns = [0] }: Table, maxRows: number): string {
	const shown = rows.slice(0, maxRows);
	const left = rows.length - shown.length;
	const table = shown.length > 0 ? markdownTable([head, ...shown], { align: [...align], alignDelimiters: false }) : "";
	if (left === 0) return table;
	const next = rows.slice(maxRows, maxRows + MOST_NAMED);
	const named = [...new Set(next.map((row) => columns.map((column) => row[column]).join(" ")))].slice(0, 5).join(", ");
	return `${table}\n\n…and ${counted(left, "more row")} (${named}${left > 5 ? ", …" : ""}), all in ${rest}.`;
}

/** A fold: GitHub needs the empty line between HTML and Markdown. */
export function fold(summary: string, body: string): string {
	return `<details>\n<summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

/** A score or another figure, with three decimals; a dash where there is none. */
export function figure(value: number | null | undefined, decimals = 3): string {
	if (value === null || value === undefined || !Number.isFinite(value)) return "–";
	const shown = Math.abs(value).toFixed(decimals);
	// What rounds to zero has no sign.
	return value < 0 && Number(shown) !== 0 ? `−${shown}` : shown;
}

/** A change with its sign; a dash where there is none. */
export function change(value: number | null | undefined, decimals = 3): string {
	const shown = figure(value, decimals);
	return shown === "–" || shown.startsWith("−") || Number(shown) === 0 ? shown : `+${shown}`;
}

/** Both ends of an interval; empty where there is none. */
export function interval(ends: readonly number[] | null | undefined, show: (value: number) => string): string {
	return ends ? `${show(ends[0]!)} to ${show(ends[1]!)}` : "–";
}

/** A time as people say it. */
export function duration(seconds: number): string {
	if (seconds < 90) return `${Math.round(seconds)} s`;
	const minutes = Math.round(seconds / 60);
	return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
