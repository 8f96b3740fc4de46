// Two revisions become the experiment files that differ between them.
import { InvalidInput } from "../errors.ts";
import { runCommand } from "../process.ts";

/** Experiment files that were added or changed since the branch left `base`; throws InvalidInput where git can't tell. */
export async function changedExperiments(root: string, base: string): Promise<string[]> {
	return changedFiles(root, base, [":(glob)experiments/*.yaml"]);
}

/** Whether a file is committed as it lies there; null where that isn't asked in a repository of git. */
export async function isCommitted(root: string, file: string): Promise<boolean | null> {
	const args = ["--literal-pathspecs", "-C", root, "status", "--porcelain", "--ignored", "--", file];
	return run(args).then(
		({ code, output }) => (code === 0 ? output === "" : null),
		() => null,
	);
}

function run(args: readonly string[]): ReturnType<typeof runCommand> {
	const env = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", LC_ALL: "C" };
	return runCommand("git", args, { env });
}

/** Files that were added or changed since the branch left `base`, among those that git's path patterns name; throws InvalidInput where git can't tell. */
export async function changedFiles(root: string, base: string, patterns: readonly string[]): Promise<string[]> {
	// A revision that begins with a dash would be read as an option.
	if (!/^[A-Za-z0-9_][A-Za-z0-9_./-]*$/.test(base))
		throw new InvalidInput(`${JSON.stringify(base)} is not the name of a revision.`);
	// --relative: the project's folder needn't be the repository's own.
	const args = ["diff", "--name-only", "--relative", "-z", "--diff-filter=d", `${base}...HEAD`, "--", ...patterns];
	const { code, output, errors } = await run(["-C", root, ...args]);
	if (code === 0) return output.split("\0").filter(Boolean);
	throw new InvalidInput(
		`git can't tell what changed since ${base}: ${errors.trim().split("\n")[0]}. Was the repository checked out with fetch-depth: 0?`,
	);
}
