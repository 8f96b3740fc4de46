// Metrics
import { describe, expect, test } from "vitest";
import { producedMetrics } from "../../actions/lib/experiment/produced_metrics.ts";
import { decimalsOf, gain, isLowerBetter, LANE_METRICS, moved, unitOf } from "../../actions/lib/metrics.ts";

const categories = { detection: ["rider"], segmentation: ["road"] };
const errors = ["ece", "ece/rider", "lane_fp", "lane_fn"];

describe("are produced", () => {
	test("by each head, overall, on a slice, and on a slice of a category", () => {
		const heads = ["detection", "segmentation", "lanes"] as const;
		const own = ["map", "ap50", "ar", "ece", "miou", "lane_f1", "lane_accuracy", "lane_fp", "lane_fn"];
		expect(producedMetrics(heads, categories, {})).toEqual(own);
		expect(producedMetrics(heads, categories, { category: "rider" })).toEqual(["ap/rider", "ece/rider"]);
		expect(producedMetrics(heads, categories, null)).toEqual([
			...own,
			"ap/rider",
			"ece/rider",
			"iou/road",
			"latency_p50_ms",
			"latency_p95_ms",
		]);
		expect(producedMetrics(["lanes"], categories, {})).toEqual([...LANE_METRICS]);
		expect(producedMetrics(["segmentation"], categories, {})).toEqual(["miou"]);
	});
});

describe("of calibration and of lanes that are wrong", () => {
	test.each(errors)("%s is the better the lower it is, and a share", (metric) => {
		expect([isLowerBetter(metric), unitOf(metric), decimalsOf(metric)]).toEqual([true, "", 3]);
		expect(gain({ metric, delta: 0.1 })).toBe(-0.1);
		expect(moved({ metric, delta_interval: [0.05, 0.15] })).toBe("worse");
		expect(moved({ metric, delta_interval: [-0.15, -0.05] })).toBe("better");
	});

	test.each(["lane_accuracy", "lane_f1", "ap/ece"])("%s is the better the higher it is", (metric) => {
		expect([isLowerBetter(metric), unitOf(metric)]).toEqual([false, ""]);
		expect(moved({ metric, delta_interval: [0.05, 0.15] })).toBe("better");
	});
});
