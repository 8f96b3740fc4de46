// A stage's line in a terminal
import { describe, expect, test } from "vitest";
import { promotionText } from "../../actions/stage_lines.ts";
import { makeJudged, makePromotion } from "../fixtures/judged.ts";

describe("says of a promotion", () => {
	const promotion = { ...makePromotion(makeJudged()), model: "line", version: 2, replaced: 1 };

	test("what it changed", () => {
		expect(promotionText(promotion)).toBe("promoted: line v2 replaced v1");
		expect(promotionText({ ...promotion, replaced: null })).toBe("promoted: line v2 is its first production model");
		expect(promotionText({ ...promotion, status: "pending" }, 1)).toBe("registered as line v2, pending");
	});

	test("what is so already where it changed nothing", () => {
		expect(promotionText(promotion, 2)).toBe("production of line is v2 already");
		expect(promotionText(promotion, 3)).toBe("was promoted as line v2, and has been replaced: production is v3");
	});
});
