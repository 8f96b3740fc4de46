// Content becomes one HTML file that needs nothing else: its style and its script inside, and a policy that lets nothing more in.
import { createHash } from "node:crypto";
import { type ComponentChildren, h } from "preact";
import { render } from "preact-render-to-string";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** A whole page. Everything in it is escaped, and its Content-Security-Policy allows no network and no script but ours. */
export function htmlPage(title: string, ...content: ComponentChildren[]): string {
	const hash = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
	const policy = `default-src 'none'; img-src data:; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'`;
	const raw = (name: "style" | "script", text: string) => h(name, { dangerouslySetInnerHTML: { __html: text } });
	const page = h(
		"html",
		{ lang: "en" },
		h(
			"head",
			{},
			h("meta", { charset: "utf-8" }),
			h("meta", { "http-equiv": "Content-Security-Policy", content: policy }),
			h("meta", { name: "viewport", content: "width=device-width, initial-scale=1" }),
			h("meta", { name: "color-scheme", content: "light dark" }),
			h("title", {}, title),
			raw("style", STYLE),
		),
		h("body", {}, ...content, raw("script", SCRIPT)),
	);
	return `<!doctype html>\n${render(page)}\n`;
}
