// Commits of the git repository become commits of the server, and the other way, under the same ids.
import type { GitHubServer } from "../github-server.ts";
import { type Git, has, writeTree } from "./git.ts";

const repo = "/repos/ann/road";

interface ServerCommit {
	sha: string;
	message: string;
	tree: { sha: string };
	parents: { sha: string }[];
	author: { name: string; email: string; date: string };
	committer: { name: string; email: string; date: string };
}

/** Copies commits between the git repository and the server; both name them by the same digest, which is checked. */
export function createMirror(github: GitHubServer, git: Git) {
	const given = new Set<string>();

	return {
		/** Gives the server a commit and its ancestors. */
		async give(sha: string, where: string, token: string): Promise<void> {
			for (const commit of git(["rev-list", "--topo-order", "--reverse", sha]).trim().split("\n")) {
				if (given.has(where + commit)) continue;
				const format = "%T%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B";
				const shown = git(["log", "-1", `--format=${format}`, commit]).split("\0");
				const [, parents, an, ae, ad, cn, ce, cd, message] = shown as [string, ...string[]];
				const list = parents!.split(" ").filter(Boolean);
				const tree = await giveTree(github, git, commit, list[0], where, token);
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

/** Gives the server the tree of a commit, as what it changes of its parent's. */
async function giveTree(
	github: GitHubServer,
	git: Git,
	commit: string,
	parent: string | undefined,
	where: string,
	token: string,
): Promise<string> {
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
	const lines = blobs.map((entry) => `${entry.mode} ${entry.sha}\t${entry.path}`);
	const made = writeTree(git, null, lines);
	if (made !== sha) throw new Error(`Git's tree is ${made}, the server's is ${sha}.`);
}
