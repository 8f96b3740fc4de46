// A bare git repository in step with the server: the same commits on both sides, branches, pull requests and forks with the refs that GitHub makes.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { GitHubServer } from "../github-server.ts";
import { createGit, type Files, type Git, has, mergeCommit, writeCommit } from "./git.ts";
import { createMirror } from "./mirror.ts";
import type { Pull } from "./pulls.ts";

export interface Origin {
	/** The bare repository. */
	folder: string;
	git(...args: string[]): string;
	/** The commit of a ref. */
	sha(ref: string): string;
	/** Commits to a branch (made from main where it is new) and pushes; gives the new commit. */
	commit(branch: string, files: Files, options?: { message?: string; by?: string; fork?: boolean }): Promise<string>;
	/** Opens a pull request from a branch; of fan's fork, where it was committed there. */
	open(branch: string, options?: { title?: string; body?: string; by?: string; fork?: boolean }): Promise<Pull>;
	merge(number: number, by?: string): Promise<string>;
	/** Takes over what was written through the API. */
	pull(): Promise<void>;
	/** Gives the server what was pushed to the bare repository by git. */
	push(): Promise<void>;
	close(): Promise<void>;
}

const repo = "/repos/ann/road";
const fork = "/repos/fan/road";

/** Makes the repository with the first commit on main, and the server's main the same. */
export async function createOrigin(github: GitHubServer, files: Files): Promise<Origin> {
	const folder = await mkdtemp(path.join(tmpdir(), "origin-"));
	const git = createGit(folder);
	git(["init", "--quiet", "--bare", "--initial-branch=main"]);
	const sync = createSync(github, git);
	let forked = false;

	async function commit(branch: string, changes: Files, options: Parameters<Origin["commit"]>[2] = {}) {
		const { message = `Change ${Object.keys(changes)[0]}`, by = options.fork ? "fan" : "ann" } = options;
		const ref = options.fork ? `refs/fork/heads/${branch}` : `refs/heads/${branch}`;
		const start = [ref, "refs/heads/main"].find((known) => has(git, known));
		const made = writeCommit(git, start ? sync.sha(start) : null, changes, message, by);
		sync.text("update-ref", ref, made);
		if (options.fork) {
			if (!forked) await github.call("POST", `${repo}/forks`, {}, "fan-token");
			forked = true;
			// A fork shares its objects with its parent, which is why refs/pull/N/head can be there.
			await sync.give(made);
			await sync.place(`refs/heads/${branch}`, made, fork, "fan-token");
		} else await sync.place(ref, made);
		await sync.placePulls();
		return made;
	}

	github.git.merge = async (base, head, message) => {
		const merged = mergeCommit(git, base, head, message);
		if (merged) await sync.give(merged);
		return merged;
	};
	github.git.moved = sync.pull;
	await commit("main", files, { message: "The repository" });
	return {
		folder,
		git: sync.text,
		sha: sync.sha,
		commit,
		async open(branch, { title = `About ${branch}`, body = "", by, fork: isFork = false } = {}) {
			const head = isFork ? `fan:${branch}` : branch;
			const token = `${by ?? (isFork ? "fan" : "ann")}-token`;
			const opened = await github.call<Pull>("POST", `${repo}/pulls`, { title, body, head, base: "main" }, token);
			await sync.placePulls();
			return github.call<Pull>("GET", `${repo}/pulls/${opened.number}`);
		},
		async merge(number, by = "ann") {
			const at = `${repo}/pulls/${number}/merge`;
			const { sha: merged } = await github.call<{ sha: string }>("PUT", at, {}, `${by}-token`);
			await sync.pull();
			return merged;
		},
		pull: sync.pull,
		push: sync.push,
		close: () => rm(folder, { recursive: true, force: true }),
	};
}

interface Ref {
	ref: string;
	object: { sha: string; type: string };
}

/** Keeps the refs of both sides the same. */
function createSync(github: GitHubServer, git: Git) {
	const mirror = createMirror(github, git);
	const text = (...args: string[]) => git(args).trim();
	const sha = (ref: string) => text("rev-parse", "--verify", `${ref}^{commit}`);
	/** Refs as both sides had them last: what differs since was changed by git, or by the API. */
	const agreed = new Map<string, string>();
	const listed = (format: string) => text("for-each-ref", `--format=${format}`, "refs/heads", "refs/tags").split("\n");

	async function place(ref: string, to: string, where = repo, token = "ann-token"): Promise<void> {
		await mirror.give(to, where, token);
		const known = await github.call<Ref[]>("GET", `${where}/git/matching-refs/${ref.slice("refs/".length)}`);
		if (known.some((other) => other.ref === ref))
			await github.call("PATCH", `${where}/git/${ref}`, { sha: to, force: true }, token);
		else await github.call("POST", `${where}/git/refs`, { ref, sha: to }, token);
		if (where === repo) agreed.set(ref, to);
	}

	/** refs/pull/N/head and /merge, as GitHub keeps them; a conflict has no merge. */
	async function placePulls(): Promise<void> {
		for (const pull of await github.call<Pull[]>("GET", `${repo}/pulls?state=open&per_page=100`)) {
			if (!has(git, pull.head.sha)) continue;
			text("update-ref", `refs/pull/${pull.number}/head`, pull.head.sha);
			const ref = `refs/pull/${pull.number}/merge`;
			const base = sha(pull.base.ref);
			// A merge holds its time: the one that is there stays while it is of the same two commits.
			if (has(git, ref) && text("log", "-1", "--format=%P", ref) === `${base} ${pull.head.sha}`) continue;
			const merged = mergeCommit(git, base, pull.head.sha, `Merge ${pull.head.sha} into ${pull.base.ref}\n`);
			if (merged) text("update-ref", ref, merged);
		}
	}

	async function pull(): Promise<void> {
		const list = (kind: string) => github.call<Ref[]>("GET", `${repo}/git/matching-refs/${kind}/`);
		const refs = [...(await list("heads")), ...(await list("tags"))];
		for (const ref of refs) {
			const to = await target(github, ref);
			if (agreed.get(ref.ref) === to) continue;
			await mirror.take(to);
			text("update-ref", ref.ref, to);
			agreed.set(ref.ref, to);
		}
		const there = new Set(refs.map(({ ref }) => ref));
		for (const ref of listed("%(refname)"))
			if (ref && !there.has(ref) && agreed.delete(ref)) text("update-ref", "-d", ref);
		await placePulls();
	}

	async function push(): Promise<void> {
		for (const line of listed("%(objectname) %(refname)")) {
			const [to, ref] = line.split(" ");
			if (to && ref && agreed.get(ref) !== to) await place(ref, sha(to));
		}
		await placePulls();
	}

	const give = (commit: string) => mirror.give(commit, repo, "ann-token");
	return { text, sha, place, placePulls, pull, push, give };
}

/** The commit that the server's ref is at; an annotated tag stands for its commit, since emulate gives it an id of its own. */
async function target(github: GitHubServer, { object }: Ref): Promise<string> {
	if (object.type !== "tag") return object.sha;
	const tag = await github.call<{ object: { sha: string } }>("GET", `${repo}/git/tags/${object.sha}`);
	return tag.object.sha;
}
