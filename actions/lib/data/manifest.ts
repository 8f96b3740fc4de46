// A dataset's manifest becomes its frames, line by line, each held to the schema that the trainer reads too.
import path from "node:path";
import frameSchema from "../../../trainer/proving_ground/schemas/frame.schema.json" with { type: "json" };
import { InvalidInput } from "../errors.ts";
import { openRegular } from "../files.ts";
import validate from "../generated/validate_frame.js";
import { dayOf } from "../text/days.ts";
import { isUtf16, NO_UTF_8, UTF_16, withoutMark } from "../text/encoding.ts";
import { checkSchema } from "../text/problems.ts";
import { Boxes } from "./boxes.ts";
import type { Faults } from "./faults.ts";

/** A line of a manifest, as far as it is counted here. */
export interface Frame {
	/** Absent where a line has nothing but tracks. */
	"source-ref"?: string;
	/** Names a line that has nothing but tracks. */
	id?: string;
	"segmentation-ref"?: string | null;
	width?: number | null;
	height?: number | null;
	/** The drive that it was taken from. */
	sequence?: string | null;
	/** When it was taken: a day or a time. */
	captured?: unknown;
	attributes?: Record<string, string> | null;
	detection?: { category: string; box: number[]; crowd?: boolean }[] | null;
	lanes?: unknown[] | null;
	tracks?: { past: unknown[]; future: unknown[] }[] | null;
}

const NEWLINE = "\n".charCodeAt(0);
/** Lanes and tracks of a crowded frame take a hundredth of this. */
const MOST_LINE = 16 * 1024 * 1024;

const HOW_WITHOUT_LINKS =
	"If DVC made the link, run `dvc config cache.type reflink,copy`, then `dvc checkout --relink`.";

/** What a data recipe says of its manifests' labels. */
export interface Labels {
	/** Categories of boxes. */
	detection: readonly string[];
	/** Points of each track; null where they are not given, and all tracks of a file must have as many as its first. */
	tracks: { past: number; future: number } | null;
}

/** A frame and the number of its line, from 1. */
export interface Line {
	frame: Frame;
	number: number;
}

/** The frames of a manifest, one after the other; lines that can't be taken are told as faults. Throws InvalidInput where it is no regular file. */
export async function* readManifest(file: string, labels: Labels, faults: Faults): AsyncGenerator<Line> {
	const handle = await openRegular(path.dirname(file), path.basename(file)).catch((error: unknown) => {
		const isLink = error instanceof InvalidInput && error.message.includes("a link or a special file");
		throw isLink ? new InvalidInput(`${error.message} ${HOW_WITHOUT_LINKS}`) : error;
	});
	try {
		yield* readFrames(handle.createReadStream({ autoClose: false }), labels, (line, message) =>
			faults.add(file, line, message),
		);
	} finally {
		await handle.close();
	}
}

type Tell = (line: number, message: string) => void;

async function* readFrames(chunks: AsyncIterable<Buffer>, labels: Labels, tell: Tell): AsyncGenerator<Line> {
	const boxes = new Boxes(labels.detection);
	let tracks = labels.tracks && { points: pointsText(labels.tracks.past, labels.tracks.future), of: "the data recipe" };
	let isEmpty = true;
	let number = 0;
	for await (const bytes of linesOf(chunks, tell)) {
		number += 1;
		const value = parseLine(bytes, (message) => tell(number, message));
		if (value === BLANK) continue;
		isEmpty = false;
		if (value === undefined) continue;
		const problems = [...checkFrame(value), ...boxes.check(value, number)];
		for (const found of pointsOf(value as Frame)) {
			tracks ??= { points: found, of: "the file's first track" };
			if (found !== tracks.points) problems.push(`tracks: found ${found}; ${tracks.of} has ${tracks.points}`);
		}
		for (const message of problems) tell(number, message);
		if (problems.length === 0) yield { frame: value as Frame, number };
	}
	// Of what can't be split into lines that was told.
	if (isEmpty && number > 0) tell(1, "the manifest has no frames");
	boxes.checkAll(tell);
}

const BLANK = Symbol("blank");

/** What a line's JSON says; undefined where that was told to be wrong. */
function parseLine(bytes: Buffer, tell: (message: string) => void): unknown {
	let text: string;
	try {
		text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
	} catch {
		tell(NO_UTF_8);
		return undefined;
	}
	// The white space that both languages strip.
	if (/^[ \t\r\n\v\f]*$/.test(text)) return BLANK;
	try {
		return JSON.parse(text);
	} catch (error) {
		tell(`not JSON: ${(error as Error).message}`);
		return undefined;
	}
}

/** What the schema, and the calendar, have against a line. */
function checkFrame(value: unknown): string[] {
	if (isNameless(value)) return ["source-ref is missing; only a line with an id and tracks may leave it out"];
	const source = { file: "", text: "", value, problems: [], warnings: [], placeOf: () => ({ line: 1, column: 1 }) };
	const problems = checkSchema(source, validate, [frameSchema]).map(({ message }) => message);
	const { captured } = (value ?? {}) as Frame;
	if (typeof captured === "string" && dayOf(captured) === null) {
		const allowed = "a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z";
		problems.push(`captured: found ${JSON.stringify(captured)}; it must be ${allowed}`);
	}
	return problems;
}

/** How many points each track has, where a line has tracks. */
function pointsOf(value: Frame | null): Set<string> {
	const tracks = Array.isArray(value?.tracks) ? value.tracks : [];
	return new Set(
		tracks.flatMap((track) =>
			Array.isArray(track?.past) && Array.isArray(track.future)
				? [pointsText(track.past.length, track.future.length)]
				: [],
		),
	);
}

function pointsText(past: number, future: number): string {
	return `${past} past and ${future} future points`;
}

/** Tracks need no image: a line of them alone is named by its id. */
function isNameless(value: unknown): boolean {
	return (
		typeof value === "object" && !Array.isArray(value) && value !== null && !("source-ref" in value) && !("id" in value)
	);
}

/** The lines of a file, as long as none is longer than a frame can be: a line is kept in memory whole. */
async function* linesOf(chunks: AsyncIterable<Buffer>, tell: Tell): AsyncGenerator<Buffer> {
	let [number, length] = [1, 0];
	let parts: Buffer[] = [];
	let isFirst = true;
	for await (const read of chunks) {
		if (isFirst && isUtf16(read)) return tell(1, UTF_16);
		const chunk = isFirst ? withoutMark(read) : read;
		isFirst = false;
		for (let from = 0; ; ) {
			const end = chunk.indexOf(NEWLINE, from);
			const part = chunk.subarray(from, end < 0 ? chunk.length : end);
			parts.push(part);
			length += part.length;
			if (length > MOST_LINE) return tell(number, `the line has more than ${MOST_LINE} bytes`);
			if (end < 0) break;
			yield Buffer.concat(parts);
			[number, length, parts, from] = [number + 1, 0, [], end + 1];
		}
	}
	yield Buffer.concat(parts);
}
