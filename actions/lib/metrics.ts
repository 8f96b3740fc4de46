// A metric's name becomes its direction and its unit, and a change of it better or worse.
import type { Report } from "./generated/documents.d.ts";

type Change = Pick<Report["scores"][number], "metric" | "delta" | "delta_interval">;

/** What is measured of predicted tracks: displacement errors in metres, and the share of tracks that were missed. */
export const TRACK_METRICS = ["ade", "fde", "min_ade", "min_fde", "miss_rate"] as const;

/** What is measured of lane lines: CULane's F1, and TuSimple's accuracy, false positives and false negatives. */
export const LANE_METRICS = ["lane_f1", "lane_accuracy", "lane_fp", "lane_fn"] as const;

const LOWER_IS_BETTER = new Set<string>([...TRACK_METRICS, "ece", "lane_fp", "lane_fn"]);

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
export function decimalsOf(metric: string): 2 | 3 {
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
