// An importer's settings, and the sources that a dataset was made from, become the folder and the slices of that dataset as they are now.
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { digestStream, documentText, sha256, shortDigest } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { createFile, exists, makeFolder, readRegularIfThere } from "../files.ts";
import type { Data } from "../generated/documents.d.ts";
import { runTrainer, type Trainer } from "../trainer/trainer.ts";

/** Where a dataset has its slices, unless its recipe has others since. */
export const SLICES = "slices.yaml";
/** It has a line for each image: a hundred bytes for each of two million. */
const MOST_RECORD = 256 * 1024 * 1024;
/** Sources that are looked at side by side. */
const AT_ONCE = 64;
/** In a double-quoted string of YAML these are line breaks, or none of its characters. */
const ESCAPED = /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g;

/** What importer.json says: the settings, and what the sources were, each by its digest, or an image by its bytes. */
interface Made {
	settings: Record<string, unknown>;
	slices: unknown;
	sources: Record<string, string | number>;
}

/**
 * Where the dataset of a recipe's importer lies, or is to be made: at its location, or beside it where a source has changed
 * since, with the file that has the recipe's slices: null where that is to be written. Nothing that a job reads is replaced. A
 * source that is gone has not changed. Throws InvalidInput for other settings.
 */
export async function findImported(
	name: string,
	recipe: Data,
	location: string,
): Promise<{ location: string; isThere: boolean; slices: string | null }> {
	const { slices, ...settings } = settingsOf(recipe);
	const seen = new Set<string>();
	for (let place = location; ; seen.add(place)) {
		if (!(await isFolder(place))) return { location: place, isThere: false, slices: SLICES };
		const made = await readMade(place);
		if (made === null) return { location: place, isThere: true, slices: SLICES };
		if (!isDeepStrictEqual(made.settings, settings))
			throw new InvalidInput(
				`${place} was made with other importer settings than the data recipe ${name} has now. Delete the folder to make it again, or give the recipe another location.`,
			);
		const now = await lookAt(made.sources);
		const changed = Object.keys(now).find((file) => now[file] !== made.sources[file]);
		if (changed === undefined) return { location: place, isThere: true, slices: await findSlices(slices, made, place) };
		place = `${location}-${shortDigest(sha256(JSON.stringify(now)))}`;
		if (seen.has(place))
			throw new InvalidInput(
				`${place}: ${changed} changed while the dataset was made from it. Delete the folder to make it again.`,
			);
	}
}

/** Makes the dataset of a recipe's importer; returns what was written and left out, a line for each split. */
export async function makeImported(recipe: Data, location: string, trainer: Trainer): Promise<string> {
	const spec = settingsOf(recipe);
	await makeFolder(path.dirname(location));
	const args = ["import", String(spec["name"]), "--spec", "-", "--out", location];
	return (await runTrainer(trainer, args, documentText(spec))).trim();
}

/** The file in an imported dataset that has these slices; null where that is to be written. */
async function findSlices(slices: unknown, made: Made, location: string): Promise<string | null> {
	if (slices === undefined || isDeepStrictEqual(made.slices, slices)) return SLICES;
	const file = nameSlices(slices);
	return (await exists(path.join(location, file))) ? file : null;
}

/** Writes the slices of a recipe into its dataset, in a file of their own: jobs read those that were there. Safe to repeat. */
export async function writeSlices(recipe: Data, location: string): Promise<string> {
	const { slices } = settingsOf(recipe);
	const file = nameSlices(slices);
	await createFile(path.join(location, file), slicesText(slices));
	return file;
}

function nameSlices(slices: unknown): string {
	return `slices-${shortDigest(sha256(slicesText(slices)))}.yaml`;
}

/** Text that both languages read alike: every string in quotes. */
function slicesText(slices: unknown): string {
	const text = stringify({ slices }, { defaultStringType: "QUOTE_DOUBLE", aliasDuplicateObjects: false, lineWidth: 0 });
	return text.replace(ESCAPED, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** What an importer is told. */
function settingsOf(recipe: Data): Record<string, unknown> {
	const { importer, categories, masks } = recipe;
	// Masks of an index keep their values, and are looked at as the recipe reads them.
	return { ...importer, categories, ...(masks && importer?.name === "index" && { masks }) };
}

/** How a dataset was made; null where nothing says so: somebody else has put it there. */
async function readMade(location: string): Promise<Made | null> {
	const bytes = await readRegularIfThere(location, "importer.json", MOST_RECORD);
	if (bytes === null) return null;
	try {
		const { slices, sources = {}, counts: _, notes: __, ...settings } = JSON.parse(bytes.toString("utf8"));
		return { settings, slices, sources };
	} catch (error) {
		throw new InvalidInput(`${path.join(location, "importer.json")}: not JSON: ${(error as Error).message}`);
	}
}

/** What sources are now; one that is gone, or can't be read, is as it was. */
async function lookAt(sources: Made["sources"]): Promise<Made["sources"]> {
	const now: [string, string | number][] = [];
	const entries = Object.entries(sources);
	for (let from = 0; from < entries.length; from += AT_ONCE) {
		const some = entries.slice(from, from + AT_ONCE);
		now.push(
			...(await Promise.all(
				some.map(async ([file, was]) => [file, await look(file, was).catch(() => was)] as [string, string | number]),
			)),
		);
	}
	return Object.fromEntries(now);
}

async function look(file: string, was: string | number): Promise<string | number> {
	const found = await stat(file);
	if (found.isDirectory()) return sha256(Buffer.concat(await namesIn(file)));
	// A pipe or a device has no end.
	if (!found.isFile()) return was;
	if (typeof was === "number") return found.size;
	return digestStream(createReadStream(file));
}

/** Names of all files in a folder, hidden ones apart, in the order of their bytes, a line each, as the trainer digests them. */
async function namesIn(folder: string): Promise<Buffer[]> {
	const entries = await readdir(folder, { recursive: true, withFileTypes: true });
	const names: Buffer[] = [];
	for (const entry of entries) {
		if (entry.name.startsWith(".")) continue;
		const file = path.join(entry.parentPath, entry.name);
		if ((await stat(file).catch(() => null))?.isFile())
			names.push(Buffer.from(path.relative(folder, file).split(path.sep).join("/")));
	}
	return names.sort(Buffer.compare).flatMap((name, index) => (index === 0 ? [name] : [Buffer.from("\n"), name]));
}

export async function isFolder(location: string): Promise<boolean> {
	return (await stat(location).catch(() => null))?.isDirectory() ?? false;
}
