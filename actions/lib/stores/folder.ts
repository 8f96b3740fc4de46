// A folder keeps documents and artefacts by key.
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import type { Store } from "../train/train.ts";

/** A store in a folder of this machine. */
export function folder(root: string): Store {
	const locate = (key: string) => {
		if (key === "" || path.isAbsolute(key) || key.split("/").includes(".."))
			throw new InvalidInput(`${JSON.stringify(key)} is no key of a store.`);
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
			const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
			return entries
				.filter((entry) => entry.isFile() && !entry.name.startsWith(".tmp-"))
				.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)).split(path.sep).join("/"))
				.filter((key) => key.startsWith(prefix))
				.sort();
		},
	};
}

/** Creates a file whole, or finds it there: a reader sees all of it or none, and of many writers one wins. */
export async function createFile(file: string, bytes: string | Uint8Array): Promise<boolean> {
	await mkdir(path.dirname(file), { recursive: true });
	const beside = path.join(path.dirname(file), `.tmp-${randomUUID()}`);
	try {
		const handle = await open(beside, "wx");
		try {
			await handle.writeFile(bytes);
			await handle.sync();
		} finally {
			await handle.close();
		}
		// A link, unlike a rename, fails where the name is taken.
		await link(beside, file);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	} finally {
		await rm(beside, { force: true });
	}
}
