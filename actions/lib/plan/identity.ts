// What decides a run becomes its id, and what an approval of the spend covers becomes a digest that people compare.
import canonicalize from "canonicalize";
import { sha256 } from "../documents.ts";
import type { Plan } from "../generated/documents.d.ts";

/** `<experiment>-<16 hexadecimal digits>`: the digest of what decides the run's bits. */
export type RunId = string;

/** Names a run by the digest of its inputs: the same inputs are the same run, whenever and wherever they are planned. */
export function identify<T extends { id: string; experiment: string }>(run: T): T {
	const { id: _, ...inputs } = run;
	const digest = sha256(canonicalize(inputs) ?? "").slice("sha256:".length);
	return { ...run, id: `${run.experiment}-${digest.slice(0, 16)}` };
}

/** Digest of all that an approval of the spend covers: what runs, where, and what it may cost. Production may move meanwhile. */
export function approvalOf({ run, machine, conditions, estimate }: Plan): string {
	return sha256(canonicalize({ run, machine, conditions, max_cost_usd: estimate.max_cost_usd }) ?? "");
}

/** As much of an approval's digest as people compare. */
export function shortApproval(approval: string): string {
	return approval.slice("sha256:".length, "sha256:".length + 12);
}
