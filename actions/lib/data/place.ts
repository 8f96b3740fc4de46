// Where a data recipe has a dataset made or fetched is inside the repository, or it is refused: nothing is written elsewhere for a file of a pull request.
import { realpath } from "node:fs/promises";
import path from "node:path";
import { InvalidFile } from "../errors.ts";
import type { Loaded } from "../experiment/files.ts";
import type { Data } from "../generated/documents.d.ts";
import { problemAt } from "../text/problems.ts";

/** Folders that hold programs, which no dataset goes into. */
const PROGRAMS = new Set([".git", ".github", ".venv", "node_modules"]);

/** Throws InvalidFile where a recipe's dataset would be made or fetched outside of the folders that are meant for it, or a link on the way leads out of them. */
export async function refuseOutside(
	location: string,
	folders: readonly string[],
	{ value, source }: Loaded<Data>,
): Promise<void> {
	const refuse = (why: string) => {
		const message = `location: found ${value.location}, ${why}; an importer and DVC write only inside the repository, such as to .proving-ground/data`;
		return new InvalidFile([problemAt(source, "/location", message)]);
	};
	const around = folders.filter((folder) => location.startsWith(folder + path.sep));
	if (around.length === 0) throw refuse("which is not inside the repository");
	const parts = around.flatMap((folder) => path.relative(folder, location).split(path.sep));
	if (parts.some((part) => PROGRAMS.has(part))) throw refuse("which is a place of programs");
	const real = await realOf(location);
	const allowed = await Promise.all(folders.map(realOf));
	if (!allowed.some((folder) => real.startsWith(folder + path.sep))) throw refuse("where a link leads out of it");
}

/** Where a path leads with all links followed, as far as it is there. */
async function realOf(place: string): Promise<string> {
	const real = await realpath(place).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return null;
		throw error;
	});
	return real ?? path.join(await realOf(path.dirname(place)), path.basename(place));
}
