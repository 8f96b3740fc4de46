// Where a data recipe has a dataset made or fetched is inside the repository, or it is refused: nothing is written elsewhere for a file of a pull request.
import { realpath } from "node:fs/promises";
import path from "node:path";
import { InvalidFile } from "../errors.ts";
import type { Loaded } from "../experiment/files.ts";
import type { Data } from "../generated/documents.d.ts";
import { problemAt } from "../text/problems.ts";

/** Folders inside a repository that hold programs, which no dataset goes into. */
const PROGRAMS = new Set([".git", ".github", ".venv", "node_modules"]);

/** The folder in which a recipe's dataset is made or fetched; throws InvalidFile where that, or a link on the way to it, leads out of the repository. */
export async function placeOfData(root: string, { value, source }: Loaded<Data>): Promise<string> {
	const place = path.resolve(root, value.location);
	const refuse = (why: string) => {
		const message = `location: found ${value.location}, ${why}; an importer and DVC write only inside the repository, such as to .proving-ground/data`;
		return new InvalidFile([problemAt(source, "/location", message)]);
	};
	const parts = path.relative(root, place).split(path.sep);
	if (parts[0] === "" || parts[0] === ".." || path.isAbsolute(parts.join(path.sep)))
		throw refuse("which is not inside the repository");
	if (parts.some((part) => PROGRAMS.has(part))) throw refuse("which is a place of programs");
	const real = await realOf(place);
	// A checkout of another commit shares the repository's own folder by a link that we have made.
	const allowed = await Promise.all([root, path.join(root, ".proving-ground")].map(realOf));
	if (!allowed.some((folder) => real.startsWith(folder + path.sep))) throw refuse("where a link leads out of it");
	return place;
}

/** Where a path leads with all links followed, as far as it is there. */
async function realOf(place: string): Promise<string> {
	const real = await realpath(place).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return null;
		throw error;
	});
	return real ?? path.join(await realOf(path.dirname(place)), path.basename(place));
}
