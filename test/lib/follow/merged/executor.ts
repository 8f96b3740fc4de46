// An executor whose jobs end as they begin, with the artefacts that the trainer would leave in the store.
import { documentText, sha256 } from "../../../../actions/lib/documents.ts";
import type { EvalReport, RunEvaluate, RunTrain } from "../../../../actions/lib/generated/documents.d.ts";
import { evaluationKey, modelKey, type Store } from "../../../../actions/lib/plan/store.ts";
import type { Executor, Job, Run } from "../../../../actions/lib/train/executor.ts";
import { makeEvaluation, makeFigures, makeScore, spreadOf } from "../../../fixtures/evaluation.ts";
import { manifestText } from "../../../fixtures/judged.ts";
import { makeJob, makePlan } from "../../../fixtures/plan.ts";

export interface InstantExecutor extends Executor {
	/** The runs that it was asked to start, but for those that had ended. */
	started: Run[];
	/** How good the model of each experiment is. */
	map: Map<string, number>;
	/** What is known of the training of an experiment instead of how it ended. */
	seen: Map<string, Partial<Job> | Error>;
	/** The jobs that have ended. */
	ended: Map<string, Job>;
}

export function instantExecutor(store: Store): InstantExecutor {
	const started: Run[] = [];
	const map: InstantExecutor["map"] = new Map();
	const seen: InstantExecutor["seen"] = new Map();
	const ended = new Map<string, Job>();
	const experimentOf = (id: string) => id.slice(0, id.lastIndexOf("-"));
	const isTraining = (id: string) => (ended.get(id)?.kind ?? "train") === "train";
	return {
		started,
		map,
		seen,
		ended,
		async look(id) {
			const known = ended.get(id) ?? makeJob({ id, state: "absent", started_at: null, seconds: 0 });
			const instead = isTraining(id) ? seen.get(experimentOf(id)) : undefined;
			if (instead instanceof Error) throw instead;
			return { ...known, ...instead };
		},
		async start(run) {
			const { document, output } = run;
			if (ended.has(document.id)) return;
			started.push(run);
			await (document.kind === "train" ? leaveModel(document, store) : leaveEvaluation(document, store, qualities));
			ended.set(document.id, makeJob({ id: document.id, kind: document.kind, output }));
		},
		stop: async () => {},
		list: async () => [],
	};

	function qualities(run: string): number {
		return map.get(experimentOf(run)) ?? 0.3;
	}
}

async function leaveModel({ id, model }: RunTrain, store: Store): Promise<void> {
	const weights = `weights of ${id}`;
	await store.put(`${modelKey(model, id)}/weights.safetensors`, weights);
	await store.put(`${modelKey(model, id)}/manifest.json`, manifestText(id, { "weights.safetensors": weights }));
}

async function leaveEvaluation(document: RunEvaluate, store: Store, qualityOf: (run: string) => number): Promise<void> {
	const { id, model, candidate, production, data, code } = document;
	const plan = makePlan({ baseline: production && { ...production, location: "/registry" } });
	const own = qualityOf(candidate.run);
	const other = production && qualityOf(production.run);
	const score =
		other === null
			? { ...makeScore({ candidate: own, production: null, delta: null }), ...spreadOf("delta", null) }
			: makeScore({ drop: other - own, candidate: own, production: other });
	// Without curves, whose page takes a while to draw.
	const figures = documentText({
		...makeFigures(production !== null),
		curves: [],
		latency: [],
		confusion: [],
		examples: [],
	});
	const base = makeEvaluation(plan, [score]);
	const report: EvalReport = {
		...base,
		run: id,
		candidate: { ...candidate, parameters: 1 },
		production: production && { ...production, parameters: 1 },
		data: { ...base.data, name: data.name, version: data.version },
		slices: [],
		artefacts: [{ name: "figures", file: "figures.json", sha256: sha256(figures) }] as EvalReport["artefacts"],
		statistics: [
			{
				of: "candidate",
				file: "statistics/candidate.npz",
				sha256: sha256(candidate.manifest),
				evaluation: id,
				model: candidate.manifest,
				data: data.version,
				frames: data.manifests.test.sha256,
				code,
			},
		],
	};
	const folder = evaluationKey(model, candidate.run, id);
	const card = `# ${document.experiment}\n`;
	const statistics = { "statistics/candidate.npz": candidate.manifest };
	const files = {
		"eval_report.json": documentText(report),
		"figures.json": figures,
		"model_card.md": card,
		...statistics,
	};
	for (const [file, text] of Object.entries({ ...files, "manifest.json": manifestText(id, files) }))
		await store.put(`${folder}/${file}`, text);
}
