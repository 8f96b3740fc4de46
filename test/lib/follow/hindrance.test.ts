// Why GitHub starts no workflow for a pull request
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { hindranceOf } from "../../../actions/lib/follow/hindrance.ts";
import { openGit } from "../../../actions/lib/git/git.ts";
import { createGit, type Files, type Git, writeCommit } from "../../system/github/git.ts";

let root: string;
let git: Git;
let main: string;
beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "hindrance-"));
	git = createGit(root);
	git(["init", "--quiet", "--template=", "--initial-branch=main"]);
	main = moved(null, { "a.txt": "one\n" });
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** Commits to main. */
function moved(parent: string | null, files: Files): string {
	const commit = writeCommit(git, parent, files, "m", "ann");
	git(["reset", "--quiet", "--hard", commit]);
	return commit;
}
const many = (count: number, folder: string) =>
	Object.fromEntries(Array.from({ length: count }, (_, i) => [`${folder}/${i}.txt`, `${i}\n`]));
const experiment = { "experiments/night.yaml": "why: a test\n" };
const why = (files: Files, state: "open" | "closed" = "open") => {
	const sha = writeCommit(git, main, files, "h", "bob");
	return hindranceOf({ state, head: { sha }, base: { ref: "main" } } as never, openGit(root));
};

test("a conflict with the branch, until it's resolved", async () => {
	const files = { ...experiment, "a.txt": "theirs\n" };
	expect(await why(files)).toBeNull();
	const sha = writeCommit(git, main, files, "h", "bob");
	main = moved(main, { "a.txt": "ours\n" });
	const pull = { state: "open", head: { sha }, base: { ref: "main" } };
	expect(await hindranceOf(pull as never, openGit(root))).toMatch(
		/^This pull request conflicts with `main`, and GitHub starts no workflow for it: /,
	);
	expect(await hindranceOf({ ...pull, state: "closed" } as never, openGit(root))).toBeNull();
	expect(await why(experiment)).toBeNull();
});

test("so many files that the experiment isn't among the first 300", async () => {
	expect(await why({ ...experiment, ...many(299, "docs") })).toBeNull();
	// Those that come after it don't hide it.
	expect(await why({ ...experiment, ...many(400, "source") })).toBeNull();
	expect(await why({ ...experiment, ...many(300, "docs") })).toMatch(
		/^This pull request changes 301 files, and GitHub looks for experiments among the first 300 only/,
	);
});

test("is not said where git can't tell", async () => {
	const pull = { state: "open", head: { sha: "0".repeat(40) }, base: { ref: "main" } };
	await expect(hindranceOf(pull as never, openGit(root))).rejects.toThrow("git merge-tree ended with");
});
