// What an experiment starts from, and what of it will be loaded: a version, production, a run or a place, named by digest.
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { digestRegular, MANIFEST } from "../artefacts.ts";
import { documentText, sha256 } from "../documents.ts";
import { InvalidFile, InvalidInput } from "../errors.ts";
import type { ResolvedExperiment } from "../experiment/resolved.ts";
import type { PlanTransfer, RunTrain } from "../generated/documents.d.ts";
import { notAmong, problemAt } from "../text/problems.ts";
import { escapePointer } from "../text/yaml.ts";
import { runTrainer, type Trainer } from "../trainer/trainer.ts";
import type { Start } from "./plan.ts";
import type { Registry, Version } from "./registry.ts";
import { modelKey, type Store } from "./store.ts";

type History = Awaited<ReturnType<Registry["history"]>>;

/** Finds what the experiment's `weights` name; null where it has none. Throws InvalidFile on the author's line. */
export async function findWeights(
	{ experiment }: ResolvedExperiment,
	{ versions, approvals }: History,
	{ store, root }: { store: Store; root: string },
): Promise<Start | null> {
	const wanted = experiment.value.weights;
	if (!wanted) return null;
	const { model } = experiment.value;
	const refuse = (pointer: string, message: string) =>
		new InvalidFile([problemAt(experiment.source, `/weights${pointer}`, message)]);
	const how = { file: "weights.safetensors", rename: wanted.rename ?? {}, leave: wanted.leave ?? [] };
	const ofVersion = ({ entry, location }: Version, from: string): Start => ({
		...how,
		location,
		from,
		manifest: entry.manifest,
	});
	if (wanted.version !== undefined || wanted.production) {
		const version = wanted.version ?? approvals.at(-1)?.version;
		if (version === undefined) throw refuse("/production", `${model} has no production model yet`);
		const found = versions.find(({ entry }) => entry.version === version);
		const known = versions.map(({ entry }) => entry.version).join(", ") || "none yet";
		if (!found) throw refuse("/version", `${model} has no version ${version}; its versions: ${known}`);
		return ofVersion(found, wanted.production ? `production (version ${version})` : `version ${version}`);
	}
	if (wanted.run !== undefined) {
		const key = modelKey(model, wanted.run);
		const manifest = await store.get(`${key}/${MANIFEST}`);
		if (!manifest) {
			const known = await finishedRuns(store, model);
			throw refuse("/run", `${model} has no finished run ${wanted.run}; ${notAmong(wanted.run, known, "its runs")}`);
		}
		return { ...how, location: store.locate(key), from: `run ${wanted.run}`, manifest: sha256(manifest) };
	}
	const place = await openPlace(root, wanted.uri ?? "").catch((error: Error) => {
		throw refuse("/uri", `weights.uri: ${error.message}`);
	});
	const what = path.basename(place.digested);
	const found = await digestRegular(path.dirname(place.digested), what).catch((error: Error) => {
		throw refuse("/uri", `weights.uri: ${error.message} Copy the file, or name the one that the link leads to.`);
	});
	// The digest that is there stays untold: the path may be of any file on this machine.
	if (found !== wanted.sha256)
		throw refuse("/sha256", `weights.sha256: found ${wanted.sha256}; ${what} has another digest`);
	return { ...how, file: place.file, location: place.folder, from: wanted.uri ?? "", manifest: found };
}

/** Asks the trainer what would be loaded; what doesn't fit is thrown as InvalidFile on the author's line. */
export async function describeTransfer(
	trainer: Trainer,
	run: RunTrain,
	location: string,
	{ experiment }: ResolvedExperiment,
): Promise<PlanTransfer> {
	const folder = await mkdtemp(path.join(tmpdir(), "weights-"));
	try {
		const document = path.join(folder, "run.json");
		await writeFile(document, documentText(run));
		const said = await runTrainer(trainer, ["describe", "--document", document, "--weights", location], "");
		return JSON.parse(said) as PlanTransfer;
	} catch (error) {
		if (!(error instanceof InvalidInput)) throw error;
		const lines = error.message.split("\n").filter((line) => line !== "The weights to start from don't fit:");
		throw new InvalidFile(lines.map((line) => problemAt(experiment.source, pointerOf(line), line, "key")));
	} finally {
		await rm(folder, { recursive: true });
	}
}

function pointerOf(line: string): string {
	const [, renamed] = /^weights\.rename: .* begins with (.+)$/.exec(line) ?? [];
	if (renamed) return `/weights/rename/${escapePointer(renamed)}`;
	return line.startsWith("weights.leave:") ? "/weights/leave" : "/weights";
}

async function finishedRuns(store: Store, model: string): Promise<string[]> {
	const keys = await store.list(`models/${model}/`);
	return keys.filter((key) => key.endsWith("/model/manifest.json")).map((key) => key.split("/")[2]!);
}

/** A model's folder, whose manifest is digested, or one file of weights. */
async function openPlace(root: string, uri: string): Promise<{ folder: string; file: string; digested: string }> {
	if (/^[a-z][a-z0-9+.-]*:/i.test(uri) && !uri.startsWith("file://"))
		throw new Error(`found ${uri}; allowed: a path from the repository's root, or a file:// URI`);
	const place = uri.startsWith("file://") ? fileURLToPath(uri) : path.resolve(root, uri);
	const found = await stat(place).catch(() => null);
	if (!found) throw new Error(`found ${uri}; nothing is there`);
	if (!found.isDirectory()) return { folder: path.dirname(place), file: path.basename(place), digested: place };
	const digested = path.join(place, MANIFEST);
	if (!(await stat(digested).catch(() => null)))
		throw new Error(`found ${uri}, a folder without manifest.json, so it isn't a model's`);
	return { folder: place, file: "weights.safetensors", digested };
}
