// A commit that has what a runner keeps is refused: checked out, it would be run or believed in the place of what was there.
import { InvalidInput } from "../errors.ts";
import type { State } from "../state.ts";
import type { Git } from "./git.ts";

/** Throws InvalidInput where a revision has a path that no commit may have. */
export async function refuseReserved(git: Git, revision: string, { reserved }: State): Promise<void> {
	// A folder of the name is told by the folder alone.
	const found = (await git("ls-tree", "-z", "--name-only", revision, "--", ...reserved)).split("\0").filter(Boolean);
	if (found.length === 0) return;
	throw new InvalidInput(
		`The commit ${revision} has ${found.join(", ")}, where a machine keeps its own state and packages: nobody may commit that. Remove it from git (git rm -r --cached ${found.join(" ")}) and add it to .gitignore.`,
	);
}
