// Where a data recipe has a dataset made or fetched is a place for data, or it is refused: nothing is written elsewhere for a file of a pull request.
import path from "node:path";
import { InvalidFile } from "../errors.ts";
import type { Loaded } from "../experiment/files.ts";
import type { Data } from "../generated/documents.d.ts";
import { insideOf, type State } from "../state.ts";
import { problemAt } from "../text/problems.ts";
import type { DvcRecipe } from "./dvc_pin.ts";

/** Folders of a repository that hold programs, which no dataset goes into. */
const PROGRAMS = [".git", ".github"];

/** Throws InvalidFile where a recipe's dataset would be made or fetched outside of the folder that is meant for it, or a link on the way leads out of that. */
export async function refuseOutside(
	{ value, source }: Loaded<Data>,
	{ root, state }: { root: string; state: State },
): Promise<void> {
	const dvc = value.dvc as DvcRecipe | undefined;
	// What is there and nobody makes may lie anywhere else: it is read and never written.
	if (!value.importer && !dvc) return refuseKept({ value, source }, state.folder);
	const isTracked = dvc !== undefined && "file" in dvc;
	const folder = isTracked ? root : path.join(state.folder, "data");
	const location = path.resolve(isTracked ? root : state.folder, value.location);
	const refuse = (why: string) => {
		const where = isTracked
			? "a folder of the repository"
			: "a folder of data/ in the state folder, such as data/scenes";
		const message = `location: found ${value.location}, ${why}; an importer and DVC write only to ${where}`;
		return new InvalidFile([problemAt(source, "/location", message)]);
	};
	if (!location.startsWith(folder + path.sep)) throw refuse("which lies elsewhere");
	const parts = path.relative(folder, location).split(path.sep);
	if (isTracked && parts.some((part) => PROGRAMS.includes(part) || state.reserved.includes(part)))
		throw refuse("which is a place of programs or of this machine's state");
	if (!insideOf(folder, location)) throw refuse("where a link leads out of it");
}

/** Throws InvalidFile where a dataset would be read from what this machine keeps: other heads' files, jobs, models. */
function refuseKept({ value, source }: Loaded<Data>, state: string): void {
	const place = path.resolve(state, value.location);
	if (insideOf(state, place) === null || insideOf(path.join(state, "data"), place)) return;
	const message = `location: found ${value.location}, which is no folder of data/ in the state folder; data lie there, or outside of it`;
	throw new InvalidFile([problemAt(source, "/location", message)]);
}
