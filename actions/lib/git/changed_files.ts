// Two revisions become the experiment files that differ between them.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { InvalidInput } from "../errors.ts";

const run = promisify(execFile);

/** Experiment files that were added or changed since the branch left `base`; throws InvalidInput where git can't tell. */
export async function changedExperiments(root: string, base: string): Promise<string[]> {
	return changedFiles(root, base, [":(glob)experiments/*.yaml"]);
}

/** Whether a file is committed as it lies there; null where that isn't asked in a repository of git. */
export async function isCommitted(root: string, file: string): Promise<boolean | null> {
	const args = ["--literal-pathspecs", "-C", root, "status", "--porcelain", "--ignored", "--", file];
	return run("git", args).then(
		({ stdout }) => stdout === "",
		() => null,
	);
}

/** Files that were added or changed since the branch left `base`, among those that git's path patterns name; throws InvalidInput where git can't tell. */
export async function changedFiles(root: string, base: string, patterns: readonly string[]): Promise<string[]> {
	// A revision that begins with a dash would be read as an option.
	if (!/^[A-Za-z0-9_][A-Za-z0-9_./-]*$/.test(base))
		throw new InvalidInput(`${JSON.stringify(base)} is not the name of a revision.`);
	// --relative: the project's folder needn't be the repository's own.
	const args = ["diff", "--name-only", "--relative", "-z", "--diff-filter=d", `${base}...HEAD`, "--", ...patterns];
	try {
		const { stdout } = await run("git", ["-C", root, ...args], { maxBuffer: 64 * 1024 * 1024 });
		return stdout.split("\0").filter(Boolean);
	} catch (error) {
		const said = String((error as { stderr?: string }).stderr ?? error)
			.trim()
			.split("\n")[0];
		throw new InvalidInput(
			`git can't tell what changed since ${base}: ${said}. Was the repository checked out with fetch-depth: 0?`,
		);
	}
}
