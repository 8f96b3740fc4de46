// Two versions of a dataset become their difference: frames, objects by class, frames by slice.
import type { Entry, PlanDifference, PlanDifferenceOfSplit } from "../generated/documents.d.ts";
import { type Dataset, ownValue } from "./dataset.ts";

/** How the data differs from that which production was trained on; null where it is the same, or isn't known. */
export function differenceFrom(
	{ data: before }: Entry,
	{ run, splits, slices }: Pick<Dataset, "run" | "splits" | "slices">,
): PlanDifference | null {
	const { name, version, dvc = null } = before;
	if (name === undefined || version === undefined || version === run.version || !before.splits) return null;
	const known = before.splits;
	const splitOf = (split: keyof typeof known): PlanDifferenceOfSplit => {
		const [old, now] = [known[split], splits[split]];
		const categories = [...new Set([...Object.keys(old.objects), ...Object.keys(now.objects)])];
		return {
			frames: [old.frames, now.frames],
			objects: Object.fromEntries(
				categories.map((category) => [
					category,
					[ownValue(old.objects, category) ?? 0, ownValue(now.objects, category) ?? 0],
				]),
			),
		};
	};
	const names = new Set([...Object.keys(before.slices ?? {}), ...slices.map((slice) => slice.name)]);
	const framesOf = (name: string): [number | null, number | null] => [
		ownValue(before.slices ?? {}, name)?.frames ?? null,
		slices.find((slice) => slice.name === name)?.frames ?? null,
	];
	return {
		from: { name, version, dvc },
		splits: { train: splitOf("train"), val: splitOf("val"), test: splitOf("test") },
		slices: Object.fromEntries([...names].map((name) => [name, { frames: framesOf(name) }])),
	};
}
