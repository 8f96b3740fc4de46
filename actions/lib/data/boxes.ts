// A frame's boxes become what is wrong with them: their category, their area, their place, and the convention that they seem to follow.
import { plainLine } from "../text/plain.ts";
import { notAmong } from "../text/problems.ts";

/** Characters that are told of a category: a line of a manifest may be one of megabytes. */
const MOST_CATEGORY = 80;

type Box = readonly [x1: number, y1: number, x2: number, y2: number];

/** Holds the boxes of a manifest to its data recipe and to their frames, whatever else is wrong with a line. */
export class Boxes {
	private readonly categories: readonly string[];
	private count = 0;
	private fractions = 0;
	/** The line of the first box; 0 before there is one, null once a box goes beyond 1, as those in pixels do. */
	private normalised: number | null = 0;

	constructor(categories: readonly string[]) {
		this.categories = categories;
	}

	/** What is wrong with a line's boxes. */
	check(value: unknown, line: number): string[] {
		const frame = (value ?? {}) as Unchecked;
		const labels: unknown[] = Array.isArray(frame.detection) ? frame.detection : [];
		return labels.flatMap((label, index) => {
			const { category, box } = (label ?? {}) as { category?: unknown; box?: unknown };
			const name = `detection.${index}`;
			const problems: string[] = [];
			if (typeof category === "string" && !this.categories.includes(category)) {
				const found = plainLine(category, MOST_CATEGORY);
				const allowed = notAmong(found, this.categories);
				problems.push(
					`${name}.category: found ${JSON.stringify(found)}, which the data recipe doesn't have; ${allowed}`,
				);
			}
			if (!isBox(box)) return problems;
			const size = sizeOf(frame);
			this.note(box, size, line);
			const [x1, y1, x2, y2] = box;
			if (x2 <= x1 || y2 <= y1)
				problems.push(`detection: the box ${JSON.stringify(box)} has no area; it must be x1, y1, x2, y2${hint(box)}`);
			else if (size && (x2 <= 0 || y2 <= 0 || x1 >= size.width || y1 >= size.height))
				problems.push(
					`detection: the box ${JSON.stringify(box)} lies outside of its frame of ${size.width} x ${size.height} pixels`,
				);
			return problems;
		});
	}

	/** Tells where all boxes of the manifest lie between 0 and 1, in frames of many pixels. */
	checkAll(tell: (line: number, message: string) => void): void {
		if (!this.normalised || this.fractions === 0) return;
		const what = this.count === 1 ? "the only box lies" : `all ${this.count} boxes lie`;
		tell(
			this.normalised,
			`detection: ${what} between 0 and 1, as if given in shares of the frame; a box must be x1, y1, x2, y2 in pixels: multiply by width and height`,
		);
	}

	private note(box: Box, size: Size | null, line: number): void {
		this.count += 1;
		if (this.normalised === 0) this.normalised = line;
		if (!size || size.width < 2 || size.height < 2 || box.some((side) => side < 0 || side > 1)) this.normalised = null;
		if (!box.every(Number.isInteger)) this.fractions += 1;
	}
}

/** A line of which nothing is known but that it is JSON. */
interface Unchecked {
	detection?: unknown;
	width?: unknown;
	height?: unknown;
}

interface Size {
	width: number;
	height: number;
}

function sizeOf({ width, height }: Unchecked): Size | null {
	return typeof width === "number" && typeof height === "number" ? { width, height } : null;
}

function isBox(box: unknown): box is Box {
	return Array.isArray(box) && box.length === 4 && box.every((side) => typeof side === "number");
}

/** The other convention, where a box that ends before it begins is one of it. */
function hint([x1, y1, x2, y2]: Box): string {
	const isBackwards = x2 < x1 || y2 < y1;
	if (!isBackwards || x2 <= 0 || y2 <= 0) return "";
	return `. As x, y, width, height it would be ${JSON.stringify([x1, y1, x1 + x2, y1 + y2])}`;
}
