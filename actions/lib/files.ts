// Bytes become a file that is whole or absent.
import { randomUUID } from "node:crypto";
import { link, mkdir, open, rm } from "node:fs/promises";
import path from "node:path";

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
		await syncFolder(path.dirname(file));
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	} finally {
		await rm(beside, { force: true });
	}
}

/** Makes the names in a folder last: after a power cut a new name may be gone although its file was synced. */
export async function syncFolder(folder: string): Promise<void> {
	const handle = await open(folder, "r");
	try {
		await handle.sync();
	} finally {
		await handle.close();
	}
}

/** Whether a file or a folder is there that can be opened. */
export async function exists(file: string): Promise<boolean> {
	const handle = await open(file).catch(() => null);
	await handle?.close();
	return handle !== null;
}
