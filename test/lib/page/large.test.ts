// What is shown of a report, however large it is
import { describe, expect, test } from "vitest";
import { checkRunOf, renderComment } from "../../../actions/lib/comment/comment.ts";
import { renderIndex } from "../../../actions/lib/page/models.ts";
import { renderPage } from "../../../actions/lib/page/page.ts";
import { makeJudged, makePromotion } from "../../fixtures/judged.ts";
import { makeLarge } from "../../fixtures/large.ts";
import { cases } from "../../soak.ts";

const MB = 1e6;
type Size = { slices: number; categories: number; checks: number };

describe.each(
	cases<Size>([{ slices: 120, categories: 40, checks: 20_000 }], [{ slices: 500, categories: 100, checks: 300_000 }]),
)("of $slices slices, $categories categories and $checks checks", ({ slices, categories, checks }) => {
	const judged = makeLarge({ slices, categories, checks });
	const said = (count: number) => count.toLocaleString("en-US");

	test("is a page of a few megabytes, which says what it leaves out and where that is", () => {
		const text = renderPage(judged.report, judged.verdict);
		expect(Buffer.byteLength(text)).toBeLessThan(6 * MB);
		const failed = Math.ceil(checks / 3);
		const scores = (slices + 1) * (categories + 1);
		const sentences = [
			`500 of ${said(failed)} rows are shown. All of them are in verdict.json, beside this page.`,
			`500 of ${said(checks - failed)} rows are shown. All of them are in verdict.json, beside this page.`,
			`500 of ${said(scores)} rows are shown. All of them are in report.json, beside this page.`,
			`40 of ${categories + 2} columns are shown. All of them are in report.json, beside this page.`,
			`40 of ${said(slices * (categories + 1))} curves are shown. All of them are in report.json, beside this page.`,
			`40 of ${said(slices * (categories + 1))} charts are shown. All of them are in report.json, beside this page.`,
			`36 of ${categories + 1} categories are shown. All of them are in report.json, beside this page.`,
			` of ${said(slices)} slices are shown. All of them are in report.json, beside this page.`,
		];
		// Whole pages aren't printed.
		expect(sentences.filter((sentence) => !text.includes(sentence))).toEqual([]);
		// What went worst is what stays.
		const first = text.slice(text.indexOf('id="slice-table"'));
		expect(first.slice(0, first.indexOf("</tbody>")).includes('data-moved="true"')).toBe(true);
	});

	test("is a comment that GitHub takes, with the checks counted, and a check run with a few annotations", () => {
		const text = renderComment(judged);
		expect(Buffer.byteLength(text)).toBeLessThan(65_536);
		expect(text).toContain(`All ${checks} checks`);
		expect(text).toMatch(new RegExp(`…and ${checks - 1}|…and \\d+ more rows`));
		const check = checkRunOf(judged, "a");
		expect(check.annotations).toHaveLength(250);
		expect(check.more).toBe(Math.ceil(checks / 3) - 250);
	});

	test("is one model among many on a page of a few megabytes", () => {
		const report = { ...judged.report, figures: makeJudged().report.figures };
		const reports = Array.from({ length: 20 }, (_, index) => ({
			...{ folder: `model-${index}`, report, verdict: judged.verdict, promotion: makePromotion(judged) },
		}));
		const text = renderIndex(reports);
		expect(Buffer.byteLength(text)).toBeLessThan(6 * MB);
		expect(text.includes(`20 of ${slices} slices are shown. All of them are in each model's page.`)).toBe(true);
	});
});

test("is left out nowhere of a report as most are", () => {
	const { report, verdict } = makeJudged();
	expect(renderPage(report, verdict).includes("are shown. All of them")).toBe(false);
	const few = makeLarge({ slices: 9, categories: 3, checks: 100 });
	expect(renderPage(few.report, few.verdict).includes("are shown. All of them")).toBe(false);
	expect(checkRunOf(few, "a")).toMatchObject({ more: 0 });
});
