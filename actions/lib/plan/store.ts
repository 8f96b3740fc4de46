// The port of a store, and the keys under which a run's artefacts lie in it.
import type { RunId } from "./identity.ts";

/** Keeps documents and artefacts by key. */
export interface Store {
	/** The bytes at a key; null where there are none. */
	get(key: string): Promise<Uint8Array | null>;
	/** Writes if the key is free; true if this call wrote it. What is there is never changed. */
	put(key: string, bytes: string | Uint8Array): Promise<boolean>;
	/** Keys that begin with a prefix, sorted. */
	list(prefix: string): Promise<string[]>;
	/** Where a job finds or leaves what lies under a key. */
	locate(key: string): string;
}

/** The folder of a training's artefacts in the store. */
export function modelKey(model: string, run: RunId): string {
	return `models/${model}/${run}/model`;
}

/** The folder of an evaluation's artefacts, in that of the training that it judges. */
export function evaluationKey(model: string, run: RunId, evaluation: RunId): string {
	return `models/${model}/${run}/evaluations/${evaluation}`;
}
