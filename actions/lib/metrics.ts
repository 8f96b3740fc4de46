// A metric's key becomes its name for people, its meaning, direction and unit, and a change of it better or worse.
import type { Report } from "./generated/documents.d.ts";

type Change = Pick<Report["scores"][number], "metric" | "delta" | "delta_interval">;

/** What is measured of predicted tracks: displacement errors in metres, and the share of tracks that were missed. */
export const TRACK_METRICS = ["ade", "fde", "min_ade", "min_fde", "miss_rate"] as const;

/** What is measured of lane lines: CULane's F1, and TuSimple's accuracy, false positives and false negatives. */
export const LANE_METRICS = ["lane_f1", "lane_accuracy", "lane_fp", "lane_fn"] as const;

/** How much of the exam isn't production's: no score, but a check like any other. */
export const TEST_SPLIT = "test_split";

const LOWER_IS_BETTER = new Set<string>([...TRACK_METRICS, "ece", "lane_fp", "lane_fn", TEST_SPLIT]);

/** A metric's name as papers write it, and what it is in one line. */
type Description = readonly [name: string, meaning: string];

// Maps, and no objects: a key is anybody's text, and an object has "constructor" and its like.
const METRICS: ReadonlyMap<string, Description> = new Map([
	["map", ["mAP", "Mean average precision over categories and IoU thresholds from 0.50 to 0.95 (COCO)"]],
	["ap50", ["AP50", "Mean average precision over categories at IoU 0.50 (COCO)"]],
	["ar", ["AR", "Average recall over categories and IoU thresholds from 0.50 to 0.95, up to 100 boxes a frame (COCO)"]],
	["ece", ["ECE", "Expected calibration error: the gap between a box's score and how often such boxes are right"]],
	["miou", ["mIoU", "Mean over classes of the intersection over union of predicted and labelled pixels"]],
	["lane_f1", ["lane F1", "F1 of lane lines that overlap a labelled line with an IoU of 0.5 or more (CULane)"]],
	["lane_accuracy", ["lane accuracy", "Share of labelled lane points that are found within 20 pixels (TuSimple)"]],
	["lane_fp", ["lane FP", "Share of predicted lane lines that match no labelled line (TuSimple)"]],
	["lane_fn", ["lane FN", "Share of labelled lane lines that no prediction matches (TuSimple)"]],
	["ade", ["ADE", "Average displacement error of the most likely trajectory, in metres"]],
	["fde", ["FDE", "Final displacement error of the most likely trajectory, in metres"]],
	["min_ade", ["minADE", "Average displacement error of the best of the predicted trajectories, in metres"]],
	["min_fde", ["minFDE", "Final displacement error of the best of the predicted trajectories, in metres"]],
	["miss_rate", ["miss rate", "Share of tracks where no predicted trajectory ends within 2 m of the true end"]],
	["latency_p50_ms", ["latency p50", "Median time of one inference of the ONNX export, in milliseconds"]],
	[
		"latency_p95_ms",
		["latency p95", "Time that 95 % of the inferences of the ONNX export stay below, in milliseconds"],
	],
	[
		TEST_SPLIT,
		[
			"test split changes",
			"Test frames removed or relabelled, and slices gone or changed, since production was judged",
		],
	],
]);

/** Metrics of one category or class, which their key names after a slash. */
const FAMILIES: ReadonlyMap<string, { of: string; description: Description }> = new Map([
	[
		"ap",
		{ of: "category", description: ["AP", "Average precision of one category, IoU thresholds from 0.50 to 0.95"] },
	],
	["ece", { of: "category", description: ["ECE", "Expected calibration error of the boxes of one category"] }],
	["iou", { of: "class", description: ["IoU", "Intersection over union of the pixels of one class"] }],
]);

/** The family of a metric of one category or class, and the category or class; null for any other metric. */
function memberOf(metric: string) {
	const slash = metric.indexOf("/");
	const family = FAMILIES.get(metric.slice(0, Math.max(slash, 0)));
	const member = metric.slice(slash + 1);
	return family && member !== "" ? { ...family, member } : null;
}

/** A metric's name for people: `mAP`, `pedestrian AP`. A category, class or unknown key is untrusted text, and goes through `quote`. */
export function nameOf(metric: string, quote: (text: string) => string = (text) => text): string {
	const found = memberOf(metric);
	if (found) return `${quote(found.member)} ${found.description[0]}`;
	return METRICS.get(metric)?.[0] ?? quote(metric);
}

/** What a metric is, in one line; null for one that isn't known. */
export function meaningOf(metric: string): string | null {
	const description = memberOf(metric)?.description ?? METRICS.get(metric);
	if (!description) return null;
	return isLowerBetter(metric) ? `${description[1]}; lower is better` : description[1];
}

/** The known ones of some metrics with their meaning, in the order in which they are first named; those of one family, such as `ap/<category>`, once. */
export function legendOf(metrics: readonly string[]): { key: string; meaning: string }[] {
	const legend = new Map<string, string>();
	for (const metric of metrics) {
		const meaning = meaningOf(metric);
		const found = memberOf(metric);
		const key = found ? `${metric.slice(0, metric.indexOf("/"))}/<${found.of}>` : metric;
		if (meaning !== null) legend.set(key, meaning);
	}
	return [...legend].map(([key, meaning]) => ({ key, meaning }));
}

/** Whether a metric is a time that the export takes. */
export function isLatency(metric: string): boolean {
	return metric.startsWith("latency_");
}

/** Whether a fall of a metric is an improvement. */
export function isLowerBetter(metric: string): boolean {
	return isLatency(metric) || metric.startsWith("ece/") || LOWER_IS_BETTER.has(metric);
}

/** A metric's unit as it stands behind a figure, empty for a share. */
export function unitOf(metric: string): "" | " ms" | " m" {
	if (isLatency(metric)) return " ms";
	return TRACK_METRICS.some((name) => name === metric) && metric !== "miss_rate" ? " m" : "";
}

/** How many decimals a metric's figures are shown with. */
export function decimalsOf(metric: string): 0 | 2 | 3 {
	if (metric === TEST_SPLIT) return 0;
	return isLatency(metric) ? 2 : 3;
}

/** By how much a score got better; a loss is below zero, and null where there is nothing to compare with. */
export function gain({ metric, delta }: Omit<Change, "delta_interval">): number | null {
	if (delta === null) return null;
	return isLowerBetter(metric) ? -delta : delta;
}

/** Whether a change's interval leaves zero out, and to which side. */
export function moved({ delta_interval: ends, metric }: Omit<Change, "delta">): "better" | "worse" | "same" {
	if (!ends || (ends[0] <= 0 && ends[1] >= 0)) return "same";
	return ends[0] > 0 !== isLowerBetter(metric) ? "better" : "worse";
}
