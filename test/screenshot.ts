// A Markdown file becomes a picture of how GitHub shows it. Run: node test/screenshot.ts comment.md out.png
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const EXTENSIONS = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"];

/** HTML of Markdown by GitHub's own renderer. */
export function renderMarkdown(markdown: string): string {
	const extensions = EXTENSIONS.flatMap((name) => ["-e", name]);
	return execFileSync("cmark-gfm", ["--unsafe", ...extensions], {
		input: markdown,
		encoding: "utf8",
		maxBuffer: 64 * 1024 * 1024,
	});
}

/** Takes a picture of Markdown in a column as wide as a pull request's. */
export async function screenshot(markdown: string, file: string, height?: number): Promise<void> {
	const css = readFileSync(
		createRequire(import.meta.url).resolve("github-markdown-css/github-markdown-light.css"),
		"utf8",
	);
	const page = `<!doctype html><meta charset="utf-8"><style>${css} .markdown-body { padding: 24px; width: 852px }</style><body class="markdown-body">${renderMarkdown(markdown)}`;
	// Without these flags Chromium looks for hosts of its own at every start.
	const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
	const browser = await chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args });
	try {
		const tab = await browser.newPage({ viewport: { width: 900, height: height ?? 600 }, deviceScaleFactor: 2 });
		await tab.setContent(page);
		await tab.screenshot({ path: file, fullPage: height === undefined });
	} finally {
		await browser.close();
	}
}

if (import.meta.main) {
	const [from, to] = process.argv.slice(2);
	await screenshot(readFileSync(from!, "utf8"), to!);
}
