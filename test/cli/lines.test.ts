// A stage's line in a terminal
import { describe, expect, test } from "vitest";
import { planText, promotionText, warningLine } from "../../actions/cli/lines.ts";
import { makeJudged, makePromotion } from "../fixtures/judged.ts";
import { makeOverlap, makePlan } from "../fixtures/plan.ts";

describe("says of a promotion", () => {
	const promotion = { ...makePromotion(makeJudged()), model: "line", version: 2, replaced: 1 };

	test("what it changed", () => {
		expect(promotionText(promotion)).toBe("promoted: line v2 replaced v1");
		expect(promotionText({ ...promotion, replaced: null })).toBe("promoted: line v2 is its first production model");
		expect(promotionText({ ...promotion, status: "pending" }, 1)).toBe("registered as line v2, pending");
	});

	test("what is so already where it changed nothing", () => {
		expect(promotionText(promotion, 2)).toBe("line v2 is already production");
		expect(promotionText(promotion, 3)).toBe("line v2 was promoted and replaced since: production is v3");
	});
});

describe("says of a plan", () => {
	const plan = makePlan();

	test("the first settings that differ by their names", () => {
		expect(planText(plan)).toBe(
			"run more-night-0123456789abcdef on 1200 frames of scenes-more-night, against production v1, 4 settings differ (data.name, data.splits.train.frames, data.splits.train.attributes.timeofday.night, train.loss.detection.gamma), about 40 s",
		);
		const [first] = plan.changes;
		expect(planText({ ...plan, changes: [first!] })).toContain(", 1 setting differs (data.name), about");
		expect(planText({ ...plan, changes: [...plan.changes, first!, first!] })).toContain("detection.gamma and 2 more)");
		expect(planText({ ...plan, changes: [] })).toContain(", 0 settings differ, about");
	});

	test("what its splits share, and why drives may be shared", () => {
		const shared = (drives: number | null) =>
			planText({ ...plan, data: { ...plan.data, overlap: makeOverlap(drives) } })
				.split("\n")
				.slice(1);
		expect(shared(null)).toEqual([
			"splits: 0 frames of test are also in train, 0 frames of val are also in train, 0 frames of test are also in val; no drive is named",
		]);
		expect(shared(1)).toEqual([
			"splits: 0 frames and 1 drive of test are also in train, 0 frames and 1 drive of val are also in train, 0 frames and 1 drive of test are also in val (shared drives: one long drive is all there is)",
		]);
	});

	test("what its author may want to mend, where editors find it", () => {
		expect(warningLine({ file: "experiments/x.yaml", line: 3, column: 9, message: "it is cut" })).toBe(
			"warning: experiments/x.yaml:3:9 it is cut",
		);
	});

	test("what it costs where the machine has a price", () => {
		const machine = { ...plan.machine, price_usd_per_hour: 2 };
		const estimate = { ...plan.estimate, cost_usd: 1.234, max_cost_usd: 4 };
		expect(planText({ ...plan, machine, estimate })).toMatch(/, about 40 s, \$1\.23, at most \$4\.00$/);
		const unknown = { ...estimate, seconds: null, cost_usd: null };
		expect(planText({ ...plan, machine, estimate: unknown })).toMatch(/\), at most \$4\.00$/);
	});
});
