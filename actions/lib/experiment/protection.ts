// A data recipe of the base, and the slices that lie with its data, become the protection of each of them.
import path from "node:path";
import { InvalidFile, InvalidInput, type Problem } from "../errors.ts";
import type { Data, SliceFile } from "../generated/documents.d.ts";
import { type FileKind, fileKinds, loadSlices, parseFile } from "./files.ts";
import type { Tree } from "./tree.ts";

/** Whether each slice of a data recipe is protected on the base, by name; empty where the base doesn't have the recipe, or not its slices. Relative locations of data lie in the `state` folder. */
export async function readProtection(base: Tree, recipe: string, state: string): Promise<ReadonlyMap<string, boolean>> {
	const data = await readSound<Data>(base, `recipes/data/${recipe}.yaml`, fileKinds.data);
	if (!data) return new Map();
	const { slices: made } = (data.importer ?? {}) as { slices?: SliceFile["slices"] };
	// What DVC has fetched may be of another revision: then production's own slices say.
	const slices = made ?? (data.dvc ? [] : await slicesOf(path.resolve(state, data.location)));
	return new Map(slices.map((slice) => [slice.name, slice.protected ?? false]));
}

/** The slices that lie with a dataset; none where they can't be read. */
async function slicesOf(location: string): Promise<NonNullable<SliceFile["slices"]>> {
	try {
		return (await loadSlices(path.join(location, "slices.yaml"))).value.slices;
	} catch (error) {
		if (error instanceof InvalidFile || error instanceof InvalidInput) return [];
		throw error;
	}
}

/** A file of the base; null where it isn't there or doesn't hold to its schema. */
async function readSound<T>(base: Tree, file: string, kind: FileKind): Promise<T | null> {
	const text = await base.read(file).catch((error: unknown) => {
		if (error instanceof InvalidInput) return null;
		throw error;
	});
	if (text === null) return null;
	const problems: Problem[] = [];
	const { value } = await parseFile<T>(file, text, kind, problems);
	return problems.length === 0 ? value : null;
}
