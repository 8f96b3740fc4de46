// The frames of each split become what the splits share: frames of the same content, and drives. What is trained on and tested on as well tells nothing.
import { sha256 } from "../documents.ts";
import type { PlanOverlap, PlanShared } from "../generated/documents.d.ts";
import { counted } from "../text/counted.ts";
import { code } from "../text/markdown.ts";
import { plainLine } from "../text/plain.ts";
import type { Frame } from "./manifest.ts";

type Split = "train" | "val" | "test";

/** What tells the frames and the drives of a split. */
export interface Members {
	/** Names of frames by the digest of their image, or of their line where they have none. */
	frames: ReadonlyMap<string, string>;
	/** Names of the frames whose content an earlier frame of the split has. */
	repeated: readonly string[];
	/** Drives that frames name. */
	sequences: ReadonlySet<string>;
}

/** A split's frames and drives; `content` has the digest of each image. */
export function membersOf(frames: readonly Frame[], content: ReadonlyMap<string, string>): Members {
	const known = new Map<string, string>();
	const repeated: string[] = [];
	const sequences = new Set<string>();
	for (const frame of frames) {
		const name = frame["source-ref"] ?? frame.id ?? "";
		const digest = content.get(frame["source-ref"] ?? "") ?? sha256(JSON.stringify(frame));
		if (known.has(digest)) repeated.push(name);
		else known.set(digest, name);
		if (typeof frame.sequence === "string") sequences.add(frame.sequence);
	}
	return { frames: known, repeated, sequences };
}

/** What is trained on with older data among it. */
export function joinMembers(own: Members, old: Members): Members {
	return {
		frames: new Map([...old.frames, ...own.frames]),
		repeated: own.repeated,
		sequences: new Set([...old.sequences, ...own.sequences]),
	};
}

/** The pairs of splits that must share nothing: what is in the first is also in the second. */
const PAIRS = [
	{ key: "test_in_train", one: "test", other: "train" },
	{ key: "val_in_train", one: "val", other: "train" },
	{ key: "test_in_val", one: "test", other: "val" },
] as const;

/** How many frames and drives the splits share. */
export function overlapOf(members: Record<Split, Members>, reason: string | null): PlanOverlap {
	const count = (of: (one: Members, other: Members) => readonly string[] | null) =>
		Object.fromEntries(
			PAIRS.map(({ key, one, other }) => [key, of(members[one], members[other])?.length ?? null]),
		) as unknown as PlanShared;
	return { frames: count(sharedFrames), sequences: count(sharedSequences), reason };
}

/** Names of the frames of one split whose content another has as well. */
function sharedFrames(one: Members, other: Members): string[] {
	return [...one.frames].flatMap(([digest, name]) => (other.frames.has(digest) ? [name] : []));
}

/** Drives of one split that another has as well; null where one of them names none, for then nobody knows. */
function sharedSequences(one: Members, other: Members): string[] | null {
	if (one.sequences.size === 0 || other.sequences.size === 0) return null;
	return [...one.sequences].filter((name) => other.sequences.has(name));
}

/** What two splits share, in words. */
export interface Sharing {
	/** The split that has it too. */
	other: Split;
	sentence: string;
}

/** Each pair of splits that share frames, or drives, with the first names. */
export function sharingOf(members: Record<Split, Members>): { frames: Sharing[]; sequences: Sharing[] } {
	const sentences = (what: string, of: (one: Members, other: Members) => readonly string[] | null) =>
		PAIRS.flatMap(({ one, other }) => {
			const shared = of(members[one], members[other]) ?? [];
			const words = `${counted(shared.length, what)} of ${one} ${areWord(shared.length)} also in ${other}`;
			return shared.length === 0 ? [] : [{ other, sentence: `${words} (${listNames(shared)})` }];
		});
	return { frames: sentences("frame", sharedFrames), sequences: sentences("drive", sharedSequences) };
}

/** Names that a sentence has, and characters of each: a line of a manifest may be one name of megabytes. */
const MOST_NAMES = 3;
const MOST_NAME = 80;

/** The first names of a list, and how many there are besides. */
export function listNames(names: readonly string[], most = MOST_NAMES): string {
	const more = names.length - most;
	const shown = names.slice(0, most).map((name) => plainLine(name, MOST_NAME));
	return `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** What the splits share, in a sentence for a reader. */
export function overlapText({ frames, sequences }: PlanOverlap): string {
	const parts = PAIRS.map(({ key, one, other }) => {
		const [shared, drives] = [frames[key] ?? 0, sequences[key]];
		const named = drives === null ? "" : ` and ${counted(drives, "drive")}`;
		return `${counted(shared, "frame")}${named} of ${one} ${named ? "are" : areWord(shared)} also in ${other}`;
	});
	const unknown = PAIRS.filter(({ key }) => sequences[key] === null).length;
	const rest = unknown === PAIRS.length ? "no drive is named" : "drives aren't counted where a split names none";
	return `${parts.join(", ")}${unknown === 0 ? "" : `; ${rest}`}`;
}

/** The same as Markdown, with why drives may be shared. */
export function overlapMarkdown(overlap: PlanOverlap): string {
	const why = overlap.reason === null ? "" : ` Drives may be shared: ${code(overlap.reason)}.`;
	return `${overlapText(overlap)}.${why}`;
}

function areWord(count: number): string {
	return count === 1 ? "is" : "are";
}
