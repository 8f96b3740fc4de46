// recipes/gates/waivers.yaml becomes the waivers of a plan, each with its line, or the problems in it that its schema can't see.
import type { Problem } from "../errors.ts";
import type { PlanPolicy, PlanWaiver, SliceFile, Waivers } from "../generated/documents.d.ts";
import { TEST_SPLIT } from "../metrics.ts";
import { isDay } from "../text/days.ts";
import { notAmong, problemAt } from "../text/problems.ts";
import type { Loaded } from "./files.ts";
import { producedMetrics } from "./produced_metrics.ts";
import type { ResolvedExperiment } from "./resolved.ts";

/** Its name beside the policies; no policy may bear it. */
export const WAIVERS = "waivers";

/** The waivers as a policy carries them; nothing where there is none. */
export function waiversOf(file: Loaded<Waivers> | null): Pick<PlanPolicy, "waivers"> {
	if (!file || file.value.waivers.length === 0) return {};
	return { waivers: { file: file.source.file, entries: entriesOf(file) } };
}

function entriesOf({ value, source }: Loaded<Waivers>): PlanWaiver[] {
	return value.waivers.map(({ check, model, experiment = null, reason, who, until }, index) => ({
		metric: check.metric,
		...(check.split === undefined ? {} : { split: check.split }),
		slice: check.slice === undefined || check.slice === "overall" ? null : check.slice,
		model,
		experiment,
		reason,
		who,
		until,
		line: source.placeOf(`/waivers/${index}`).line,
	}));
}

/** Dates that no calendar has, and waivers that stand twice: of every line of models, whoever plans. */
export function checkWaivers(file: Loaded<Waivers>): Problem[] {
	const seen = new Map<string, number>();
	return entriesOf(file).flatMap(({ metric, slice, split, model, experiment, until, line }, index) => {
		const problems: Problem[] = [];
		const at = (key: string, message: string) =>
			problems.push(problemAt(file.source, `/waivers/${index}${key}`, message));
		if (!isDay(until)) at("/until", `waivers.${index}.until: found "${until}"; there is no such day`);
		if ((metric === TEST_SPLIT) !== (split !== undefined))
			at("/check", `waivers.${index}.check: the metric ${TEST_SPLIT} takes a split, and no other metric does`);
		else if (metric === TEST_SPLIT && slice !== null)
			at("/check/slice", `waivers.${index}.check.slice: a test split is approved as a whole; remove slice`);
		const key = JSON.stringify([metric, slice, split, model, experiment]);
		const first = seen.get(key);
		if (first !== undefined) at("", `waivers.${index}: the same check is waived on line ${first}; keep one`);
		else seen.set(key, line);
		return problems;
	});
}

/** Waivers of this experiment for what its data and its heads don't have; `slices` is null where the dataset is not there yet. */
export function checkWaived(
	{ name, experiment, heads, data, waivers }: ResolvedExperiment,
	slices: readonly SliceFile["slices"][number][] | null,
): Problem[] {
	if (!waivers) return [];
	return entriesOf(waivers).flatMap((waiver, index) => {
		// Another line may have other heads, and another experiment other data.
		if (waiver.model !== experiment.value.model || (waiver.experiment ?? name) !== name) return [];
		const at = (key: string, message: string) => [
			problemAt(waivers.source, `/waivers/${index}/check/${key}`, `waivers.${index}.check.${key}: ${message}`),
		];
		const { metric } = waiver;
		if (metric === TEST_SPLIT) return [];
		const slice = slices?.find((other) => other.name === waiver.slice) ?? null;
		if (waiver.slice !== null && slice === null) {
			if (slices === null) return [];
			const names = slices.map((other) => other.name);
			return at("slice", `the data has no slice ${waiver.slice}; ${notAmong(waiver.slice, names, "its slices")}`);
		}
		const measured = producedMetrics(heads, data.value.categories, slice);
		if (measured.includes(metric)) return [];
		const where = slice ? `on the slice ${slice.name}` : "here";
		return at("metric", `nothing measures ${metric} ${where}; ${notAmong(metric, measured, "measured")}`);
	});
}
