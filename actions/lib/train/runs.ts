// A plan becomes its two runs: the training, and the evaluation of what it made against production.
import path from "node:path";
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

/** The evaluation of what the training made; throws ServiceError where that is gone. */
export async function evaluationRun(
	plan: Plan,
	{ store, resamples = 1000 }: TrainPorts,
): Promise<Run & { document: RunEvaluate }> {
	const { model, id } = plan.run;
	const key = modelKey(model, id);
	const manifest = await store.get(`${key}/manifest.json`);
	if (!manifest) throw new ServiceError("store", `${key}/manifest.json is gone, although the training succeeded.`);
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

/** The key of a finished evaluation that measured a model on the same frames by the same code; null where there is none. */
export async function measuredBefore(
	{ model, data, code, id }: RunEvaluate,
	{ run, manifest }: { run: RunId; manifest: string },
	store: Store,
): Promise<string | null> {
	const prefix = evaluationKey(model, run, "");
	const keys = new Set(await store.list(prefix));
	for (const key of keys) {
		const folder = path.posix.dirname(key);
		// The manifest is written last.
		if (path.posix.basename(key) !== "eval_report.json" || !keys.has(`${folder}/manifest.json`)) continue;
		if (folder === `${prefix}${id}`) continue;
		const report = await parseDocument("eval_report", (await store.get(key))!, key).catch((error: unknown) => {
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
