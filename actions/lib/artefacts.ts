// A job's folder becomes the files that its manifest lists, each a regular file inside it with the digest that stands there.
import { createHash } from "node:crypto";
import { constants, type FileHandle, lstat, mkdir, open, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { parseDocument, sha256 } from "./documents.ts";
import { InvalidInput } from "./errors.ts";
import type { Manifest } from "./generated/documents.d.ts";

/** The name of the file that lists the others; a job writes it last. */
export const MANIFEST = "manifest.json";
/** No manifest is larger; what is was made to fill a memory. */
const MAX_MANIFEST = 16 * 1024 * 1024;

/** The files that a manifest lists; throws InvalidInput where it isn't the one of that digest, or no manifest at all. */
export async function parseManifest(bytes: Uint8Array, expected: string, where: string): Promise<Manifest["files"]> {
	const found = sha256(bytes);
	if (found !== expected) throw new InvalidInput(`${where}: found digest ${found}; expected ${expected}.`);
	const { files } = await parseDocument("manifest", bytes, where);
	const names = new Set(files.map(({ file }) => file));
	if (names.size < files.length) throw new InvalidInput(`${where}: it lists a file twice.`);
	return files;
}

/** Checks that a folder holds the files of the manifest with that digest, and no other; throws InvalidInput naming what differs. */
export async function verifyFolder(folder: string, manifest: string): Promise<void> {
	const files = await manifestOf(folder, manifest);
	const listed = new Set([MANIFEST, ...files.map(({ file }) => file)]);
	for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
		const file = path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join("/");
		if (!entry.isDirectory() && !listed.has(file))
			throw new InvalidInput(`${path.join(folder, file)}: the manifest doesn't list this file.`);
	}
	for (const listing of files) await readListed(folder, listing, async () => {});
}

/** Copies the manifest and the files that it lists, and nothing else; throws InvalidInput where what was copied isn't what it lists. */
export async function copyFolder(from: string, manifest: string, to: string): Promise<void> {
	const files = await manifestOf(from, manifest);
	await mkdir(to, { recursive: true });
	const own = { file: MANIFEST, sha256: manifest };
	for (const listing of [...files, own]) {
		const target = path.join(to, listing.file);
		await mkdir(path.dirname(target), { recursive: true });
		const copy = await open(target, "wx");
		try {
			await readListed(from, listing, (chunk) => copy.writeFile(chunk));
			await copy.sync();
		} finally {
			await copy.close();
		}
	}
	// What was read is hashed above; this hashes what was written.
	await verifyFolder(to, manifest);
}

async function manifestOf(folder: string, manifest: string): Promise<Manifest["files"]> {
	const place = path.join(folder, MANIFEST);
	const handle = await openRegular(folder, MANIFEST);
	try {
		const { size } = await handle.stat();
		if (size > MAX_MANIFEST) throw new InvalidInput(`${place}: found ${size} bytes; at most ${MAX_MANIFEST} are read.`);
		return await parseManifest(await handle.readFile(), manifest, place);
	} finally {
		await handle.close();
	}
}

/** Reads a file in pieces; throws InvalidInput where it isn't the one that is listed. */
async function readListed(
	folder: string,
	{ file, sha256: expected }: { file: string; sha256: string },
	take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
	const handle = await openRegular(folder, file);
	const hash = createHash("sha256");
	try {
		for await (const chunk of handle.createReadStream({ autoClose: false })) {
			hash.update(chunk);
			await take(chunk);
		}
	} finally {
		await handle.close();
	}
	const found = `sha256:${hash.digest("hex")}`;
	if (found !== expected)
		throw new InvalidInput(`${path.join(folder, file)}: found digest ${found}; the manifest lists ${expected}.`);
}

/** Opens a regular file that lies inside a folder: a link could lead to any file of this machine, and a pipe has no end. */
async function openRegular(folder: string, file: string): Promise<FileHandle> {
	const place = path.join(folder, file);
	const isRegular = await lstat(place).then(
		(found) => found.isFile(),
		(error: NodeJS.ErrnoException) => {
			throw new InvalidInput(`${place}: the file can't be read (${error.code}).`);
		},
	);
	const real = await realpath(place);
	if (!isRegular || real !== path.join(await realpath(folder), file))
		throw new InvalidInput(`${place}: found a link or a special file; only regular files are taken.`);
	return open(place, constants.O_RDONLY | constants.O_NOFOLLOW);
}
