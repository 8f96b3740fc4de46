// What an experiment is once everything that it names has been read.
import type { Data, Experiment, Gate, Machine, Model, PlanPolicy, Waivers } from "../generated/documents.d.ts";
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
