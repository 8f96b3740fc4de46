// A folder, or a commit of git, becomes the text of its files: what decides on a model is read where nobody's own branch can change it.
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import { readRegular } from "../files.ts";
import { type Git, openGit } from "../git/git.ts";
import { MOST_BYTES, namesIn } from "./files.ts";

/** Files of a repository by their path from its root. */
export interface Tree {
	/** Names of the YAML files in a folder, without their ending, sorted. */
	names(folder: string): Promise<string[]>;
	/** The text of a file; throws InvalidInput where it is absent, no regular file, or too large. */
	read(file: string): Promise<string>;
}

/** The files that lie in a folder. */
export function folderTree(root: string): Tree {
	return {
		names: (folder) => namesIn(path.join(root, folder)),
		read: async (file) => (await readRegular(root, file, MOST_BYTES, file)).toString("utf8"),
	};
}

/** Where all the files lie that are read of a commit. */
const READ = "recipes/";

/** The files of a commit's recipes, whatever lies in the working tree. */
export function commitTree(git: Git, commit: string): Tree {
	interface Item {
		mode: string;
		blob: string;
		size: number;
	}
	let listed: Promise<Map<string, Item>> | undefined;
	/** Each is listed once: a commit never changes. */
	const list = async () => {
		const listing = await git("ls-tree", "-r", "-t", "-z", "-l", commit, "--", READ);
		const lines = listing.split("\0").filter(Boolean);
		return new Map(
			lines.map((line) => {
				const [, mode, blob, size, file] = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-)\t(.+)$/s.exec(line)!;
				return [file!, { mode: mode!, blob: blob!, size: Number(size) }];
			}),
		);
	};
	const items = () => {
		listed ??= list();
		return listed;
	};
	return {
		async names(folder) {
			const files = [...(await items()).keys()].filter((file) => path.posix.dirname(file) === folder);
			return files
				.filter((file) => file.endsWith(".yaml"))
				.map((file) => path.posix.basename(file, ".yaml"))
				.sort();
		},
		async read(file) {
			const found = (await items()).get(file);
			if (!found) throw new InvalidInput(`${file}: the base (${commit}) has no such file.`);
			if (!found.mode.startsWith("100"))
				throw new InvalidInput(`${file}: found a link or a folder; only regular files are read.`);
			if (found.size > MOST_BYTES)
				throw new InvalidInput(`${file}: found ${found.size} bytes; at most ${MOST_BYTES} are read.`);
			return git("cat-file", "blob", found.blob);
		},
	};
}

/** The last commit of the repository that a folder lies in; the folder itself where there is none. */
export async function headTree(root: string): Promise<Tree> {
	const git = openGit(root);
	const head = await git("rev-parse", "--verify", "--quiet", "HEAD^{commit}").catch(() => "");
	return head === "" ? folderTree(root) : commitTree(git, head.trim());
}

/** The commit before a push to the repository that a folder lies in; throws InvalidInput where it wasn't fetched. */
export async function treeBefore(root: string, before: string): Promise<Tree> {
	const git = openGit(root);
	const found = await git("rev-parse", "--verify", "--quiet", "--end-of-options", `${before}^{commit}`).catch(() => "");
	if (found === "")
		throw new InvalidInput(
			`${before}, the commit before the push, isn't in this checkout, and its gates apply: check out with fetch-depth: 0.`,
		);
	return commitTree(git, found.trim());
}
