// A folder keeps documents and artefacts by key.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import { createFile } from "../files.ts";
import type { Store } from "../plan/store.ts";

/** A store in a folder of this machine. */
export function folder(root: string): Store {
	const locate = (key: string) => {
		if (key === "" || path.isAbsolute(key) || key.split("/").includes(".."))
			throw new InvalidInput(`${JSON.stringify(key)} can't be a key of a store.`);
		return path.join(root, key);
	};
	return {
		locate,

		async get(key) {
			return readFile(locate(key)).catch((error: NodeJS.ErrnoException) => {
				if (error.code === "ENOENT" || error.code === "EISDIR" || error.code === "ENOTDIR") return null;
				throw error;
			});
		},

		async put(key, bytes) {
			return createFile(locate(key), bytes);
		},

		async list(prefix) {
			// Only the folder that the prefix names is walked: a store holds every artefact of every run.
			const folder = prefix.includes("/") ? locate(prefix.slice(0, prefix.lastIndexOf("/"))) : root;
			const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
				(error: NodeJS.ErrnoException) => {
					if (error.code === "ENOENT" || error.code === "ENOTDIR") return [];
					throw error;
				},
			);
			return entries
				.filter((entry) => entry.isFile() && !entry.name.startsWith("."))
				.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
				.filter((key) => key.startsWith(prefix))
				.sort();
		},
	};
}
