// A job's folder becomes the files that its manifest lists, each a regular file inside it with the digest that stands there.
import { createHash } from "node:crypto";
import { open, readdir } from "node:fs/promises";
import path from "node:path";
import { parseDocument, sha256 } from "./documents.ts";
import { InvalidInput } from "./errors.ts";
import { makeFolder, openRegular, readRegular, withPath } from "./files.ts";
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
	await makeFolder(to);
	const own = { file: MANIFEST, sha256: manifest };
	for (const listing of [...files, own]) {
		const target = path.join(to, listing.file);
		await makeFolder(path.dirname(target));
		const copy = await open(target, "wx");
		try {
			await readListed(from, listing, (chunk) => copy.writeFile(chunk));
			await copy.sync();
		} catch (error) {
			throw withPath(error, target);
		} finally {
			await copy.close();
		}
	}
	// What was read is hashed above; this hashes what was written.
	await verifyFolder(to, manifest);
}

async function manifestOf(folder: string, manifest: string): Promise<Manifest["files"]> {
	return parseManifest(await readRegular(folder, MANIFEST, MAX_MANIFEST), manifest, path.join(folder, MANIFEST));
}

/** Digest of a regular file that lies inside a folder; throws InvalidInput for anything else. */
export async function digestRegular(folder: string, file: string): Promise<string> {
	return readInPieces(folder, file, async () => {});
}

/** Reads a file in pieces; throws InvalidInput where it isn't the one that is listed. */
async function readListed(
	folder: string,
	{ file, sha256: expected }: { file: string; sha256: string },
	take: (chunk: Uint8Array) => Promise<void>,
): Promise<void> {
	const found = await readInPieces(folder, file, take);
	if (found !== expected)
		throw new InvalidInput(`${path.join(folder, file)}: found digest ${found}; the manifest lists ${expected}.`);
}

async function readInPieces(folder: string, file: string, take: (chunk: Uint8Array) => Promise<void>): Promise<string> {
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
	return `sha256:${hash.digest("hex")}`;
}
