// A network's heads and a slice become the metrics that are measured of them.
import { LANE_METRICS, TRACK_METRICS } from "../metrics.ts";
import type { Head } from "./resolved.ts";

/** Every metric that will be measured overall, and on a slice. */
export function producedMetrics(
	heads: readonly Head[],
	categories: { detection: readonly string[]; segmentation: readonly string[] },
	slice: { category?: string | null | undefined } | null,
): string[] {
	if (slice?.category) return heads.includes("detection") ? [`ap/${slice.category}`, `ece/${slice.category}`] : [];
	const metrics: string[] = [];
	if (heads.includes("detection")) metrics.push("map", "ap50", "ar", "ece");
	if (heads.includes("segmentation")) metrics.push("miou");
	if (heads.includes("lanes")) metrics.push(...LANE_METRICS);
	if (heads.includes("trajectory")) metrics.push(...TRACK_METRICS);
	if (slice) return metrics;
	if (heads.includes("detection"))
		metrics.push(...["ap", "ece"].flatMap((metric) => categories.detection.map((name) => `${metric}/${name}`)));
	if (heads.includes("segmentation")) metrics.push(...categories.segmentation.map((name) => `iou/${name}`));
	return [...metrics, "latency_p50_ms", "latency_p95_ms"];
}
