// What DVC has written beside the data (`.dvc` files, `dvc.lock`) becomes the pin of a folder, or of one inside it.
import path from "node:path";
import { type ParseOptions, parse as parseAny, type ToJSOptions } from "yaml";
import { sha256, shortDigest } from "../documents.ts";
import { InvalidFile } from "../errors.ts";
import { parseYaml } from "../text/yaml.ts";

/** Sizes in bytes. A pipeline of thousands of stages has a lock of a megabyte; only the stages that matter are parsed. */
const MOST_LOCK = 16 * 1024 * 1024;
const MOST_PIPELINE = 1024 * 1024;

/** How DVC names the content of a folder. */
const WHOLE = /^[0-9a-f]{32}\.dir$/;

/** Whether it is how DVC names the content of a folder, and behind it a path inside. */
export function isPin(md5: string): boolean {
	return WHOLE.test(md5.split("/")[0]!);
}

/** The pin of what lies at a path inside a folder; empty for all of it. */
export function pinInside(md5: string, inside: string): string {
	return inside === "" ? md5 : `${md5}/${inside}`;
}

/** The path inside of the pinned folder; empty where it is all of it. */
export function insideOfPin(md5: string): string {
	return md5.split("/").slice(1).join("/");
}

/** A name of its own for each pin, as a folder can have it. */
export function pinFolder(md5: string): string {
	const [whole = "", ...inside] = md5.split("/");
	return inside.length === 0 ? whole : `${whole}-${shortDigest(sha256(inside.join("/")))}`;
}

/** Files of a commit. */
export interface Committed {
	files: ReadonlySet<string>;
	read(file: string): Promise<string>;
	/** The repository and its revision, in words. */
	where: string;
}

/** The pin of a path, from the .dvc file of it or of a folder around it, or from the dvc.lock of a pipeline that makes one of them; null where there is none. */
export async function pinOf(tracked: string, { files, read, where }: Committed): Promise<string | null> {
	for (let folder = tracked; folder !== "."; folder = path.posix.dirname(folder)) {
		const beside = `${folder}.dvc`;
		if (!files.has(beside)) continue;
		const found = parseTracked(`${beside} of ${where}`, await read(beside), path.posix.dirname(beside));
		const inside = insideOf(found.folder, tracked);
		if (inside !== null) return pinInside(found.md5, inside);
	}
	for (let folder = path.posix.dirname(tracked); ; folder = path.posix.dirname(folder)) {
		const lock = path.posix.join(folder, "dvc.lock");
		if (files.has(lock)) {
			const pipeline = path.posix.join(folder, "dvc.yaml");
			const stages = files.has(pipeline) ? parsePipeline(`${pipeline} of ${where}`, await read(pipeline)) : {};
			const pin = lockedPin(`${lock} of ${where}`, await read(lock), { tracked, folder, stages });
			if (pin !== null) return pin;
		}
		if (folder === ".") return null;
	}
}

/** The path from a folder to what lies in it, empty for itself; null where it lies elsewhere. */
export function insideOf(folder: string, place: string): string | null {
	if (place === folder) return "";
	return place.startsWith(`${folder}/`) ? place.slice(folder.length + 1) : null;
}

/** The stages that a pipeline writes out, of which only their folders matter. Whoever wants the data can't change it: anchors and merge keys are fine. */
function parsePipeline(file: string, text: string): Record<string, unknown> {
	return /\bwdir\b/.test(text) ? mapping(mapping(parseLeniently(file, text, MOST_PIPELINE))["stages"]) : {};
}

function lockedPin(
	file: string,
	text: string,
	{ tracked, folder, stages }: { tracked: string; folder: string; stages: Record<string, unknown> },
): string | null {
	for (const [name, locked] of lockedStages(file, text, tracked)) {
		// A stage that is one of many is called name@item.
		const stage = mapping(stages[name.split("@")[0]!]);
		const from = path.posix.join(folder, string(stage["wdir"]) ?? string(mapping(stage["do"])["wdir"]) ?? ".");
		const { outs } = mapping(locked);
		for (const out of (Array.isArray(outs) ? outs : []).map(mapping)) {
			const made = string(out["path"]);
			const inside = made === undefined ? null : insideOf(path.posix.join(from, made), tracked);
			if (inside !== null) return pinInside(checkMd5(file, out), inside);
		}
	}
	return null;
}

/** A lock's stages of which an output may be the path, or around it. DVC writes each by two spaces: the parser would take a second for a megabyte of them. */
function* lockedStages(file: string, text: string, tracked: string): Generator<[string, unknown]> {
	checkSize(file, text, MOST_LOCK);
	const names = tracked.split("/").map((name) => name.replaceAll(/[^\w-]/g, "\\$&"));
	const isNear = new RegExp(`path: ['"]?(?:[^'"\\n]*/)?(?:${names.join("|")})/?['"]?\\s*(?:$|[,}#])`, "m");
	const starts = [...text.matchAll(/^ {2}[^ \n]/gm)].map(({ index }) => index);
	// Whoever writes one by hand may write it otherwise.
	if (starts.length === 0) yield* Object.entries(mapping(mapping(parseLeniently(file, text, MOST_PIPELINE))["stages"]));
	for (const [at, start] of starts.entries()) {
		const block = text.slice(start, starts[at + 1]);
		if (isNear.test(block)) yield* Object.entries(mapping(parseLeniently(file, block, MOST_LOCK)));
	}
}

/** The one folder that a .dvc file tracks, from the repository's root, and its pin. */
export function parseTracked(file: string, written: string, from: string): { folder: string; md5: string } {
	const { value, problems } = parseYaml(file, written);
	if (problems.length > 0) throw new InvalidFile(problems);
	const { outs, wdir } = mapping(value);
	const [first, ...others] = Array.isArray(outs) ? outs : [];
	const out = mapping(first);
	const folder = string(out["path"]);
	if (folder === undefined || others.length > 0)
		throw refused(file, "this isn't the .dvc file of one folder: it must have exactly one item in outs");
	return { folder: path.posix.join(from, string(wdir) ?? ".", folder), md5: checkMd5(file, out) };
}

function checkMd5(file: string, { md5, files }: Record<string, unknown>): string {
	if (typeof md5 === "string" && WHOLE.test(md5)) return md5;
	if (md5 === undefined && Array.isArray(files))
		throw refused(
			file,
			"it lists versions of files that a remote keeps: cloud versioning (version_aware) isn't supported; push the data to a remote without it",
		);
	const found = typeof md5 === "string" ? md5 : "nothing";
	throw refused(file, `md5: found ${found}; it must be 32 hexadecimal digits and .dir, the pin of a folder`);
}

/** A file of another repository as plain values, whatever YAML it is. */
function parseLeniently(file: string, text: string, most: number): unknown {
	checkSize(file, text, most);
	const options: ParseOptions & ToJSOptions = { uniqueKeys: false, maxAliasCount: 10_000 };
	try {
		return parseAny(text, { ...options, merge: true, logLevel: "error" });
	} catch (error) {
		throw refused(file, `not YAML: ${(error as Error).message.split("\n")[0]}`);
	}
}

function checkSize(file: string, text: string, most: number): void {
	const bytes = Buffer.byteLength(text);
	if (bytes > most) throw refused(file, `the file has ${bytes} bytes; at most ${most} are read`);
}

function refused(file: string, message: string): InvalidFile {
	return new InvalidFile([{ file, line: 1, column: 1, message }]);
}

/** What another repository's file says is any YAML. */
function mapping(value: unknown): Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function string(value: unknown): string | undefined {
	return typeof value === "string" ? value : undefined;
}
