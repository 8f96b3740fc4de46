// Git on a bare repository, without a working tree: commits are written from files, and merged, by its plumbing.
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** Files by path; null deletes one. */
export type Files = Record<string, string | null>;

export type Git = ReturnType<typeof createGit>;

/** Runs git in the folder; gives what it wrote, as text or as bytes. */
export function createGit(folder: string) {
	const bytes = (args: string[], { input, env = {} }: { input?: string | Buffer; env?: Record<string, string> } = {}) =>
		execFileSync("git", ["-C", folder, ...args], {
			input: input ?? "",
			stdio: ["pipe", "pipe", "pipe"],
			maxBuffer: 64 * 2 ** 20,
			// Nothing of the machine's own configuration may change a commit's bytes.
			env: { PATH: process.env["PATH"]!, GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", TZ: "UTC", ...env },
		});
	const text = (...[args, options]: Parameters<typeof bytes>) => bytes(args, options).toString("utf8");
	return Object.assign(text, { bytes });
}

/** Whether the repository has the commit. */
export function has(git: Git, ref: string): boolean {
	try {
		git(["rev-parse", "--quiet", "--verify", `${ref}^{commit}`]);
		return true;
	} catch {
		return false;
	}
}

/** Who commits; nothing of the machine's own is taken. */
function identity(by: string): Record<string, string> {
	const email = `${by}@users.noreply.github.com`;
	return { GIT_AUTHOR_NAME: by, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: by, GIT_COMMITTER_EMAIL: email };
}

/** Writes the tree that a tree becomes by these lines of git's index; gives its id. */
export function writeTree(git: Git, from: string | null, lines: readonly string[]): string {
	const env = { GIT_INDEX_FILE: path.join(tmpdir(), `index-${randomUUID()}`) };
	try {
		git(["read-tree", ...(from ? [from] : ["--empty"])], { env });
		git(["update-index", "--index-info"], { env, input: `${lines.join("\n")}\n` });
		return git(["write-tree"], { env }).trim();
	} finally {
		rmSync(env.GIT_INDEX_FILE, { force: true });
	}
}

/** Writes a commit with the changed files on its parent; gives its id. */
export function writeCommit(git: Git, parent: string | null, files: Files, message: string, by: string): string {
	const lines = Object.entries(files).map(([file, text]) =>
		text === null
			? `0 ${"0".repeat(40)}\t${file}`
			: `100644 ${git(["hash-object", "-w", "--stdin"], { input: text }).trim()}\t${file}`,
	);
	const tree = writeTree(git, parent, lines);
	const parents = parent ? ["-p", parent] : [];
	return git(["commit-tree", tree, ...parents], { input: `${message}\n`, env: identity(by) }).trim();
}

/** Writes the merge of two commits; null where they conflict. */
export function mergeCommit(git: Git, base: string, head: string, message: string): string | null {
	let tree: string;
	try {
		tree = git(["merge-tree", "--write-tree", base, head]).trim().split("\n")[0]!;
	} catch {
		return null;
	}
	return git(["commit-tree", tree, "-p", base, "-p", head], { input: message, env: identity("ann") }).trim();
}
