// What a model is to be examined on becomes what a plan says of it: held against the exam that production has passed.
import type { Dataset } from "../data/dataset.ts";
import { listingKey, listingText, parseListing, protectSlices, testSplitOf } from "../data/test_split.ts";
import { readProtection } from "../experiment/protection.ts";
import type { Tree } from "../experiment/tree.ts";
import type { Entry, Plan } from "../generated/documents.d.ts";
import type { State } from "../state.ts";
import type { Store } from "./store.ts";

interface ExamPorts {
	state: State;
	store: Store;
	reachesModels: boolean;
}

interface Exam {
	dataset: Dataset;
	production: Entry | null;
	/** The data recipe that the experiment names. */
	recipe: string;
	base: Tree;
	/** Whether the list of frames goes into the store. */
	keep: boolean;
}

/** The slices with the protection that the base gives them, and how the test split differs from production's; its frames are kept in the store where that is asked, for those that come after. */
export async function examine(
	{ state, store, reachesModels }: ExamPorts,
	{ dataset, production, recipe, base, keep }: Exam,
): Promise<Pick<Plan["data"], "slices" | "test">> {
	const slices = protectSlices(dataset.slices, await readProtection(base, recipe, state.folder), production, recipe);
	const before = production?.data.test?.digest;
	const frames = reachesModels && before ? parseListing(await store.get(listingKey(before)), before) : null;
	const test = testSplitOf(dataset, production && { entry: production, frames });
	if (reachesModels && keep) await store.put(listingKey(test.digest), listingText(dataset.test));
	return { slices, test };
}
