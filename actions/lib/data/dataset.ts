// A dataset's folder becomes its counts and the digest of its content; an importer makes it where it is absent.
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import path from "node:path";
import { digestStream, sha256, shortDigest } from "../documents.ts";
import { InvalidFile, InvalidInput } from "../errors.ts";
import { type Loaded, loadSlices, MOST_BYTES } from "../experiment/files.ts";
import { type Captured, isInside } from "../experiment/window.ts";
import { makeFolder, readRegularIfThere } from "../files.ts";
import type {
	Data,
	PlanSlice,
	PlanSource,
	PlanSplit,
	RunData,
	RunWindow,
	SliceFile,
} from "../generated/documents.d.ts";
import type { State } from "../state.ts";
import { dayOf } from "../text/days.ts";
import { parseYaml } from "../text/yaml.ts";
import { runTrainer, type Trainer } from "../trainer/trainer.ts";
import { fetchPinned, isFetched, isTrackedHere, sealPinned } from "./dvc.ts";
import { pinFolder } from "./dvc_files.ts";
import { knownPin, notePin, readPinned } from "./dvc_pin.ts";
import { Faults } from "./faults.ts";
import { findImported, isFolder, makeImported, SLICES, writeSlices } from "./imported.ts";
import { type Frame, readManifest } from "./manifest.ts";
import { type Members, membersOf } from "./overlap.ts";
import { refuseOutside } from "./place.ts";

const SPLITS = ["train", "val", "test"] as const;
type Split = (typeof SPLITS)[number];

const HEADS = ["detection", "segmentation", "lanes", "trajectory"] as const;

/** A frame by its name, and the digest of its line and of every file that the line names. */
export type TestFrame = readonly [name: string, digest: string];

/** What a dataset holds and the digest that names it. */
export interface Dataset {
	location: string;
	/** Where DVC has it from; null where the recipe names no `dvc`. */
	source: PlanSource | null;
	run: RunData;
	/** Digest of the manifests, the slices and every file that they name: the run's version, but for what the recipe says of masks. */
	content: string;
	splits: Record<Split, PlanSplit>;
	/** Frames of the whole training manifest that say when they were captured; null where none does. */
	captured: Captured | null;
	/** What tells the frames and the drives of each split. */
	members: Record<Split, Members>;
	/** Frames that have labels of each head, by split. */
	labelled: Record<Split, Record<(typeof HEADS)[number], number>>;
	slices: PlanSlice[];
	/** The file of the slices, as it is written. */
	sliceFile: { file: string; text: string };
	/** Frames of the test manifest, in its order. */
	test: TestFrame[];
}

export interface Preparation {
	/** Called when the dataset is about to be fetched or made, which takes a while, and with what an importer says at its end. */
	onMake?: (name: string, said?: string) => void;
	/** Days of which the training frames are counted; all of them where it is left out. */
	window?: RunWindow;
}

/** A recipe's dataset: fetched or made where it is absent, counted, and in shards where the recipe wants them; safe to repeat. */
export async function prepareDataset(
	places: { root: string; home: string; isApproved: boolean; state: State; trainer: Trainer },
	name: string,
	data: Loaded<Data>,
	{ onMake = () => {}, window }: Preparation = {},
): Promise<Dataset> {
	const recipe = data.value;
	const { state, trainer } = places;
	// What the base says as well is made as the base says it: by its files, with its configuration of DVC.
	const isKnown = places.isApproved || (await isOfBase(data, places));
	const root = isKnown && !places.isApproved ? places.home : places.root;
	await refuseOutside(data, { root, state });
	const source = recipe.dvc ? await (isKnown ? readPinned : knownPin)(root, state.folder, data) : null;
	if (recipe.dvc && !source) throw new NotMadeYet(data.source.file);
	let location = locationOf(recipe, source, { root, state });
	let slices = SLICES;
	const fetching = source && { root, state, location, data, source };
	if (fetching && isKnown) await fetchPinned(fetching, trainer, () => onMake(name));
	else if (fetching) {
		if (!(await isFetched(fetching))) throw new NotMadeYet(data.source.file);
	} else if (recipe.importer) {
		const found = await findImported(name, recipe, location);
		location = found.location;
		if (!found.isThere) {
			if (!isKnown) throw new NotMadeYet(data.source.file);
			onMake(name);
			onMake(name, await makeImported(recipe, location, trainer));
		}
		if (found.slices === null && !isKnown) throw new NotMadeYet(data.source.file);
		slices = found.slices ?? (await writeSlices(recipe, location));
	} else if (!(await isFolder(location))) {
		throw new InvalidInput(
			`${location}: the dataset of the data recipe ${name} isn't there, and the recipe names no importer to make it.`,
		);
	}
	const dataset = await readDataset(name, recipe, location, { source, window, slices });
	if (fetching) await sealPinned(fetching, dataset.content);
	if (fetching && isKnown) await notePin(state.folder, fetching.source);
	// A job may outlive the checkout whose link leads there.
	if (!recipe.shards) return { ...dataset, location: await realpath(location) };
	const digest = shortDigest(dataset.run.version);
	const shards = path.join(state.folder, "shards", `${name}-${digest}`);
	await makeFolder(path.dirname(shards));
	const own = slices === SLICES ? [] : ["--slices", slices];
	await runTrainer(trainer, ["shards", location, shards, "--megabytes", String(recipe.shards.megabytes), ...own], "");
	return { ...dataset, location: await realpath(shards) };
}

/** Data that are to be made or fetched by a recipe which nobody has approved yet: it could have any file of this machine read, or any program of DVC's configuration started. */
export class NotMadeYet extends InvalidInput {
	constructor(recipe: string) {
		super(`${recipe} differs from the base branch's: its data are made or fetched once the training is approved.`);
	}
}

/** Whether the base has the same recipe, and the same pin where DVC tracks its data. */
async function isOfBase(
	{ value, source }: Loaded<Data>,
	{ root, home }: { root: string; home: string },
): Promise<boolean> {
	const pin = value.dvc && "file" in value.dvc ? [String(value.dvc["file"])] : [];
	for (const file of [source.file, ...pin]) {
		const [own, known] = await Promise.all(
			[root, home].map((folder) => readRegularIfThere(folder, path.normalize(file), MOST_BYTES)),
		);
		if (!own || !known || !own.equals(known)) return false;
	}
	return true;
}

/**
 * Where a recipe's data lie: in the state folder, or where the recipe says. What DVC tracks in this repository lies in the
 * checkout where that keeps its own state. Elsewhere each pin has a folder of its own: nothing that a job reads is replaced.
 */
function locationOf(recipe: Data, source: PlanSource | null, { root, state }: { root: string; state: State }): string {
	if (source === null) return path.resolve(state.folder, recipe.location);
	if (isTrackedHere(state, source)) return path.resolve(root, recipe.location);
	return path.resolve(state.folder, source.repository === null ? "dvc" : recipe.location, pinFolder(source.md5));
}

/** Counts a dataset and takes its digest over every manifest, the slices and every file they refer to; throws InvalidFile with the problems of all manifests. */
export async function readDataset(
	name: string,
	recipe: Data,
	location: string,
	{
		source = null,
		window,
		slices = SLICES,
	}: { source?: PlanSource | null; window?: RunWindow | undefined; slices?: string } = {},
): Promise<Dataset> {
	const content = new Map<string, string>();
	const faults = new Faults();
	const frames = {} as Record<Split, Frame[]>;
	const manifests = {} as RunData["manifests"];
	for (const split of SPLITS) {
		const file = `golden_${split}.manifest`;
		frames[split] = await readSplit(path.join(location, file), recipe, content, faults);
		const digest = await digestFile(path.join(location, file));
		manifests[split] = { file, sha256: digest, frames: frames[split].length };
		content.set(file, digest);
	}
	faults.refuse();
	const slicesDigest = await digestFile(path.join(location, slices));
	content.set(SLICES, slicesDigest);
	const listing = [...content].sort(([a], [b]) => (a < b ? -1 : 1));
	const digest = sha256(JSON.stringify(listing));
	const { masks } = recipe;
	const isUsed = (frame: Frame) => !window || isInside(frame.captured, window);
	const used = { ...frames, train: frames.train.filter(isUsed) };
	const sliceFile = await loadSlices(path.join(location, slices));
	return {
		location,
		source,
		splits: ofSplits((split) => countFrames(used[split])),
		captured: spanOf(frames.train),
		labelled: ofSplits((split) => countLabelled(used[split])),
		members: ofSplits((split) => membersOf(used[split], content)),
		slices: countSlices(sliceFile.value.slices, frames.test),
		sliceFile: { file: sliceFile.source.file, text: sliceFile.source.text },
		test: listFrames(frames.test, content, masks),
		run: {
			name,
			// Masks that mean something else are other data: nothing that was measured on them before is taken for them.
			version: masks ? sha256(JSON.stringify([digest, masks])) : digest,
			dvc: source?.md5 ?? (await readPin(location)),
			manifests,
			slices: { file: slices, sha256: slicesDigest },
			categories: recipe.categories,
			tracks: recipe.tracks ?? null,
			...(masks && { masks }),
		},
		content: digest,
	};
}

function ofSplits<T>(of: (split: Split) => T): Record<Split, T> {
	return { train: of("train"), val: of("val"), test: of("test") };
}

/** The frames of a manifest, and the digest of each file that they name; what can't be taken is told as faults. */
async function readSplit(
	file: string,
	{ categories, tracks }: Data,
	content: Map<string, string>,
	faults: Faults,
): Promise<Frame[]> {
	const frames: Frame[] = [];
	for await (const { frame, number } of readManifest(
		file,
		{ detection: categories.detection, tracks: tracks ?? null },
		faults,
	)) {
		frames.push(frame);
		for (const key of ["source-ref", "segmentation-ref"] as const) {
			const reference = frame[key];
			if (typeof reference !== "string" || content.has(reference)) continue;
			const digest = await digestFile(path.join(path.dirname(file), reference)).catch((error: unknown) => {
				if (!(error instanceof Unreadable)) throw error;
				faults.add(file, number, `${key}: the file ${reference} ${error.why}`);
			});
			if (digest) content.set(reference, digest);
		}
	}
	return frames;
}

/** Frames by their names, each with the digest of its line, its files and what its mask means; of one that is listed twice each has a name of its own. */
function listFrames(frames: readonly Frame[], content: ReadonlyMap<string, string>, masks: Data["masks"]): TestFrame[] {
	const seen = new Map<string, number>();
	return frames.map((frame) => {
		const name = frame["source-ref"] ?? frame.id ?? "";
		const times = (seen.get(name) ?? 0) + 1;
		seen.set(name, times);
		const files = [frame["source-ref"], frame["segmentation-ref"]].map((file) => content.get(file ?? "") ?? null);
		const meaning = masks && frame["segmentation-ref"] ? [masks] : [];
		return [times === 1 ? name : `${name}#${times}`, sha256(JSON.stringify([frame, ...files, ...meaning]))];
	});
}

/** The days of the frames that say when they were captured. */
function spanOf(frames: Frame[]): Captured | null {
	const days = frames.flatMap((frame) => dayOf(frame.captured) ?? []);
	if (days.length === 0) return null;
	const [from, to] = days.reduce(
		([first, last], day) => [day < first! ? day : first!, day > last! ? day : last!],
		[days[0]!, days[0]!],
	);
	return { frames: days.length, from: from!, to: to! };
}

function countLabelled(frames: Frame[]): Dataset["labelled"][Split] {
	return {
		detection: frames.filter((frame) => frame.detection).length,
		segmentation: frames.filter((frame) => typeof frame["segmentation-ref"] === "string").length,
		lanes: frames.filter((frame) => frame.lanes).length,
		trajectory: frames.filter((frame) => frame.tracks && frame.tracks.length > 0).length,
	};
}

function countFrames(frames: Frame[]): PlanSplit {
	// Maps: a name from data may be that of something which every object inherits.
	const objects = new Map<string, number>();
	const attributes = new Map<string, Map<string, number>>();
	const count = (counts: Map<string, number>, name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
	for (const frame of frames) {
		for (const { category, crowd } of frame.detection ?? []) if (!crowd) count(objects, category);
		for (const [key, value] of Object.entries(frame.attributes ?? {})) {
			if (!attributes.has(key)) attributes.set(key, new Map());
			count(attributes.get(key)!, value);
		}
	}
	return {
		frames: frames.length,
		objects: Object.fromEntries(objects),
		attributes: Object.fromEntries([...attributes].map(([key, counts]) => [key, Object.fromEntries(counts)])),
	};
}

function countSlices(slices: SliceFile["slices"], frames: Frame[]): PlanSlice[] {
	return slices.map((slice) => {
		const chosen = frames.filter((frame) =>
			Object.entries(slice.where).every(([key, wanted]) =>
				[wanted].flat().includes(ownValue(frame.attributes ?? {}, key) ?? (Number.NaN as never)),
			),
		);
		const boxes = chosen.flatMap((frame) => frame.detection ?? []).filter((box) => !box.crowd);
		const category = slice.category ?? null;
		return {
			name: slice.name,
			where: slice.where,
			category,
			protected: slice.protected ?? false,
			frames: chosen.length,
			objects: boxes.filter((box) => category === null || box.category === category).length,
		};
	});
}

/** The value of a name from data; what every object inherits is none. */
export function ownValue<T>(values: Record<string, T>, name: string): T | undefined {
	return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** A file of a dataset that can't be digested. */
class Unreadable extends InvalidInput {
	/** What of the file keeps it from being read. */
	readonly why: string;

	constructor(file: string, why: string) {
		super(`${file}: the dataset names this file, but it ${why}.`);
		this.why = why;
	}
}

async function digestFile(file: string): Promise<string> {
	// A pipe or a device has no end.
	if ((await stat(file).catch(() => null))?.isFile() === false) throw new Unreadable(file, "is no regular file");
	try {
		return await digestStream(createReadStream(file));
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		throw new Unreadable(file, code === "ENOENT" ? "isn't there" : `can't be read (${code})`);
	}
}

/** The md5 that DVC pinned, read from the .dvc file beside the dataset without DVC; null where there is none. */
async function readPin(location: string): Promise<string | null> {
	const file = `${location}.dvc`;
	const bytes = await readRegularIfThere(path.dirname(location), path.basename(file), MOST_BYTES);
	if (bytes === null) return null;
	const source = parseYaml(file, bytes.toString("utf8"));
	const md5 = (source.value as { outs?: { md5?: unknown }[] } | undefined)?.outs?.[0]?.md5;
	if (source.problems.length > 0) throw new InvalidFile(source.problems);
	if (typeof md5 !== "string")
		throw new InvalidFile([
			{ file, line: 1, column: 1, message: "outs[0].md5 is missing, so this isn't the .dvc file of a dataset" },
		]);
	return md5;
}
