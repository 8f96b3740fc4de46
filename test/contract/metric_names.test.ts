// The names of metrics: those of the comment are those of the model card, whose own test reads the same list
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { producedMetrics } from "../../actions/lib/experiment/produced_metrics.ts";
import { legendOf, meaningOf, nameOf } from "../../actions/lib/metrics.ts";

const names: Record<string, string> = JSON.parse(
	readFileSync(path.join(import.meta.dirname, "metric_names.json"), "utf8"),
);
const heads = ["detection", "segmentation", "lanes", "trajectory"] as const;
const produced = producedMetrics(heads, { detection: ["pedestrian"], segmentation: ["road"] }, null);

test.each(Object.entries(names))("call %s %s", (metric, name) => {
	expect(nameOf(metric)).toBe(name);
});

test("are in the list for every metric that is measured, with what it is", () => {
	const known = produced.filter((metric) => !metric.includes("/"));
	expect(Object.keys(names)).toEqual(expect.arrayContaining(known));
	for (const metric of produced) {
		expect(nameOf(metric)).not.toBe(metric);
		expect(meaningOf(metric)).toMatch(/^[A-Z0-9].{20,110}[^.]$/);
	}
});

test("show a category, a class and what isn't known as untrusted text, and nothing else", () => {
	const quoted = (metric: string) => nameOf(metric, (text) => `<${text}>`);
	expect(["map", "ap/rider", "iou/x", "@team", "constructor"].map(quoted)).toEqual([
		"mAP",
		"<rider> AP",
		"<x> IoU",
		"<@team>",
		"<constructor>",
	]);
});

test("have a legend that explains each once, those of one family together, and leaves out what isn't known", () => {
	const legend = legendOf(["ap/rider", "map", "ap/car", "ece/car", "iou/road", "map", "unknown", "__proto__", "ade"]);
	expect(legend.map(({ key }) => key)).toEqual(["ap/<category>", "map", "ece/<category>", "iou/<class>", "ade"]);
	expect(legend.at(-1)!.meaning).toBe(
		"Average displacement error of the most likely trajectory, in metres; lower is better",
	);
	expect(legend.map(({ key }) => nameOf(key))).toContain("<category> AP");
});
