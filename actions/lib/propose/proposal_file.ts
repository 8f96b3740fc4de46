// recipes/proposals/<name>.yaml becomes a proposal and the experiment that it stands for, or every problem of every such file.
import path from "node:path";
import proposalSchema from "../../../recipes/proposals/proposal.schema.json" with { type: "json" };
import { InvalidFile, type Problem } from "../errors.ts";
import { type LoadOptions, resolveExperiment } from "../experiment/experiment.ts";
import { checkName, type Loaded, loadFile, namesIn } from "../experiment/files.ts";
import type { ResolvedExperiment } from "../experiment/resolved.ts";
import type { Experiment, Proposal } from "../generated/documents.d.ts";
import { isDay } from "../text/days.ts";
import { problemAt } from "../text/problems.ts";

const FOLDER = "recipes/proposals";
const KIND = { validator: () => import("../generated/validate_proposal.js"), schema: proposalSchema };
/** With its tick it names an experiment, which has at most 40 characters. */
const MAX_NAME = 24;

/** What a proposal is made on, as its schema lets it through. */
export type Trigger =
	| { schedule: "nightly" | "weekly"; since: string }
	| { event: "dataset.published"; data: string }
	| { event: "slice.mined" };

/** What a file of recipes/proposals says. */
export interface ProposalRecipe {
	name: string;
	/** Path from the repository's root. */
	file: string;
	description: string;
	on: Trigger;
	priority: number;
	/** Open pull requests of it from which on it waits. */
	maxOpen: number;
	/** Days of its rolling window; null for none. */
	days: number | null;
	experiment: Experiment;
	/** The same with its recipes. */
	resolved: ResolvedExperiment;
}

/** Loads every proposal of a repository; throws InvalidFile with the problems of all of them. */
export async function loadProposals(options: LoadOptions): Promise<ProposalRecipe[]> {
	const problems: Problem[] = [];
	const recipes: ProposalRecipe[] = [];
	for (const name of await namesIn(path.join(options.root, FOLDER))) {
		try {
			recipes.push(await loadProposal(name, options));
		} catch (error) {
			if (!(error instanceof InvalidFile)) throw error;
			problems.push(...error.problems);
		}
	}
	if (problems.length > 0) throw new InvalidFile(problems);
	return recipes;
}

async function loadProposal(name: string, options: LoadOptions): Promise<ProposalRecipe> {
	const file = `${FOLDER}/${name}.yaml`;
	const problems: Problem[] = [];
	const loaded = await loadFile<Proposal>(options.root, file, KIND, problems);
	problems.push(...checkName(file, name, "proposal", MAX_NAME));
	if (problems.length > 0) throw new InvalidFile(problems);
	const { description, priority = 0, max_open, window, experiment } = loaded.value;
	const resolved = await resolveExperiment(
		{ name, file, experiment: experimentIn(loaded), problems: checkProposal(loaded) },
		options,
	);
	return {
		name,
		file,
		description,
		on: loaded.value.on as Trigger,
		priority,
		maxOpen: max_open ?? Number.POSITIVE_INFINITY,
		days: window?.days ?? null,
		experiment,
		resolved,
	};
}

/** The experiment of a proposal as if it were a file, whose problems stand on the proposal's lines. */
function experimentIn({ value, source }: Loaded<Proposal>): Loaded<Experiment> {
	return {
		value: value.experiment,
		source: {
			...source,
			value: value.experiment,
			placeOf: (pointer, part) => source.placeOf(`/experiment${pointer}`, part),
		},
	};
}

/** What the schema can't see. */
function checkProposal({ value, source }: Loaded<Proposal>): Problem[] {
	const { window, max_open, experiment } = value;
	const on = value.on as Trigger;
	const problems: Problem[] = [];
	const at = (pointer: string, message: string, part: "key" | "value" = "key") =>
		problems.push(problemAt(source, pointer, message, part));
	if ("schedule" in on && !isDay(on.since))
		at("/on/since", `on.since: found "${on.since}"; there is no such day`, "value");
	if ("event" in on && window) at("/window", "window: only for a schedule; an event has no day to count back from");
	if ("event" in on && max_open !== undefined)
		at(
			"/max_open",
			"max_open: only for a schedule; an event comes once, so a proposal that waited would be lost; remove it",
		);
	if ("data" in on && on.data !== experiment.data)
		at("/on/data", `on.data: found ${on.data}; it must be ${experiment.data}, which the experiment trains on`, "value");
	if (window && experiment.window)
		at("/experiment/window", "experiment.window: the proposal's window sets it; remove one of them");
	return problems;
}
