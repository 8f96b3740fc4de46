// The port of a place that trains: what it is given, and what it tells of a job.
import type { Conditions, JobsJob, PlanMachine, RunEvaluate, RunTrain } from "../generated/documents.d.ts";
import type { RunId } from "../plan/identity.ts";
import type { Registry } from "../plan/registry.ts";
import type { Store } from "../plan/store.ts";

export type Job = JobsJob;

/** A run and the places it needs. */
export interface Run {
	document: RunTrain | RunEvaluate;
	machine: PlanMachine;
	/** Where the dataset lies. */
	data: string;
	/** What surrounds it and is no part of what it is. */
	conditions: Conditions;
	/** Folders of artefacts that the job reads, by the trainer's name for each. */
	inputs: {
		weights?: string;
		replay?: string;
		candidate?: string;
		production?: string;
		/** Folders of evaluations that have measured the models already. */
		"measured-candidate"?: string;
		"measured-production"?: string;
	};
	/** Folders outside the machine that checkpoints are copied to. */
	checkpoints: { fast?: string; durable?: string };
	/** Where its artefacts go. */
	output: string;
}

/** A place that trains. */
export interface Executor {
	/** Starts the run, or adopts it if it was started before: safe to repeat, from several processes too. A run whose document differs is refused. */
	start(run: Run): Promise<void>;
	/** What is known of the run now. An unknown status is running, never success. */
	look(id: RunId): Promise<Job>;
	/** Asks it to stop, with the grace that lets it save a checkpoint. */
	stop(id: RunId): Promise<void>;
	/** Every run of this project that is still costing money. */
	list(): Promise<readonly Job[]>;
}

export interface TrainPorts {
	executor: Executor;
	store: Store;
	/** Remembers which evaluations were judged: only those are used again. */
	registry: Pick<Registry, "noted">;
	/** Resamples of the bootstrap. */
	resamples?: number;
	/** The pull request that asks for the runs: once none asks for a run that is still going, it's stopped. */
	pullRequest?: number | undefined;
}
