// The test frames and slices of a dataset, beside those that production was judged on, become what has changed in the exam.
import canonicalize from "canonicalize";
import { sha256 } from "../documents.ts";
import type { Entry, PlanSlice, PlanTestChange, PlanTestSplit } from "../generated/documents.d.ts";
import { ownValue, type TestFrame } from "./dataset.ts";

/** The text of a list of frames, whatever their order in the manifest; its digest names the split. */
export function listingText(frames: readonly TestFrame[]): string {
	const sorted = frames.toSorted(([a], [b]) => (a < b ? -1 : 1));
	return `${JSON.stringify(sorted)}\n`;
}

/** Where a store keeps a list of frames. */
export function listingKey(digest: string): string {
	return `splits/${digest.slice("sha256:".length)}.json`;
}

/** A list of frames; null where there are no bytes, or they aren't those that the digest names. */
export function parseListing(bytes: Uint8Array | null, digest: string): TestFrame[] | null {
	if (!bytes || sha256(bytes) !== digest) return null;
	return JSON.parse(Buffer.from(bytes).toString("utf8")) as TestFrame[];
}

/** Names all that a model is examined on: frames, their labels, and what each slice chooses. */
function digestSplit(frames: string, slices: readonly PlanSlice[]): string {
	const chosen = slices.map(({ name, where, category }) => ({ name, where, category }));
	return sha256(canonicalize({ frames, slices: chosen }) ?? "");
}

/** A dataset as far as its test split goes. */
export interface Examined {
	run: { version: string };
	test: readonly TestFrame[];
	slices: PlanSlice[];
}

/** The test split, and how it differs from production's, whose frames are known where their list was found. */
export function testSplitOf(
	{ run, test, slices }: Examined,
	production: { entry: Entry; frames: readonly TestFrame[] | null } | null,
): PlanTestSplit {
	const digest = sha256(listingText(test));
	const split = { digest, split: digestSplit(digest, slices) };
	// A dataset's version is the digest of all that it holds.
	if (!production || production.entry.data.version === run.version) return { ...split, change: null };
	const { entry, frames } = production;
	const same = entry.data.test?.digest === digest;
	const counted = same || !frames ? { removed: 0, relabelled: 0, added: [] } : compareFrames(frames, test);
	const change = {
		version: entry.version,
		known: same || frames !== null,
		...counted,
		slices: lostSlices(entry, slices, same),
	};
	const { known, removed, relabelled, added } = change;
	const isSame = known && removed + relabelled + added.length + change.slices.length === 0;
	return { ...split, change: isSame ? null : change };
}

function compareFrames(
	before: readonly TestFrame[],
	now: readonly TestFrame[],
): Pick<PlanTestChange, "removed" | "relabelled" | "added"> {
	const [old, own] = [new Map(before), new Map(now)];
	const kept = before.filter(([name]) => own.has(name));
	const added: [number, number][] = [];
	for (const [at, [name]] of now.entries()) {
		if (old.has(name)) continue;
		const last = added.at(-1);
		if (last?.[1] === at) last[1] = at + 1;
		else added.push([at, at + 1]);
	}
	return {
		removed: before.length - kept.length,
		relabelled: kept.filter(([name, digest]) => own.get(name) !== digest).length,
		added,
	};
}

/** Production's slices that are gone, or that choose other frames now. */
function lostSlices({ data }: Entry, slices: readonly PlanSlice[], sameFrames: boolean): PlanTestChange["slices"] {
	return Object.entries(data.slices ?? {}).flatMap(([name, was]): PlanTestChange["slices"] => {
		const category = was.category ?? null;
		const now = slices.find((slice) => slice.name === name);
		if (!now) return [{ name, category, is: "gone" }];
		// What an earlier version registered has counts alone.
		const differs = was.where
			? canonicalize([was.where, category]) !== canonicalize([now.where, now.category])
			: sameFrames && (was.frames !== now.frames || was.objects !== now.objects);
		return differs ? [{ name, category, is: "changed" }] : [];
	});
}

/** How many frames production wasn't judged on. */
export function addedFrames({ added }: PlanTestChange): number {
	return added.reduce((sum, [from, to]) => sum + to - from, 0);
}

/** Whether a change makes the exam another one, which only an owner of the policies lets pass; frames that came to it don't. */
export function isOtherExam(change: PlanTestChange | null): boolean {
	if (change === null) return false;
	return !change.known || change.removed + change.relabelled + change.slices.length > 0;
}

/** Slices with the protection that the base, or production, gives them: a dataset of one's own can't take it away. */
export function protectSlices(
	slices: readonly PlanSlice[],
	base: ReadonlyMap<string, boolean>,
	production: Entry | null,
	recipe: string,
): PlanSlice[] {
	const known = production?.data.slices ?? {};
	return slices.map((slice) => {
		const before = ownValue(known, slice.name)?.protected ?? false;
		const ofBase = base.get(slice.name);
		// Of production's own recipe the base has the last word, so that protection can end; of another one it can add to it.
		const decided = production?.data.name === recipe ? (ofBase ?? before) : ofBase || before;
		return { ...slice, protected: slice.protected || decided };
	});
}
