// The pages of reports, as a browser shows them (skipped where no browser is installed)
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { documentText, writeDocument } from "../../../actions/lib/documents.ts";
import { renderPage, writePage } from "../../../actions/lib/page/page.ts";
import { readReports, writePages } from "../../../actions/lib/page/pages.ts";
import { makeScore, makeScores, spreadOf } from "../../fixtures/evaluation.ts";
import { type Judged, makeJudged, makeNoisy, makePromotion, makeWaived, withSeeds } from "../../fixtures/judged.ts";
import { makeOverlap } from "../../fixtures/plan.ts";
import { findBrowser, launchBrowser } from "../../screenshot.ts";

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const there = findBrowser() !== null;

let browser: Browser;
let root: string;
const pages: Page[] = [];

beforeAll(async () => {
	if (there) browser = await launchBrowser();
});
afterAll(() => browser?.close());
beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "page-"));
});
afterEach(async () => {
	await Promise.all(pages.splice(0).map((page) => page.close()));
	await rm(root, { recursive: true });
});

interface Opened {
	page: Page;
	/** What the browser said, and what it asked for beside the file. */
	noise: string[];
}

async function open(file: string, options: { width?: number; colorScheme?: "light" | "dark" } = {}): Promise<Opened> {
	const { width = 1180, colorScheme = "light" } = options;
	const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
	pages.push(page);
	const noise: string[] = [];
	page.on("console", (message) => noise.push(message.text()));
	page.on("pageerror", (error) => noise.push(error.message));
	page.on("request", (request) => {
		if (!request.isNavigationRequest() && !request.url().startsWith("data:")) noise.push(request.url());
	});
	await page.goto(pathToFileURL(file).href);
	return { page, noise };
}

async function draw(judged: Judged = makeJudged()): Promise<string> {
	await mkdir(path.join(root, "reports", judged.report.experiment.name), { recursive: true });
	return writePage(root, judged.report, judged.verdict);
}

/** What axe-core finds, by rule and place. */
async function violations(page: Page): Promise<string[]> {
	await page.evaluate(axe);
	return page.evaluate(
		"axe.run().then(({ violations }) => violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => id + ' ' + target)))",
	);
}

const column = (page: Page, place: number) =>
	page
		.locator("#slice-table tbody tr:visible")
		.evaluateAll(
			(rows, at) =>
				(rows as unknown as { cells: { textContent: string }[] }[]).map(({ cells }) => cells[at]!.textContent),
			place,
		);

describe.skipIf(!there)("a report's page", () => {
	test.each(["light", "dark"] as const)(
		"says nothing, asks for nothing and is accessible in %s",
		async (colorScheme) => {
			const { page, noise } = await open(await draw(makeJudged(makeScores({ night: 0.2 }))), { colorScheme });
			expect(await violations(page)).toEqual([]);
			expect(noise).toEqual([]);
			expect(await page.locator("h1").textContent()).toBe("more-night");
			expect(await page.locator(".badge").textContent()).toBe("failed");
		},
	);

	test("names who let a check by, until when and why, and which waiver has no effect", async () => {
		const judged = makeWaived({ overall: 0.2, reason: "<b>sun</b>" });
		const { page } = await open(await draw(judged));
		const row = page.getByRole("region", { name: "Checks that did not pass" }).getByRole("row", { name: "day" });
		expect(await row.textContent()).toContain("fail, waived");
		expect(await row.textContent()).toContain("Waived by ann until 2026-06-15 (line 9 of the waivers): <b>sun</b>");
		expect(await page.locator("#checks li").textContent()).toMatch(
			/^mAP overall, granted by ann .*line 15\): It ended/,
		);
		expect(await page.locator("header").textContent()).toContain("1 waived");
		expect(await violations(page)).toEqual([]);
		const passed = await open(await draw(makeWaived()));
		expect(await passed.page.locator(".badge").textContent()).toBe("passed with 1 waived check");
	});

	test("shows the noise of training beside the intervals, and which seed to run where a bound is nearer", async () => {
		const { page, noise } = await open(await draw(makeNoisy()));
		const night = page.getByRole("region", { name: "Checks that did not pass" }).getByRole("row", { name: "night" });
		expect(await night.textContent()).toContain("training noise ± 0.015 (3 and 2 seeds)");
		expect(await night.textContent()).toContain("To find out, run a copy of baseline with seed: 1.");
		expect(await page.locator("#checks summary").textContent()).toBe(
			"3 checks passed; 1 closer to the limit than the training noise",
		);
		expect(await page.locator(".tile").first().textContent()).toContain("training noise ± 0.015");
		const rows = page.locator("#slice-table tbody tr");
		expect(await rows.filter({ hasText: "training noise ± 0.015" }).count()).toBe(4);
		const at = async (part: string, name: string) => Number(await rows.first().locator(part).getAttribute(name));
		const interval = (await at(".range", "x2")) - (await at(".range", "x1"));
		// 0.015 to both sides of the change, on the scale on which the interval reaches 0.008.
		expect((await at(".noise", "width")) / interval).toBeCloseTo(0.015 / 0.008);
		expect(await page.locator("#slices .note").textContent()).toContain("(this model: 0, 1, 2; production: 0, 4)");
		expect(await page.locator("#lineage").textContent()).toContain("4: baseline-4");
		expect(await violations(page)).toEqual([]);
		expect(noise).toEqual([]);

		const without = await open(await draw());
		expect(await without.page.locator(".noise").count()).toBe(0);
		expect(await without.page.locator("#slices .note").textContent()).toContain(
			"neither model has a second seed. To measure it, run a copy of more-night with seed: 1.",
		);
		expect(await without.page.locator("body").textContent()).not.toContain("training noise ±");
	});

	test("shows the noise of a first model beside its level", async () => {
		const scores = makeScores().map((score) => ({
			...score,
			production: null,
			delta: null,
			...spreadOf("delta", null),
		}));
		const { page } = await open(await draw(withSeeds(makeJudged(scores, { baseline: null }))));
		const cells = page.locator("#slice-table tbody tr").first().locator("td");
		expect(await cells.nth(4).textContent()).toContain("training noise ± 0.012");
		expect(await cells.nth(6).textContent()).not.toContain("training noise ±");
	});

	test("is read at 360 pixels without scrolling sideways", async () => {
		const { page } = await open(await draw(makeNoisy()), { width: 360 });
		expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
		expect(await violations(page)).toEqual([]);
	});

	test("shows at 360 pixels each check and each slice as a card, its outcome below its name", async () => {
		const { page } = await open(await draw(makeJudged(makeScores({ night: 0.2 }))), { width: 360 });
		for (const label of ["Checks that did not pass", "Scores of each slice"]) {
			const area = page.getByRole("region", { name: label });
			await expect.poll(() => area.getAttribute("class")).toBe("scroll");
			const card = area.locator("tbody tr").first();
			const places = await card
				.locator("th, td")
				.evaluateAll((cells) =>
					(cells as unknown as { className: string; offsetTop: number }[])
						.toSorted((a, b) => a.offsetTop - b.offsetTop)
						.map(({ className }) => className.split(" ")[0]),
				);
			expect(places.slice(0, 2)).toEqual(["", "outcome"]);
		}
		await page.getByLabel("Slice", { exact: true }).fill("night");
		expect(await column(page, 0)).toHaveLength(2);
	});

	test("shades the edge of a table behind which more of it lies", async () => {
		const { page } = await open(await draw(), { width: 360 });
		const area = page.getByRole("region", { name: "Files of the exports" });
		await expect.poll(() => area.getAttribute("class")).toBe("scroll after");
		await area.evaluate((node) => Object.assign(node, { scrollLeft: 9999 }));
		await expect.poll(() => area.getAttribute("class")).toBe("scroll before");
	});

	test("sorts its slices by keyboard, up and down, and says so", async () => {
		const { page } = await open(await draw());
		const button = page.getByRole("region", { name: "Scores of each slice" }).getByRole("button", { name: "change" });
		const changes = async () => (await column(page, 6)).map((text) => Number(text.replace("−", "-")));
		await button.focus();
		await page.keyboard.press("Enter");
		expect(await changes()).toEqual((await changes()).toSorted((a, b) => a - b));
		expect(await button.locator("..").getAttribute("aria-sort")).toBe("ascending");
		await page.keyboard.press("Enter");
		expect(await changes()).toEqual((await changes()).toSorted((a, b) => b - a));
		expect(await button.locator("..").getAttribute("aria-sort")).toBe("descending");
	});

	test("filters its slices by name, metric and whether they moved, and counts what is left", async () => {
		const { page } = await open(await draw());
		const left = page.locator("output");
		expect(await left.textContent()).toBe("4 of 4 rows");
		await page.getByLabel("Slice", { exact: true }).fill("NIGHT");
		expect(await column(page, 0)).toHaveLength(2);
		await page.getByRole("combobox").selectOption("map");
		expect(await left.textContent()).toBe("1 of 4 rows");
		await page.getByLabel("Slice", { exact: true }).fill("day");
		await page.getByLabel("only what moved").check();
		expect(await left.textContent()).toBe("0 of 4 rows");
	});

	test("draws the boxes of both models on the frames", async () => {
		const { page } = await open(await draw());
		const [production, own] = await page.locator(".frame").first().locator("svg.pane").all();
		expect(await production!.getAttribute("aria-label")).toBe("production: 1 boxes right, 0 wrong, 0 labels missed");
		expect(await own!.getAttribute("aria-label")).toBe("this model: 0 boxes right, 1 wrong, 1 labels missed");
		const picture = await production!.locator("image").boundingBox();
		expect(picture!.width).toBeGreaterThan(100);
	});

	test("tells each category and class on each slice, with its change", async () => {
		const { page } = await open(await draw());
		const rows = page.locator("#classes tbody tr");
		expect(await rows.nth(0).locator("th, td").allTextContents()).toEqual([
			"overall",
			"0.512 (+0.012)",
			"0.900 (0.000)",
		]);
		expect(await rows.nth(1).locator("th, td").allTextContents()).toEqual(["night", "0.250 (−0.100)", "–"]);
		expect(await rows.nth(1).locator("td").first().getAttribute("class")).toContain("down-4");
		const first = await open(await draw(makeJudged(makeScores(), { baseline: null })));
		expect(await first.page.locator("#classes tbody td").first().textContent()).toMatch(/^0\.512( |$)/);
	});

	test("draws how far scores keep what they promise, of both models, overall and on slices", async () => {
		const judged = makeJudged([
			...makeScores(),
			makeScore({ metric: "ece", drop: 0.25, spread: 0.01 }),
			makeScore({ metric: "ece/pedestrian", slice: "night", drop: -0.1, spread: 0.01 }),
		]);
		const { page } = await open(await draw(judged));
		const part = page.locator("#calibration");
		expect(await part.locator("figcaption").allTextContents()).toEqual([
			"all categories: ECE 0.050, production 0.300",
			"pedestrian: ECE 0.400, production 0.300",
		]);
		const [overall, night] = await part.locator("svg[role=img]").all();
		expect(await overall!.getAttribute("aria-label")).toBe(
			"Precision over score, all categories, this model over production",
		);
		expect(await night!.getAttribute("aria-label")).toBe(
			"Precision over score, pedestrian on night, this model over production",
		);
		// The bin without a box has no dot.
		expect(await overall!.locator("g[fill='var(--candidate)'] circle").count()).toBe(2);
		expect(await overall!.locator("g[fill='var(--production)'] circle").count()).toBe(3);
		const first = makeJudged(makeScores(), { baseline: null });
		expect(await (await open(await draw(first))).page.locator("#calibration circle").count()).toBeGreaterThan(0);
	});

	test("of a model that passed says so, and nothing of checks that couldn't be made", async () => {
		const { page } = await open(await draw());
		expect(await page.locator("#checks p").first().textContent()).toBe("All checks passed.");
		expect(await page.locator("#checks summary").textContent()).toBe("4 checks passed");
	});

	test("says what the splits share, where that was counted", async () => {
		const { data } = makeJudged().plan;
		const judged = makeJudged(makeScores(), { data: { ...data, overlap: makeOverlap(1) } });
		const said = (await open(await draw(judged))).page.locator("#data p").first();
		expect(await said.textContent()).toBe(
			"0 frames and 1 drive of test are also in train, 0 frames and 1 drive of val are also in train, 0 frames and 1 drive of test are also in val. Drives may be shared: one long drive is all there is.",
		);
		expect(await (await open(await draw())).page.locator("#data p").count()).toBe(0);
	});

	test("opens its folds for print", async () => {
		const { page } = await open(await draw());
		await page.evaluate("dispatchEvent(new Event('beforeprint'))");
		expect(await page.evaluate("[...document.querySelectorAll('details')].every((fold) => fold.open)")).toBe(true);
	});

	test("of a first model has nothing to compare with, and says so", async () => {
		const scores = makeScores().map((score) => ({
			...score,
			production: null,
			delta: null,
			delta_interval: null,
			delta_error: null,
		}));
		const { page, noise } = await open(await draw(makeJudged(scores, { baseline: null })));
		expect(await page.locator("header").textContent()).toContain("as the first model of its line");
		expect(await page.locator("#heat").count()).toBe(0);
		expect(await page.locator("#checks summary").first().textContent()).toMatch(/without a baseline$/);
		expect(await violations(page)).toEqual([]);
		expect(noise).toEqual([]);
	});

	test("takes every text as text", async () => {
		const hostile = `</script><img src=x onerror=alert(1)><style>*{display:none}</style>"'&amp;`;
		const { report, verdict } = makeNoisy();
		const strings = new Set<string>();
		const spoil = <T>(value: T): T =>
			JSON.parse(JSON.stringify(value), (key, item) => {
				if (
					typeof item !== "string" ||
					["schema", "kind", "outcome", "bound", "of", "head", "thumbnail", "unit"].includes(key)
				)
					return item;
				strings.add(item);
				return `${item}${hostile}`;
			});
		const file = path.join(root, "index.html");
		const spoilt = spoil({ report, verdict });
		await writeFile(file, renderPage(spoilt.report, spoilt.verdict));
		const { page, noise } = await open(file);
		expect(strings.size).toBeGreaterThan(60);
		expect(noise).toEqual([]);
		expect(
			await page.evaluate(
				"[document.scripts.length, document.querySelectorAll('style').length, document.images.length]",
			),
		).toEqual([1, 1, 0]);
		expect(await page.locator("h1").textContent()).toBe(`more-night${hostile}`);
	});
});

describe("the page over all reports", () => {
	async function leave(name: string, judged: Judged, promoted: boolean): Promise<void> {
		const report = { ...judged.report, experiment: { ...judged.report.experiment, name } };
		const file = (what: string) => path.join(root, "reports", name, `${what}.json`);
		await writeDocument("report", report, file("report"));
		await writeDocument("verdict", judged.verdict, file("verdict"));
		if (promoted) await writeDocument("promotion", makePromotion(judged), file("promotion"));
	}

	test("names each model with its verdict and marks production", async () => {
		await leave("good", makeJudged(), true);
		await leave("bad", makeJudged(makeScores({ night: 0.2 })), false);
		const { file, reports } = await writePages(root, { each: true });
		const text = readFileSync(file, "utf8");
		expect(reports).toBe(2);
		expect(text).toContain('<a href="good/index.html">good</a>');
		expect(text).toMatch(/good<\/a><\/th>.*?v2<span class="tag">production/);
		expect(text.match(/class="tag">production/g)).toHaveLength(1);
		expect(existsSync(path.join(root, "reports/bad/index.html"))).toBe(true);
	});

	test("leaves out a report of another version, and says which", async () => {
		await leave("good", makeJudged(), true);
		await mkdir(path.join(root, "reports/old"));
		await writeFile(path.join(root, "reports/old/report.json"), documentText({ schema: 0 }));
		const { reports, skipped } = await readReports(root);
		expect(reports.map(({ folder }) => folder)).toEqual(["good"]);
		expect(skipped).toEqual([
			expect.stringMatching(/^reports\/old\/report.json: this version can.t read it as report.json: /),
		]);
		expect(readFileSync((await writePages(root, { each: true })).file, "utf8")).toContain("Left out");
	});

	test.skipIf(!there)("is accessible, silent, and read at 360 pixels", async () => {
		await leave("good", makeJudged(), true);
		await leave("bad", makeJudged(makeScores({ night: 0.2 })), false);
		const { page, noise } = await open((await writePages(root, { each: true })).file, { width: 360 });
		expect(await violations(page)).toEqual([]);
		expect(noise).toEqual([]);
		expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
		await page.getByRole("link", { name: "good" }).click();
		expect(await page.locator("h1").textContent()).toBe("good");
	});
});
