// A commit becomes a folder with its files, beside the checkout of the default branch and kept for as long as somebody needs it.
import { existsSync } from "node:fs";
import { readdir, rm, symlink } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import { makeFolder } from "../files.ts";
import { type Git, openGit } from "./git.ts";

/** Where checkouts lie in a repository, each named by its commit. */
const FOLDER = ".proving-ground/checkouts";

/** The folder of a commit's files, made where it is absent; a pull request's commits are fetched by its number. Safe to repeat. */
export async function checkOut(root: string, git: Git, sha: string, pullRequest: number | null): Promise<string> {
	if (!/^[0-9a-f]{40}$/.test(sha)) throw new InvalidInput(`${JSON.stringify(sha)} is not a commit.`);
	const place = path.join(root, FOLDER, sha);
	if (await isWhole(place, sha)) return place;
	await git("cat-file", "-e", `${sha}^{commit}`).catch(() =>
		git("fetch", "--quiet", "--no-tags", "origin", pullRequest === null ? sha : `refs/pull/${pullRequest}/head`),
	);
	await makeFolder(path.dirname(place));
	await discard(place, git);
	await git("worktree", "add", "--quiet", "--detach", place, sha);
	// Datasets, jobs and the store are the repository's, whichever commit asks for them.
	await symlink(path.join(root, ".proving-ground"), linkIn(place)).catch(acceptThere);
	return place;
}

/** Removes the checkouts of all other commits. */
export async function pruneCheckouts(root: string, git: Git, keep: ReadonlySet<string>): Promise<void> {
	const names = await readdir(path.join(root, FOLDER)).catch(() => []);
	for (const name of names) if (!keep.has(name)) await discard(path.join(root, FOLDER, name), git);
}

/** Whether a checkout of the commit lies there that no process has left half done. */
async function isWhole(place: string, sha: string): Promise<boolean> {
	const said = await openGit(place)("rev-parse", "--show-prefix", "HEAD").catch(() => "");
	// In a folder that is no checkout git answers for the repository around it; the link is made last.
	return said === `\n${sha}\n` && existsSync(linkIn(place));
}

/** Removes a checkout, or what is left of one. */
async function discard(place: string, git: Git): Promise<void> {
	await rm(place, { recursive: true, force: true });
	// Git keeps what it knows of a checkout that was being made when its process was killed, until it is unlocked.
	await git("worktree", "unlock", place).catch(() => "");
	await git("worktree", "prune");
}

function linkIn(place: string): string {
	return path.join(place, ".proving-ground");
}

function acceptThere(error: NodeJS.ErrnoException): void {
	if (error.code !== "EEXIST") throw error;
}
