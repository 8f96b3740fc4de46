// A dataset's manifest becomes its frames, line by line, each held to the schema that the trainer reads too.
import path from "node:path";
import frameSchema from "../../../trainer/proving_ground/schemas/frame.schema.json" with { type: "json" };
import { InvalidFile, InvalidInput } from "../errors.ts";
import { openRegular } from "../files.ts";
import validate from "../generated/validate_frame.js";
import { dayOf } from "../text/days.ts";
import { checkSchema } from "../text/problems.ts";

/** A line of a manifest, as far as it is counted here. */
export interface Frame {
	/** Absent where a line has nothing but tracks. */
	"source-ref"?: string;
	/** Names a line that has nothing but tracks. */
	id?: string;
	"segmentation-ref"?: string | null;
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

/** The frames of a manifest; throws InvalidFile with the line that can't be taken, InvalidInput where it is no regular file. */
export async function readManifest(file: string): Promise<Frame[]> {
	const handle = await openRegular(path.dirname(file), path.basename(file)).catch((error: unknown) => {
		const isLink = error instanceof InvalidInput && error.message.includes("a link or a special file");
		throw isLink ? new InvalidInput(`${error.message} ${HOW_WITHOUT_LINKS}`) : error;
	});
	try {
		return await readFrames(file, handle.createReadStream({ autoClose: false }));
	} finally {
		await handle.close();
	}
}

async function readFrames(file: string, chunks: AsyncIterable<Buffer>): Promise<Frame[]> {
	const frames: Frame[] = [];
	const refuse = (line: number, message: string) => new InvalidFile([{ file, line, column: 1, message }]);
	let number = 0;
	let points = "";
	for await (const line of linesOf(chunks, refuse)) {
		number += 1;
		const frame = readFrame(file, number, line, refuse);
		if (frame === null) continue;
		for (const { past, future } of frame.tracks ?? []) {
			const found = `${past.length} past and ${future.length} future points`;
			points ||= found;
			if (found !== points) throw refuse(number, `tracks: found ${found}; the file's first track has ${points}`);
		}
		frames.push(frame);
	}
	return frames;
}

/** The frame of a line; null for a blank one. */
function readFrame(
	file: string,
	number: number,
	bytes: Buffer,
	refuse: (line: number, message: string) => Error,
): Frame | null {
	let value: unknown;
	try {
		const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
		// The white space that both languages strip.
		if (/^[ \t\r\n\v\f]*$/.test(text)) return null;
		value = JSON.parse(text);
	} catch (error) {
		throw refuse(number, `not JSON: ${(error as Error).message}`);
	}
	if (isNameless(value))
		throw refuse(number, "source-ref is missing; only a line with an id and tracks may leave it out");
	const place = { line: number, column: 1 };
	const [problem] = checkSchema({ file, value, problems: [], placeOf: () => place }, validate, [frameSchema]);
	if (problem) throw new InvalidFile([problem]);
	const frame = value as Frame;
	for (const { box } of frame.detection ?? []) {
		const [x1 = 0, y1 = 0, x2 = 0, y2 = 0] = box;
		if (x2 <= x1 || y2 <= y1)
			throw refuse(number, `detection: the box ${JSON.stringify(box)} has no area; it must be x1, y1, x2, y2`);
	}
	if ((frame.captured ?? null) !== null && dayOf(frame.captured) === null) {
		const allowed = "a day or a time, such as 2026-11-01 or 2026-11-01T08:30:00Z";
		throw refuse(number, `captured: found ${JSON.stringify(frame.captured)}; it must be ${allowed}`);
	}
	return frame;
}

/** Tracks need no image: a line of them alone is named by its id. */
function isNameless(value: unknown): boolean {
	return (
		typeof value === "object" && !Array.isArray(value) && value !== null && !("source-ref" in value) && !("id" in value)
	);
}

/** The lines of a file, as long as none is longer than a frame can be: a line is kept in memory whole. */
async function* linesOf(
	chunks: AsyncIterable<Buffer>,
	refuse: (line: number, message: string) => Error,
): AsyncGenerator<Buffer> {
	let [number, length] = [1, 0];
	let parts: Buffer[] = [];
	for await (const chunk of chunks) {
		for (let from = 0; ; ) {
			const end = chunk.indexOf(NEWLINE, from);
			const part = chunk.subarray(from, end < 0 ? chunk.length : end);
			parts.push(part);
			length += part.length;
			if (length > MOST_LINE) throw refuse(number, `the line has more than ${MOST_LINE} bytes`);
			if (end < 0) break;
			yield Buffer.concat(parts);
			[number, length, parts, from] = [number + 1, 0, [], end + 1];
		}
	}
	yield Buffer.concat(parts);
}
