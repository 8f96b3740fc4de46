// A commit becomes a folder with its files, in the state folder and kept for as long as somebody needs it.
import { readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import { makeFolder } from "../files.ts";
import type { State } from "../state.ts";
import { type Git, openGit } from "./git.ts";
import { refuseReserved } from "./reserved.ts";

/** Whose commits are checked out. */
export interface Repository {
	/** The checkout of the default branch. */
	home: string;
	state: State;
}

/**
 * The folder of a commit's files, made where it is absent or isn't what was committed; a pull request's commits are fetched by its
 * number. Throws InvalidInput for a commit that has what a runner keeps. Safe to repeat.
 */
export async function checkOut(
	repository: Repository,
	git: Git,
	sha: string,
	pullRequest: number | null,
): Promise<string> {
	if (!/^[0-9a-f]{40}$/.test(sha)) throw new InvalidInput(`${JSON.stringify(sha)} is not a commit.`);
	const place = path.join(folderOf(repository), sha);
	await git("cat-file", "-e", `${sha}^{commit}`).catch(() =>
		git("fetch", "--quiet", "--no-tags", "origin", pullRequest === null ? sha : `refs/pull/${pullRequest}/head`),
	);
	if (await isWhole(place, sha)) return place;
	await refuseReserved(git, sha, repository.state);
	await makeFolder(path.dirname(place));
	await discard(place, git);
	await git("worktree", "add", "--quiet", "--detach", place, sha);
	return place;
}

/** Another runner of the same state may still read what is young. */
const KEPT_MS = 24 * 3_600_000;

/** Removes the checkouts of all other commits that were made a day ago or before. */
export async function pruneCheckouts(repository: Repository, git: Git, keep: ReadonlySet<string>): Promise<void> {
	const folder = folderOf(repository);
	const names = await readdir(folder).catch(() => []);
	for (const name of names) {
		const place = path.join(folder, name);
		const made = (await stat(place).catch(() => null))?.mtimeMs ?? 0;
		if (!keep.has(name) && Date.now() - made > KEPT_MS) await discard(place, git);
	}
}

function folderOf({ state }: Repository): string {
	return path.join(state.folder, "checkouts");
}

/** Whether the commit's files lie there, all of them and as they were committed, and nothing else. */
async function isWhole(place: string, sha: string): Promise<boolean> {
	const git = openGit(place);
	// In a folder that is no checkout git answers for the repository around it.
	const said = await git("rev-parse", "--show-prefix", "HEAD").catch(() => "");
	return said === `\n${sha}\n` && (await git("status", "--porcelain", "--untracked-files=all")) === "";
}

/** Removes a checkout, or what is left of one. */
async function discard(place: string, git: Git): Promise<void> {
	await rm(place, { recursive: true, force: true });
	// Git keeps what it knows of a checkout that was being made when its process was killed, until it is unlocked.
	await git("worktree", "unlock", place).catch(() => "");
	await git("worktree", "prune");
}
