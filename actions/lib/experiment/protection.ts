// A data recipe of the base, and the slices that the base has of its data, become the protection of each of them.
import path from "node:path";
import { InvalidInput, type Problem } from "../errors.ts";
import type { Data, SliceFile } from "../generated/documents.d.ts";
import { type FileKind, fileKinds, parseFile } from "./files.ts";
import type { Tree } from "./tree.ts";

/** Whether each slice of a data recipe is protected on the base, by name; empty where the base doesn't have the recipe, or not its slices. */
export async function readProtection(base: Tree, recipe: string): Promise<ReadonlyMap<string, boolean>> {
	const data = await readSound<Data>(base, `recipes/data/${recipe}.yaml`, fileKinds.data);
	if (!data) return new Map();
	const { slices: made } = (data.importer ?? {}) as { slices?: SliceFile["slices"] };
	const file = path.posix.normalize(`${data.location}/slices.yaml`);
	const isInside = !path.posix.isAbsolute(file) && !file.startsWith("..");
	const lying = made || !isInside ? null : await readSound<SliceFile>(base, file, fileKinds.slices);
	return new Map((made ?? lying?.slices ?? []).map((slice) => [slice.name, slice.protected ?? false]));
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
