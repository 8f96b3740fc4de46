// The port of a registry: the versions of each line of models, and which of them is production.
import type { Approval as ApprovalDocument, Entry } from "../generated/documents.d.ts";

/** A version that the registry holds, and where its files lie. */
export interface Version {
	entry: Entry;
	location: string;
}

/** One promotion: since then, `version` is production. What a registry adds to its record, so that an edit is seen, is its own. */
export type Approval = Omit<ApprovalDocument, "schema" | "entry" | "previous">;

/** Keeps the versions of each line of models, and which of them is production. */
export interface Registry {
	/** The lines of models that have a version, sorted. */
	lines(): Promise<string[]>;
	/** The production version of a line; null before the first promotion. */
	current(model: string): Promise<Version | null>;
	/** Adds a version, whole or not at all, of the files that the manifests of both folders list; the same evaluation always gets the same version: safe to repeat. Throws InvalidInput where a file isn't the listed one. */
	register(entry: Omit<Entry, "version">, files: { model: string; evaluation: string }): Promise<Version>;
	/** Notes by which manifest an evaluation was reported, and returns the one that was noted first. Safe to repeat. */
	note(model: string, evaluation: string, manifest: string): Promise<string>;
	/** By which manifest an evaluation is known: its version's, else as it was noted; null where it is neither. */
	noted(model: string, evaluation: string): Promise<string | null>;
	/** Makes a version production if `replaced` still is and its files are those of its entry; approving what is production already changes nothing. */
	approve(model: string, approval: Approval): Promise<Approval>;
	/** Throws InvalidInput where a version's files aren't those that its entry names. */
	verify(version: Version): Promise<void>;
	/** Every version, oldest first, and every promotion, oldest first. */
	history(model: string): Promise<{ versions: Version[]; approvals: Approval[] }>;
}
