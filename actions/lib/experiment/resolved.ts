// What an experiment is once everything that it names has been read, and where its author wrote it.
import type { Problem } from "../errors.ts";
import type {
	Data,
	Experiment,
	Gate,
	Machine,
	Model,
	PlanPolicy,
	SliceFile,
	Waivers,
} from "../generated/documents.d.ts";
import { problemAt } from "../text/problems.ts";
import type { Source } from "../text/yaml.ts";
import type { Loaded } from "./files.ts";

/** A head that a network can have. */
export type Head = Model["architecture"]["heads"][number];

/** An experiment with everything that it names. */
export interface ResolvedExperiment {
	name: string;
	/** Path from the repository's root. */
	file: string;
	experiment: Loaded<Experiment>;
	model: Loaded<Model>;
	data: Loaded<Data>;
	machine: Loaded<Machine>;
	gate: Loaded<Gate>;
	/** The base branch's waivers; null where it has no file of them. */
	waivers: Loaded<Waivers> | null;
	/** Older data that it replays. */
	replay?: Loaded<Data>;
	/** The recipe's heads, without optional ones that the data can't serve. */
	heads: Head[];
	/** The recipe's training settings with the experiment's own laid over them. */
	train: Model["train"];
	policy: PlanPolicy;
}

/** The slices of a dataset, and the list that its author wrote. */
export interface DeclaredSlices {
	list: SliceFile["slices"];
	source: Source;
	pointer: string;
}

/** The slices that an importer makes, by its recipe; null where the recipe has none. */
export function importedSlices({ value, source }: Loaded<Data>): DeclaredSlices | null {
	const { slices } = (value.importer ?? {}) as { slices?: SliceFile["slices"] };
	return slices ? { list: slices, source, pointer: "/importer/slices" } : null;
}

/** The slices that lie with a dataset, in a file that holds to its schema. */
export function slicesOf({ value, source }: Loaded<SliceFile>): DeclaredSlices {
	return { list: value.slices, source, pointer: "/slices" };
}

/** A problem of a training setting, where it is written: in the experiment, or in its model recipe. */
export function settingAt(
	{ experiment, model }: ResolvedExperiment,
	key: keyof Model["train"],
	message: string,
): Problem {
	const source = experiment.value.train?.[key] === undefined ? model.source : experiment.source;
	return problemAt(source, `/train/${key}`, message);
}

/** What is told of the files that the experiment's author has written, beside what is wrong with them. */
export function warningsOf({ experiment, model, data, replay }: ResolvedExperiment): Problem[] {
	return [experiment, model, data, ...(replay ? [replay] : [])].flatMap(({ source }) => source.warnings);
}

/** The same of every file that it rests on, whoever wrote it. */
export function allWarningsOf(resolved: ResolvedExperiment): Problem[] {
	const { machine, gate, waivers } = resolved;
	const others = [machine, gate, ...(waivers ? [waivers] : [])];
	return [...warningsOf(resolved), ...others.flatMap(({ source }) => source.warnings)];
}
