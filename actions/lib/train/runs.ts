// A plan becomes its two runs: the training, and the evaluation of what it made against production.
import path from "node:path";
import { MANIFEST, parseManifest } from "../artefacts.ts";
import { isOtherExam } from "../data/test_split.ts";
import { parseDocument, sha256 } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import type { EvalReport, Plan, RunEvaluate } from "../generated/documents.d.ts";
import { identify, type RunId } from "../plan/identity.ts";
import { evaluationKey, modelKey, type Store } from "../plan/store.ts";
import type { Run, TrainPorts } from "./executor.ts";

/** The evaluation's document: the very artefacts that were trained, against the baseline's, on the test manifest. */
export function evaluationOf(plan: Plan, manifest: string, resamples: number): RunEvaluate {
	const { run, baseline } = plan;
	return identify<RunEvaluate>({
		schema: 1,
		kind: "evaluate",
		id: "",
		experiment: run.experiment,
		model: run.model,
		processes: run.processes,
		data: run.data,
		candidate: { run: run.id, manifest },
		production: baseline && { version: baseline.version, run: baseline.run, manifest: baseline.manifest },
		code: run.code,
		resamples,
		seed: run.seed,
		...addedTo(plan),
	});
}

/** Frames that came to production's: they are scored apart, and where it's another exam altogether all frames count. */
function addedTo({ data: { test } }: Plan): Pick<RunEvaluate, "added"> {
	const [first, ...rest] = isOtherExam(test.change) ? [] : (test.change?.added ?? []);
	return first ? { added: [first, ...rest] } : {};
}

/** The training, and the places it needs. */
export function trainingRun(plan: Plan, store: Store): Run {
	const { run, machine, baseline, weights, replay } = plan;
	return {
		document: run,
		machine,
		data: plan.data.location,
		conditions: plan.conditions,
		inputs: {
			...(weights ? { weights: weights.location } : {}),
			...(replay ? { replay: replay.location } : {}),
			// What it is guarded by: production's latency and the profile of its data.
			...(baseline ? { production: baseline.location } : {}),
		},
		checkpoints: {
			...(machine.fast_storage ? { fast: path.join(machine.fast_storage, run.id) } : {}),
			durable: store.locate(`models/${run.model}/${run.id}/checkpoints`),
		},
		output: store.locate(modelKey(run.model, run.id)),
	};
}

/** The evaluation of what the training made; throws ServiceError where that is gone, InvalidInput where its manifest is none. */
export async function evaluationRun(
	plan: Plan,
	{ store, resamples = 1000 }: TrainPorts,
): Promise<Run & { document: RunEvaluate }> {
	const { model, id } = plan.run;
	const key = modelKey(model, id);
	const manifest = await store.get(`${key}/${MANIFEST}`);
	if (!manifest) throw new ServiceError("store", `${key}/${MANIFEST} is gone, although the training succeeded.`);
	// Of a manifest that was cut on its way nothing is to be measured.
	await parseManifest(manifest, sha256(manifest), `${key}/${MANIFEST}`);
	const document = evaluationOf(plan, sha256(manifest), resamples);
	return {
		document,
		machine: plan.machine,
		data: plan.data.location,
		conditions: plan.conditions,
		inputs: {
			candidate: store.locate(key),
			...(plan.baseline ? { production: plan.baseline.location } : {}),
		},
		checkpoints: {},
		output: store.locate(evaluationKey(model, id, document.id)),
	};
}

/** The key of an evaluation that measured a model on the same frames by the same code, and that the registry holds to its bytes; null where there is none. Throws InvalidInput where the store's bytes are others. */
export async function measuredBefore(
	{ model, data, code, id }: RunEvaluate,
	{ run, manifest }: { run: RunId; manifest: string },
	{ store, registry }: Pick<TrainPorts, "store" | "registry">,
): Promise<string | null> {
	const prefix = evaluationKey(model, run, "");
	const evaluations = new Set((await store.list(prefix)).map((key) => key.slice(prefix.length).split("/")[0]!));
	for (const evaluation of evaluations) {
		if (evaluation === id) continue;
		const known = await registry.noted(model, evaluation);
		// Nobody vouches for it.
		if (known === null) continue;
		const folder = `${prefix}${evaluation}`;
		const bytes = await readKnown(folder, known, store);
		if (!bytes) continue;
		const key = `${folder}/${EVAL_REPORT}`;
		const report = await parseDocument("eval_report", bytes, key).catch((error: unknown) => {
			// What another version of this tool has written is not read; measuring anew costs time alone.
			if (error instanceof InvalidInput) return null;
			throw error;
		});
		const isOfThis = (kept: EvalReport["statistics"][number]) =>
			kept.model === manifest &&
			kept.data === data.version &&
			kept.frames === data.manifests.test.sha256 &&
			kept.code === code;
		if (report?.statistics.some(isOfThis)) return folder;
	}
	return null;
}

const EVAL_REPORT = "eval_report.json";

/** The report of an evaluation that is known by its manifest, by which the job checks the statistics; null where the store has it no more. */
async function readKnown(folder: string, known: string, store: Store) {
	const listing = await store.get(`${folder}/${MANIFEST}`);
	if (!listing) return null;
	const mend = `Remove ${store.locate(folder)}, and the model is measured anew.`;
	if (sha256(listing) !== known)
		throw new InvalidInput(
			`${folder}/${MANIFEST}: found digest ${sha256(listing)}; the registry knows this evaluation by ${known}. ${mend}`,
		);
	const files = await parseManifest(listing, known, `${folder}/${MANIFEST}`);
	const listed = files.find(({ file }) => file === EVAL_REPORT)?.sha256;
	const bytes = await store.get(`${folder}/${EVAL_REPORT}`);
	if (!bytes) return null;
	if (sha256(bytes) !== listed)
		throw new InvalidInput(
			`${folder}/${EVAL_REPORT}: found digest ${sha256(bytes)}; its manifest lists ${listed ?? "no such file"}. ${mend}`,
		);
	return bytes;
}
