// The plan and what the registry remembers of production become the settings that differ between them.
import type { Entry, Plan, PlanChange, PlanSlice, RunTrain } from "../generated/documents.d.ts";
import { flatten } from "./leaves.ts";

/** The settings in which a run differs from a model of the registry. */
export function changesFrom(entry: Entry, run: RunTrain, splits: Plan["data"]["splits"]): PlanChange[] {
	const { seed, processes, architecture, train, code, window } = entry;
	// Slices are in the difference of the data.
	const { slices: _, ...data } = entry.data;
	const { name, version, dvc } = run.data;
	const before = flatten({ seed, processes, architecture, train, data, code, window });
	const after = flatten({
		seed: run.seed,
		processes: run.processes,
		architecture: run.architecture,
		train: run.train,
		data: { name, version, dvc, splits },
		code: run.code,
		window: run.window,
	});
	const paths = [...new Set([...before.keys(), ...after.keys()])];
	return paths
		.filter((path) => before.get(path) !== after.get(path))
		.map((path) => ({ path, production: before.get(path) ?? null, candidate: after.get(path) ?? null }));
}

/** What the registry remembers of the data, so that a later plan can say what differs. */
export function entryData(
	run: RunTrain,
	splits: Plan["data"]["splits"],
	slices: readonly PlanSlice[],
): Required<Entry["data"]> {
	const { name, version, dvc } = run.data;
	const counted = slices.map((slice) => [slice.name, { frames: slice.frames, objects: slice.objects }]);
	return { name, version, dvc, splits, slices: Object.fromEntries(counted) };
}
