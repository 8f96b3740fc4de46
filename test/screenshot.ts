// A Markdown file becomes a picture of how GitHub shows it, an HTML file one of how a browser does.
// Run: node test/screenshot.ts comment.md|page.html out.png [width [light|dark]]
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { type Browser, chromium } from "playwright-core";

/** What GitHub has switched on in its renderer. */
export const EXTENSIONS = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"];

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
	const require = createRequire(import.meta.url);
	const css = readFileSync(require.resolve("github-markdown-css/github-markdown-light.css"), "utf8");
	const page = `<!doctype html><meta charset="utf-8"><style>${css} .markdown-body { padding: 24px; width: 852px }</style><body class="markdown-body">${renderMarkdown(markdown)}`;
	const browser = await launchBrowser();
	try {
		const tab = await browser.newPage({ viewport: { width: 900, height: height ?? 600 }, deviceScaleFactor: 2 });
		await tab.setContent(page);
		await tab.screenshot({ path: file, fullPage: height === undefined });
	} finally {
		await browser.close();
	}
}

/** Names of a browser that can be driven, the first that is there being taken: Debian's, an older one of its, and Google's own. */
const BROWSERS = ["chromium", "chromium-browser", "google-chrome"];

/** The path of a browser: what CHROMIUM names, else the first among the folders of PATH; null where there is none. */
export function findBrowser({ CHROMIUM, PATH = "" }: Record<string, string | undefined> = process.env): string | null {
	if (CHROMIUM) return CHROMIUM;
	const folders = PATH.split(path.delimiter).filter(Boolean);
	const places = BROWSERS.flatMap((name) => folders.map((folder) => path.join(folder, name)));
	return places.find((place) => existsSync(place)) ?? null;
}

/** The system's browser, without what it would ask of its maker's hosts at every start; throws where there is none. */
export async function launchBrowser(): Promise<Browser> {
	const executablePath = findBrowser();
	if (executablePath === null)
		throw new Error(`No browser is there: install one of ${BROWSERS.join(", ")}, or name one in CHROMIUM.`);
	const args = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
	return chromium.launch({ executablePath, args });
}

/** Takes a picture of a page on disk. */
async function screenshotPage(from: string, to: string, width: number, colorScheme: "light" | "dark"): Promise<void> {
	const browser = await launchBrowser();
	try {
		const tab = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
		await tab.goto(pathToFileURL(from).href);
		await tab.screenshot({ path: to, fullPage: true });
	} finally {
		await browser.close();
	}
}

if (import.meta.main) {
	const [from, to, width = "1180", scheme = "light"] = process.argv.slice(2);
	if (from!.endsWith(".html")) await screenshotPage(from!, to!, Number(width), scheme as "light" | "dark");
	else await screenshot(readFileSync(from!, "utf8"), to!);
}
