// Files become one commit on a branch, and a commit becomes a tag, without a checkout.
import { createHash } from "node:crypto";
import { InvalidInput, ServiceError } from "../errors.ts";
import { type Client, call, converge, orNull, repeatable } from "./connect.ts";
import type { Commit, GitHub, Written } from "./objects.ts";

/** How often a commit is made anew on a branch that others push to meanwhile. */
const ROUNDS = 5;

interface Entry {
	path: string;
	mode: string;
	type: string;
	sha: string;
}

/** What a tree is to have at a path: text, or a file by its name, or nothing. */
interface Change {
	path: string;
	mode: "100644" | "100755";
	type: "blob";
	content?: string;
	sha?: string | null;
}

export function commits(client: Client): Pick<GitHub, "tagged" | "createTag" | "commitFiles" | "hasFile" | "authorOf"> {
	const { octokit, place } = client;

	/** The commit that a reference points at; null where there is none. */
	async function look(ref: string): Promise<string | null> {
		const found = await call(`read ${ref}`, () => orNull(octokit.rest.git.getRef({ ...place, ref })));
		if (!found) return null;
		const { type, sha } = found.data.object;
		if (type !== "tag") return sha;
		const tag = await call(`read ${ref}`, () => octokit.rest.git.getTag({ ...place, tag_sha: sha }));
		return tag.data.object.sha;
	}

	/** The files among these that a tree hasn't as they should be, each with what the tree has. */
	async function changed(
		tree: string,
		files: Commit["files"],
	): Promise<[Commit["files"][number], Entry | undefined][]> {
		const folders = new Map<string, Promise<Entry[]>>();
		// Folder by folder: the tree of a large repository as a whole is given cut.
		const entries = async (folder: string, sha: string | null): Promise<Entry[]> => {
			if (!folders.has(folder)) folders.set(folder, sha === null ? Promise.resolve([]) : readTree(sha));
			return folders.get(folder)!;
		};
		const find = async (path: string): Promise<Entry | undefined> => {
			const cut = path.lastIndexOf("/");
			const folder = cut < 0 ? "" : path.slice(0, cut);
			const above = cut < 0 ? tree : ((await find(folder)) ?? null);
			const sha = typeof above === "string" ? above : above?.type === "tree" ? above.sha : null;
			return (await entries(folder, sha)).find((entry) => entry.path === path.slice(cut + 1));
		};
		const found: [Commit["files"][number], Entry | undefined][] = [];
		for (const file of files) found.push([file, await find(file.path)]);
		return found.filter(([{ content }, entry]) =>
			content === null ? entry !== undefined : entry?.sha !== blobSha(content),
		);
	}

	async function readTree(sha: string): Promise<Entry[]> {
		const { data } = await call("read a tree", () => octokit.rest.git.getTree({ ...place, tree_sha: sha }));
		return data.tree as Entry[];
	}

	/** A commit with these files on its parent; null where nothing would change. What git names by its content may be sent twice. */
	async function write(parent: string, { message, files }: Commit): Promise<string | null> {
		const { data: commit } = await call("read a commit", () =>
			octokit.rest.git.getCommit({ ...place, commit_sha: parent }),
		);
		const tree: Change[] = [];
		for (const [{ path, content }, entry] of await changed(commit.tree.sha, files)) {
			const mode = entry?.mode === "100755" ? ("100755" as const) : ("100644" as const);
			const kept = { path, mode, type: "blob" as const };
			if (typeof content === "string") tree.push({ ...kept, content: content.toWellFormed() });
			else tree.push({ ...kept, sha: content && (await upload(content)) });
		}
		if (tree.length === 0) return null;
		const made = await call("write a tree", () =>
			octokit.rest.git.createTree({ ...place, base_tree: commit.tree.sha, tree, ...repeatable }),
		);
		const { data } = await call("write a commit", () =>
			octokit.rest.git.createCommit({ ...place, message, tree: made.data.sha, parents: [parent], ...repeatable }),
		);
		return data.sha;
	}

	async function upload(content: Uint8Array): Promise<string> {
		const blob = { content: Buffer.from(content).toString("base64"), encoding: "base64" };
		const { data } = await call("write a file", () =>
			octokit.rest.git.createBlob({ ...place, ...blob, ...repeatable }),
		);
		return data.sha;
	}

	/** One look and one try; null where another run was quicker. */
	async function commitOnce(commit: Commit): Promise<Written | null> {
		const branch = `heads/${commit.branch}`;
		const head = await look(branch);
		const parent = head ?? (await look(`heads/${commit.base}`));
		if (parent === null) throw new InvalidInput(`There is no branch ${JSON.stringify(commit.base)} to start from.`);
		const sha = await write(parent, commit);
		if (sha === null) return "unchanged";
		try {
			// Never forced: what others have pushed since stays, and the commit is made anew on top of it.
			if (head === null) await octokit.rest.git.createRef({ ...place, ref: `refs/${branch}`, sha, ...repeatable });
			else await octokit.rest.git.updateRef({ ...place, ref: branch, sha, force: false });
		} catch (error) {
			const now = await look(branch);
			if (now !== sha) {
				const { status } = error as { status?: number };
				if (status === 422 || status === 409) return null;
				return call("move a branch", () => Promise.reject(error));
			}
		}
		return head === null ? "created" : "updated";
	}

	return {
		tagged: (name) => look(`tags/${name}`),

		async authorOf(sha) {
			const found = await call("read a commit", () => orNull(octokit.rest.repos.getCommit({ ...place, ref: sha })));
			return found?.data.author?.login ?? null;
		},

		async hasFile(file, sha) {
			const asked = { ...place, path: file, ref: sha };
			return (await call("look for a file", () => orNull(octokit.rest.repos.getContent(asked)))) !== null;
		},

		async createTag(name, sha) {
			const ref = `tags/${name}`;
			const before = await look(ref);
			const at =
				before ??
				(await converge<string>(
					client,
					"create a tag",
					() => octokit.rest.git.createRef({ ...place, ref: `refs/${ref}`, sha }).then(() => sha),
					() => look(ref),
				));
			if (at !== sha)
				throw new InvalidInput(`The tag ${name} is at ${at}, not at ${sha}; a published tag never moves.`);
			return before === null ? "created" : "unchanged";
		},

		async commitFiles(commit) {
			for (let round = 1; round <= ROUNDS; round += 1) {
				const written = await commitOnce(commit);
				// What an earlier round wrote, though its answer was lost, is there by now.
				if (written !== null) return written === "unchanged" && round > 1 ? "updated" : written;
			}
			throw new ServiceError(
				"GitHub",
				`could not commit to ${commit.branch}: someone else pushed to it during each of ${ROUNDS} tries.`,
			);
		},
	};
}

/** The name that git gives to these contents. */
function blobSha(content: string | Uint8Array): string {
	const bytes = typeof content === "string" ? Buffer.from(content.toWellFormed()) : content;
	return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
