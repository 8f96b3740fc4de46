// The plan and what the registry remembers of production become the settings that differ between them.
import type { Entry, Plan, PlanChange, RunTrain } from "../generated/documents.d.ts";
import { flatten } from "./leaves.ts";

/** The settings in which a run differs from a model of the registry. */
export function changesFrom(entry: Entry, run: RunTrain, splits: Plan["data"]["splits"]): PlanChange[] {
	const { seed, processes, architecture, train, code, window } = entry;
	// Slices are in the difference of the data, and the test split has a section of its own.
	const { slices: _, test: __, ...data } = entry.data;
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
	{ slices, test: { digest, split } }: Pick<Plan["data"], "slices" | "test">,
): Required<Entry["data"]> {
	const { name, version, dvc } = run.data;
	const described = slices.map(({ name, ...slice }) => [name, slice]);
	return { name, version, dvc, splits, slices: Object.fromEntries(described), test: { digest, split } };
}
