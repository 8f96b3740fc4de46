// A bare git repository in step with the server: the same commits on both sides, branches, pull requests and forks with the refs that GitHub makes.
import { execFileSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { GitHubServer } from "../github-server.ts";
import type { Pull } from "./pulls.ts";

/** Files by path; null deletes one. */
export type Files = Record<string, string | null>;

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
	const mirror = createMirror(github, git);
	const text = (...args: string[]) => git(args).trim();
	const sha = (ref: string) => text("rev-parse", "--verify", `${ref}^{commit}`);
	let forked = false;

	async function place(ref: string, to: string, where = repo, token = "ann-token"): Promise<void> {
		await mirror.give(to, where, token);
		const known = await github.call<{ ref: string }[]>("GET", `${where}/git/matching-refs/${ref.slice(5)}`);
		if (known.some((other) => other.ref === ref))
			await github.call("PATCH", `${where}/git/${ref}`, { sha: to, force: true }, token);
		else await github.call("POST", `${where}/git/refs`, { ref, sha: to }, token);
	}

	/** refs/pull/N/head and /merge, as GitHub keeps them; a conflict has no merge. */
	async function placePulls(): Promise<void> {
		for (const pull of await github.call<Pull[]>("GET", `${repo}/pulls?state=open&per_page=100`)) {
			if (!has(git, pull.head.sha)) continue;
			text("update-ref", `refs/pull/${pull.number}/head`, pull.head.sha);
			const merged = mergeCommit(
				git,
				sha(pull.base.ref),
				pull.head.sha,
				`Merge ${pull.head.sha} into ${pull.base.ref}\n`,
			);
			if (merged) text("update-ref", `refs/pull/${pull.number}/merge`, merged);
		}
	}

	async function pull(): Promise<void> {
		const refs = await github.call<{ ref: string; object: { sha: string } }[]>(
			"GET",
			`${repo}/git/matching-refs/heads/`,
		);
		const tags = await github.call<{ ref: string; object: { sha: string } }[]>(
			"GET",
			`${repo}/git/matching-refs/tags/`,
		);
		for (const { ref, object } of [...refs, ...tags]) {
			await mirror.take(object.sha);
			text("update-ref", ref, object.sha);
		}
		const there = new Set([...refs, ...tags].map(({ ref }) => ref));
		for (const ref of text("for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags").split("\n"))
			if (ref && !there.has(ref)) text("update-ref", "-d", ref);
		await placePulls();
	}

	async function commit(
		branch: string,
		changes: Files,
		options: { message?: string; by?: string; fork?: boolean } = {},
	) {
		const { message = `Change ${Object.keys(changes)[0]}`, by = options.fork ? "fan" : "ann" } = options;
		const ref = options.fork ? `refs/fork/heads/${branch}` : `refs/heads/${branch}`;
		const start = has(git, ref) ? sha(ref) : has(git, "refs/heads/main") ? sha("main") : null;
		const made = writeCommit(git, start, changes, message, by);
		text("update-ref", ref, made);
		if (options.fork) {
			if (!forked) await github.call("POST", `${repo}/forks`, {}, "fan-token");
			forked = true;
			// A fork shares its objects with its parent, which is why refs/pull/N/head can be there.
			await mirror.give(made, repo, "ann-token");
			await place(`refs/heads/${branch}`, made, fork, "fan-token");
		} else await place(ref, made);
		await placePulls();
		return made;
	}

	github.git.merge = async (base, head, message) => {
		const merged = mergeCommit(git, base, head, message);
		if (merged) await mirror.give(merged, repo, "ann-token");
		return merged;
	};
	github.git.moved = pull;
	await commit("main", files, { message: "The repository" });
	return {
		folder,
		git: text,
		sha,
		commit,
		async open(branch, { title = `About ${branch}`, body = "", by, fork: isFork = false } = {}) {
			const head = isFork ? `fan:${branch}` : branch;
			const token = `${by ?? (isFork ? "fan" : "ann")}-token`;
			const opened = await github.call<Pull>("POST", `${repo}/pulls`, { title, body, head, base: "main" }, token);
			await placePulls();
			return github.call<Pull>("GET", `${repo}/pulls/${opened.number}`);
		},
		async merge(number, by = "ann") {
			const { sha: merged } = await github.call<{ sha: string }>(
				"PUT",
				`${repo}/pulls/${number}/merge`,
				{},
				`${by}-token`,
			);
			await pull();
			return merged;
		},
		pull,
		async push() {
			for (const line of text("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags").split(
				"\n",
			)) {
				const [to, ref] = line.split(" ");
				if (to && ref) await place(ref, sha(to));
			}
			await placePulls();
		},
		close: () => rm(folder, { recursive: true, force: true }),
	};
}

type Git = ReturnType<typeof createGit>;

function createGit(folder: string) {
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

function has(git: Git, ref: string): boolean {
	try {
		git(["rev-parse", "--quiet", "--verify", `${ref}^{commit}`]);
		return true;
	} catch {
		return false;
	}
}

function identity(by: string): Record<string, string> {
	const email = `${by}@users.noreply.github.com`;
	return { GIT_AUTHOR_NAME: by, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: by, GIT_COMMITTER_EMAIL: email };
}

function writeCommit(git: Git, parent: string | null, files: Files, message: string, by: string): string {
	const env = { GIT_INDEX_FILE: path.join(tmpdir(), `index-${process.pid}-${Math.random().toString(36).slice(2)}`) };
	git(["read-tree", ...(parent ? [parent] : ["--empty"])], { env });
	const lines = Object.entries(files).map(([file, text]) =>
		text === null
			? `0 ${"0".repeat(40)}\t${file}`
			: `100644 ${git(["hash-object", "-w", "--stdin"], { input: text }).trim()}\t${file}`,
	);
	git(["update-index", "--index-info"], { env, input: `${lines.join("\n")}\n` });
	const tree = git(["write-tree"], { env }).trim();
	const parents = parent ? ["-p", parent] : [];
	return git(["commit-tree", tree, ...parents], { input: `${message}\n`, env: identity(by) }).trim();
}

function mergeCommit(git: Git, base: string, head: string, message: string): string | null {
	let tree: string;
	try {
		tree = git(["merge-tree", "--write-tree", base, head]).trim().split("\n")[0]!;
	} catch {
		return null;
	}
	return git(["commit-tree", tree, "-p", base, "-p", head], { input: message, env: identity("ann") }).trim();
}

interface ServerCommit {
	sha: string;
	message: string;
	tree: { sha: string };
	parents: { sha: string }[];
	author: { name: string; email: string; date: string };
	committer: { name: string; email: string; date: string };
}

/** Copies commits between the git repository and the server; both name them by the same digest, which is checked. */
function createMirror(github: GitHubServer, git: Git) {
	const given = new Set<string>();

	async function giveTree(commit: string, parent: string | undefined, where: string, token: string): Promise<string> {
		const wanted = git(["rev-parse", `${commit}^{tree}`]).trim();
		const raw = parent ? ["diff-tree", "-r", "-z", "--no-commit-id", parent, commit] : ["ls-tree", "-r", "-z", commit];
		const fields = git(raw).split("\0").filter(Boolean);
		const changes = parent
			? pairs(fields).map(([meta, file]) => ({ mode: meta.split(" ")[1]!, sha: meta.split(" ")[3]!, path: file }))
			: fields.map((line) => {
					const [meta, file] = line.split("\t") as [string, string];
					return { mode: meta.split(" ")[0]!, sha: meta.split(" ")[2]!, path: file };
				});
		if (changes.length === 0) return wanted;
		const tree: object[] = [];
		for (const { mode, sha, path: file } of changes) {
			const gone = /^0+$/.test(sha);
			if (!gone) {
				const content = git.bytes(["cat-file", "blob", sha]).toString("base64");
				await github.call("POST", `${where}/git/blobs`, { content, encoding: "base64" }, token);
			}
			tree.push({ path: file, mode: gone ? "100644" : mode, type: "blob", sha: gone ? null : sha });
		}
		const base = parent ? { base_tree: git(["rev-parse", `${parent}^{tree}`]).trim() } : {};
		const made = await github.call<{ sha: string }>("POST", `${where}/git/trees`, { ...base, tree }, token);
		if (made.sha !== wanted) throw new Error(`The server's tree of ${commit} is ${made.sha}, git's is ${wanted}.`);
		return wanted;
	}

	return {
		/** Gives the server a commit and its ancestors. */
		async give(sha: string, where: string, token: string): Promise<void> {
			for (const commit of git(["rev-list", "--topo-order", "--reverse", sha]).trim().split("\n")) {
				if (given.has(where + commit)) continue;
				const format = "%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
				const shown = git(["log", "-1", `--format=${format}`, commit]).split("\0");
				const [, parents, an, ae, ad, cn, ce, cd, message] = shown as [string, ...string[]];
				const list = parents!.split(" ").filter(Boolean);
				const tree = await giveTree(commit, list[0], where, token);
				const body = {
					message: message!.replace(/\n$/, ""),
					tree,
					parents: list,
					author: { name: an, email: ae, date: ad },
					committer: { name: cn, email: ce, date: cd },
				};
				const made = await github.call<{ sha: string }>("POST", `${where}/git/commits`, body, token);
				if (made.sha !== commit) throw new Error(`The server's commit is ${made.sha}, git's is ${commit}.`);
				given.add(where + commit);
			}
		},

		/** Takes a commit and its ancestors from the server. */
		async take(sha: string): Promise<void> {
			if (has(git, sha)) return;
			const commit = await github.call<ServerCommit>("GET", `${repo}/git/commits/${sha}`);
			for (const parent of commit.parents) await this.take(parent.sha);
			await takeTree(github, git, commit.tree.sha);
			const line = ({ name, email, date }: ServerCommit["author"]) => {
				const zone = /([+-])(\d\d):?(\d\d)$/.exec(date);
				return `${name} <${email}> ${Math.floor(Date.parse(date) / 1000)} ${zone ? zone.slice(1).join("") : "+0000"}`;
			};
			const parents = commit.parents.map((parent) => `parent ${parent.sha}\n`).join("");
			const message = commit.message.endsWith("\n") ? commit.message : `${commit.message}\n`;
			const text = `tree ${commit.tree.sha}\n${parents}author ${line(commit.author)}\ncommitter ${line(commit.committer)}\n\n${message}`;
			const made = git(["hash-object", "-t", "commit", "-w", "--stdin"], { input: text }).trim();
			if (made !== sha) throw new Error(`Git's commit is ${made}, the server's is ${sha}.`);
			given.add(repo + sha);
		},
	};
}

function pairs(fields: string[]): [string, string][] {
	return fields.flatMap((field, i): [string, string][] => (i % 2 === 0 ? [[field, fields[i + 1]!]] : []));
}

interface Entry {
	path: string;
	mode: string;
	type: string;
	sha: string;
}

async function takeTree(github: GitHubServer, git: Git, sha: string): Promise<void> {
	const { tree } = await github.call<{ tree: Entry[] }>("GET", `${repo}/git/trees/${sha}?recursive=1`);
	const blobs = tree.filter(({ type }) => type === "blob");
	const unknown = git(["cat-file", "--batch-check=%(objectname)"], {
		input: blobs.map((entry) => `${entry.sha}\n`).join(""),
	})
		.split("\n")
		.filter((line) => line.endsWith(" missing"));
	for (const line of new Set(unknown)) {
		const { content } = await github.call<{ content: string }>("GET", `${repo}/git/blobs/${line.split(" ")[0]}`);
		git(["hash-object", "-w", "--stdin"], { input: Buffer.from(content, "base64") });
	}
	const env = { GIT_INDEX_FILE: path.join(tmpdir(), `index-${process.pid}-${Math.random().toString(36).slice(2)}`) };
	git(["read-tree", "--empty"], { env });
	const lines = blobs.map((entry) => `${entry.mode} ${entry.sha}\t${entry.path}`);
	git(["update-index", "--index-info"], { env, input: `${lines.join("\n")}\n` });
	const made = git(["write-tree"], { env }).trim();
	if (made !== sha) throw new Error(`Git's tree is ${made}, the server's is ${sha}.`);
}
