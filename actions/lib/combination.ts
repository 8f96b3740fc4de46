// Files that are each right become the problems of their combination: what one asks for and no other gives.
import type { Problem } from "./errors.ts";
import type { ResolvedExperiment } from "./experiment.ts";
import type { SliceFile } from "./generated/documents.d.ts";
import { notAmong, problemAt } from "./problems.ts";

type Slice = SliceFile["slices"][number];
type Head = ResolvedExperiment["model"]["value"]["architecture"]["heads"][number];

/** Problems that no file has on its own; `slices` is null where the dataset is not there yet. */
export function checkCombination(resolved: ResolvedExperiment, slices: readonly Slice[] | null): Problem[] {
	return [
		...checkHeads(resolved),
		...checkTraining(resolved),
		...checkSlices(resolved, slices),
		...checkRules(resolved, slices),
	];
}

function checkHeads({ experiment, model, data }: ResolvedExperiment): Problem[] {
	const { heads } = model.value.architecture;
	const { categories } = data.value;
	const problems: Problem[] = [];
	for (const head of ["detection", "segmentation"] as const) {
		if (heads.includes(head) && categories[head].length === 0) {
			problems.push(
				problemAt(
					experiment.source,
					"/data",
					`${data.source.file} names no categories for ${head}, and ${model.source.file} has a ${head} head: choose other data, or a recipe without that head`,
				),
			);
		}
	}
	for (const [where, losses] of [
		[model.source, model.value.train.loss],
		[experiment.source, experiment.value.train?.loss ?? {}],
	] as const) {
		for (const head of Object.keys(losses) as Head[]) {
			if (!heads.includes(head)) {
				problems.push(
					problemAt(
						where,
						`/train/loss/${head}`,
						`a loss for ${head}, and ${model.source.file} has no such head; ${notAmong(head, heads, "its heads")}`,
						"key",
					),
				);
			}
		}
	}
	for (const head of heads) {
		if (!(head in model.value.train.loss)) {
			problems.push(
				problemAt(model.source, "/train/loss", `no loss for the head ${head}; add train.loss.${head}`, "key"),
			);
		}
	}
	return problems;
}

function checkTraining({ experiment, model, machine, train }: ResolvedExperiment): Problem[] {
	const { processes } = machine.value;
	if (train.global_batch % processes === 0) return [];
	const own = experiment.value.train?.global_batch !== undefined;
	const message = `train.global_batch: found ${train.global_batch}; the ${processes} processes of ${machine.source.file} must divide it`;
	return [problemAt(own ? experiment.source : model.source, "/train/global_batch", message)];
}

function checkSlices({ data }: ResolvedExperiment, slices: readonly Slice[] | null): Problem[] {
	const problems: Problem[] = [];
	const names = new Set<string>();
	for (const [index, slice] of (slices ?? []).entries()) {
		const pointer = `/importer/slices/${index}`;
		if (names.has(slice.name))
			problems.push(problemAt(data.source, `${pointer}/name`, `the slice ${slice.name} stands twice`));
		names.add(slice.name);
		const { detection } = data.value.categories;
		if (slice.category !== undefined && !detection.includes(slice.category)) {
			problems.push(
				problemAt(
					data.source,
					`${pointer}/category`,
					`the slice ${slice.name} is of a category that the data doesn't have: found ${slice.category}; ${notAmong(slice.category, detection)}`,
				),
			);
		}
	}
	return problems;
}

/** Every metric that will be measured overall, and on a slice. */
export function producedMetrics(
	heads: readonly Head[],
	categories: { detection: readonly string[]; segmentation: readonly string[] },
	slice: { category?: string | null | undefined } | null,
): string[] {
	if (slice?.category) return heads.includes("detection") ? [`ap/${slice.category}`] : [];
	const metrics: string[] = [];
	if (heads.includes("detection")) metrics.push("map", "ap50", "ar");
	if (heads.includes("segmentation")) metrics.push("miou");
	if (heads.includes("lanes")) metrics.push("lane_f1");
	if (slice) return metrics;
	if (heads.includes("detection")) metrics.push(...categories.detection.map((name) => `ap/${name}`));
	if (heads.includes("segmentation")) metrics.push(...categories.segmentation.map((name) => `iou/${name}`));
	return [...metrics, "latency_p50_ms", "latency_p95_ms"];
}

function checkRules(
	{ model, data, gate, gate: { value } }: ResolvedExperiment,
	slices: readonly Slice[] | null,
): Problem[] {
	const { heads } = model.value.architecture;
	const overall = producedMetrics(heads, data.value.categories, null);
	const problems: Problem[] = [];
	for (const [index, rule] of value.rules.entries()) {
		const at = (key: string, message: string) =>
			problems.push(problemAt(gate.source, `/rules/${index}/${key}`, message));
		const latency = rule.metric.startsWith("latency_");
		if (latency && rule.max_drop !== undefined) at("max_drop", "a latency has no max_drop; use max_regression_percent");
		if (!latency && rule.max_regression_percent !== undefined)
			at("max_regression_percent", `only a latency has max_regression_percent; use max_drop for ${rule.metric}`);
		if (rule.slice === undefined) {
			if (!overall.includes(rule.metric))
				at("metric", `nothing measures ${rule.metric} here; ${notAmong(rule.metric, overall, "measured")}`);
			continue;
		}
		if (slices === null) continue;
		const names = slices.map((slice) => slice.name);
		const chosen = rule.slice === "*" ? slices : slices.filter((slice) => slice.name === rule.slice);
		if (rule.slice !== "*" && chosen.length === 0) {
			at("slice", `the data has no slice ${rule.slice}; ${notAmong(rule.slice, ["*", ...names], "its slices")}`);
			continue;
		}
		const measured = [...new Set(chosen.flatMap((slice) => producedMetrics(heads, data.value.categories, slice)))];
		if (!measured.includes(rule.metric)) {
			at(
				"metric",
				`nothing measures ${rule.metric} on ${rule.slice === "*" ? "any slice" : `the slice ${rule.slice}`}; ${notAmong(rule.metric, measured, "measured there")}`,
			);
		}
	}
	return problems;
}
