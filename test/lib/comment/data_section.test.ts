// What a comment says of the data beside their counts
import { describe, expect, test } from "vitest";
import { checkRunOf, renderComment } from "../../../actions/lib/comment/comment.ts";
import { overlapSection, warningsSection } from "../../../actions/lib/comment/data_section.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { makeOverlap, makePlan } from "../../fixtures/plan.ts";

const { data } = makePlan();
const shares = (drives: number | null) => makePlan({ data: { ...data, overlap: makeOverlap(drives) } });

describe("on what the splits share", () => {
	test("is that they share nothing, or drives for a reason", () => {
		expect(overlapSection(shares(null))).toBe(
			"**Splits:** 0 frames of test are also in train, 0 frames of val are also in train, 0 frames of test are also in val; no drive is named.",
		);
		expect(overlapSection(shares(2))).toBe(
			"**Splits:** 0 frames and 2 drives of test are also in train, 0 frames and 2 drives of val are also in train, 0 frames and 2 drives of test are also in val. Drives may be shared: `one long drive is all there is`.",
		);
	});

	test("stands in the comment before and after the training, and in none of a plan that hasn't counted it", () => {
		expect(renderComment({ plan: shares(0) })).toContain(overlapSection(shares(0)));
		const judged = makeJudged();
		expect(renderComment({ ...judged, plan: shares(0) })).toContain("**Splits:** 0 frames and 0 drives of test");
		expect(renderComment({ plan: makePlan() })).not.toContain("**Splits:**");
	});
});

describe("on what its author may want to mend", () => {
	const warning = (file: string, line: number) => ({
		file,
		line,
		column: 1,
		message: `the text ends at "see" | ${line}`,
	});

	test("is each with its place, as many as anybody reads", () => {
		const plan = makePlan({ warnings: [warning("experiments/more-night.yaml", 7)] });
		expect(renderComment({ plan })).toContain(
			'⚠️ **Is this meant?**\n\n- `experiments/more-night.yaml:7` `the text ends at "see" ∣ 7`\n',
		);
		const many = Array.from({ length: 25 }, (_, at) => warning("x.yaml", at));
		expect(warningsSection(makePlan({ warnings: many }))).toMatch(/\n- …and 5 more, in plan\.json$/);
		expect(warningsSection(makePlan())).toBe("");
	});

	test("stands on the author's own lines, before the verdict and with it; a dataset's files are in no repository", () => {
		const warnings = [warning("experiments/more-night.yaml", 7), warning("/data/scenes/slices.yaml", 2)];
		const own = {
			path: "experiments/more-night.yaml",
			line: 7,
			level: "warning",
			title: "Is this meant?",
			message: 'the text ends at "see" | 7',
		};
		expect(checkRunOf({ plan: makePlan({ warnings }) }, "abc").annotations).toEqual([own]);
		const judged = makeJudged();
		expect(checkRunOf({ ...judged, plan: { ...judged.plan, warnings } }, "abc").annotations?.[0]).toEqual(own);
		expect(checkRunOf({ plan: makePlan() }, "abc").annotations).toBeUndefined();
	});
});
