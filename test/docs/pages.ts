// The Markdown that people read becomes its links, its headings, its blocks of code and its commands.
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { renderMarkdown } from "../screenshot.ts";

export const root = path.resolve(import.meta.dirname, "../..");

/** README, the guides, every action's README, CONTRIBUTING; machines write the others. */
export const pages = globSync(
	["*.md", "{actions,experiments,recipes,reports,trainer}/README.md", "actions/*/README.md"],
	{
		cwd: root,
	},
).sort();

export interface Block {
	page: string;
	/** Line of the page on which it begins. */
	line: number;
	language: string;
	text: string;
}

export const readPage = (page: string) => readFileSync(path.join(root, page), "utf8");

/** Fenced blocks of code. */
export function blocksOf(page: string, markdown = readPage(page)): Block[] {
	return [...markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map((match) => ({
		page,
		line: markdown.slice(0, match.index).split("\n").length,
		language: match[1]!,
		text: match[2]!,
	}));
}

/** Code within sentences and tables. */
export function inlineCodeOf(page: string): string[] {
	const prose = readPage(page).replaceAll(/^```.*?^```$/gms, "");
	return [...prose.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);
}

export interface Command {
	where: string;
	words: string[];
}

/** Command lines: those of the blocks of shell, and in sentences those that begin with npx or npm. */
export function commandsOf(page: string): Command[] {
	const shell = blocksOf(page).filter(({ language }) => language === "sh");
	const lines = shell.flatMap(({ line, text }) =>
		text
			.replaceAll(/\\\n\s*/g, " ")
			.split("\n")
			.map((command) => ({ where: `${page}:${line}`, text: command.replace(/\s+#.*$/, "") })),
	);
	const inline = inlineCodeOf(page)
		.filter((code) => /^(npx|npm) /.test(code))
		.map((text) => ({ where: page, text }));
	return [...lines, ...inline]
		.filter(({ text }) => text.trim() !== "")
		.map(({ where, text }) => ({ where, words: text.trim().split(/\s+/) }));
}

/** What a page links to, and the anchors of its headings as GitHub makes them. */
export function linksAndAnchors(markdown: string): { links: string[]; anchors: string[] } {
	const html = renderMarkdown(markdown);
	const links = [...html.matchAll(/ (?:href|src)="([^"]+)"/g)].map((match) => match[1]!);
	const seen = new Map<string, number>();
	const anchors = [...html.matchAll(/<h[1-6]>(.*?)<\/h[1-6]>/gs)].map((match) => {
		const words = match[1]!.replaceAll(/<[^>]+>/g, "").replaceAll(/&\w+;/g, "");
		const slug = words
			.toLowerCase()
			.replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
			.replaceAll(/\s/g, "-");
		const times = seen.get(slug) ?? 0;
		seen.set(slug, times + 1);
		return times === 0 ? slug : `${slug}-${times}`;
	});
	return { links, anchors };
}
