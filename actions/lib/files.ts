// Bytes become a file that is whole or absent.
import { randomUUID } from "node:crypto";
import { access, constants, type FileHandle, link, lstat, mkdir, open, realpath, rename, rm } from "node:fs/promises";
import path from "node:path";
import { InvalidInput, ServiceError, toldByDisk } from "./errors.ts";

/** Creates a file whole, or finds it there: a reader sees all of it or none, and of many writers one wins. */
export async function createFile(file: string, bytes: string | Uint8Array): Promise<boolean> {
	// A link, unlike a rename, fails where the name is taken.
	return writeBeside(file, bytes, link).then(
		() => true,
		(error: NodeJS.ErrnoException) => {
			if (error.code === "EEXIST") return false;
			throw error;
		},
	);
}

/** Writes a file in the place of what is there: a reader sees the old one or the new one. */
export async function replaceFile(file: string, bytes: string | Uint8Array): Promise<void> {
	await writeBeside(file, bytes, rename);
}

async function writeBeside(
	file: string,
	bytes: string | Uint8Array,
	name: (beside: string, file: string) => Promise<void>,
): Promise<void> {
	const folder = path.dirname(file);
	await makeFolder(folder);
	const beside = path.join(folder, `.tmp-${randomUUID()}`);
	try {
		const handle = await open(beside, "wx");
		try {
			await handle.writeFile(bytes);
			await handle.sync();
		} finally {
			await handle.close();
		}
		await name(beside, file);
		await syncFolder(folder);
	} catch (error) {
		throw withPath(error, file);
	} finally {
		await rm(beside, { force: true });
	}
}

/** Makes a folder and those around it, where they are absent. */
export async function makeFolder(folder: string): Promise<void> {
	try {
		await mkdir(folder, { recursive: true });
	} catch (error) {
		// Of a disk that can't be written Node says that the folder isn't there: what is there says why.
		let around = path.resolve(folder);
		while (!(await exists(around)) && around !== path.dirname(around)) around = path.dirname(around);
		await access(around, constants.W_OK);
		throw error;
	}
}

/** An error with the file that it is of: a write that fails doesn't say. */
export function withPath(error: unknown, file: string): unknown {
	if (error instanceof Error && "syscall" in error && !("path" in error)) Object.assign(error, { path: file });
	return error;
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

/** Opens a regular file that lies inside a folder; throws InvalidInput for anything else: a link may lead to any file of this machine, and a pipe has no end. */
export async function openRegular(folder: string, file: string, shown = path.join(folder, file)): Promise<FileHandle> {
	const place = path.join(folder, file);
	const refuse = (why: string) => new InvalidInput(`${shown}: ${why}`);
	const unreadable = (error: NodeJS.ErrnoException) => {
		const told = toldByDisk(error);
		// A disk that fails is nobody's mistake in a file.
		throw told instanceof ServiceError ? told : refuse(`the file can't be read (${error.code}).`);
	};
	const found = await lstat(place).catch(unreadable);
	if (found.isDirectory()) throw refuse("this is a folder.");
	const isInside = !leadsOut(file) && (await realpath(place)) === path.join(await realpath(folder), file);
	if (!found.isFile() || !isInside) throw refuse("found a link or a special file; only regular files are read.");
	return open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(unreadable);
}

/** Whether a path from a folder is no path inside it. */
function leadsOut(file: string): boolean {
	const normal = path.normalize(file);
	return path.isAbsolute(file) || normal === ".." || normal.startsWith(`..${path.sep}`);
}

/** The bytes of a regular file inside a folder; throws InvalidInput where it is anything else, or has more than `most` bytes. */
export async function readRegular(folder: string, file: string, most: number, shown?: string): Promise<Buffer> {
	const handle = await openRegular(folder, file, shown);
	try {
		const { size } = await handle.stat();
		if (size > most)
			throw new InvalidInput(`${shown ?? path.join(folder, file)}: found ${size} bytes; at most ${most} are read.`);
		return await handle.readFile();
	} finally {
		await handle.close();
	}
}

/** The same of a file that may be absent: null where nothing has its name. */
export async function readRegularIfThere(folder: string, file: string, most: number): Promise<Buffer | null> {
	const isThere = await lstat(path.join(folder, file)).then(
		() => true,
		() => false,
	);
	return isThere ? readRegular(folder, file, most) : null;
}

/** Whether a file or a folder is there that can be opened. */
export async function exists(file: string): Promise<boolean> {
	const handle = await open(file).catch(() => null);
	await handle?.close();
	return handle !== null;
}
