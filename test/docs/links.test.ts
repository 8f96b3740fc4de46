// The pages that people read
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { inlineCodeOf, linksAndAnchors, pages, readPage, root } from "./pages.ts";

const anchors = new Map(pages.map((page) => [page, linksAndAnchors(readPage(page)).anchors]));

/** Relative links of a page's text that lead nowhere; a folder shows its README. */
function brokenLinks(page: string, markdown: string): string[] {
	return linksAndAnchors(markdown).links.filter((link) => {
		if (/^[a-z]+:/i.test(link)) return false;
		const [target, anchor] = link.split("#") as [string, string?];
		const file = target === "" ? page : path.join(path.dirname(page), target);
		if (file.startsWith("..") || !existsSync(path.join(root, file))) return true;
		if (anchor === undefined) return false;
		const shown = statSync(path.join(root, file)).isDirectory() ? path.join(file, "README.md") : file;
		return !anchors.get(shown)?.includes(anchor);
	});
}

test.each(pages)("%s links to what is there", (page) => {
	expect(brokenLinks(page, readPage(page))).toEqual([]);
});

test("are refused with a link to a file, a heading or an image that isn't there", () => {
	const page = "actions/README.md";
	expect(brokenLinks(page, "[plan](plan) [here](#rights) [gate](gate#waivers) [up](../README.md#the-tour)")).toEqual(
		[],
	);
	const broken = ["plann", "#wrongs", "gate#waiver", "../README.md#a-tour", "../../elsewhere", "no.png"];
	expect(brokenLinks(page, broken.map((link) => `![x](${link})`).join(" "))).toEqual(broken);
});

test.each(pages)("%s names files that are there", (page) => {
	const files = inlineCodeOf(page).filter((code) =>
		/^(actions|experiments|recipes|reports|test|trainer|\.github)\/[\w./-]+\.\w+$/.test(code),
	);
	expect(files.filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
});

test("are linked from the guides, each action's from the guide to actions", () => {
	const linked = (page: string) =>
		linksAndAnchors(readPage(page))
			.links.filter((link) => !/^[a-z]+:|^#/i.test(link))
			.map((link) => path.join(path.dirname(page), link.split("#")[0]!));
	const reached = new Set(["README.md", "actions/README.md"].flatMap(linked));
	const shown = (page: string) => reached.has(page) || reached.has(path.dirname(page));
	expect(pages.filter((page) => page !== "README.md" && !shown(page))).toEqual([]);
});

test("begin with a README that is read to its end", () => {
	expect(readPage("README.md").split("\n").length).toBeLessThanOrEqual(181);
});
