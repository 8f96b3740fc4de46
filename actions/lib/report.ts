// The plan, its jobs and what the trainer measured become one report: all that the gate and the comment read.
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { documentText, parseDocument, sha256, writeDocument } from "./documents.ts";
import { InvalidInput } from "./errors.ts";
import type { EvalReport, Jobs, Plan, Report } from "./generated/documents.d.ts";
import { evaluationKey, isEvaluated, type Store } from "./train.ts";

/** The evaluation's documents, and the digest of the report it wrote. */
export interface Evaluation {
	report: EvalReport;
	digest: string;
	card: string;
}

/** Reads what the evaluation left in the store; throws InvalidInput where it hasn't succeeded. */
export async function readEvaluation({ run }: Plan, jobs: Jobs, store: Store): Promise<Evaluation> {
	if (!isEvaluated(jobs)) {
		const states = jobs.jobs
			.map((job) => `${job.kind} ${job.state}${job.diagnosis ? ` (${job.diagnosis})` : ""}`)
			.join(", ");
		throw new InvalidInput(`${jobs.experiment}: there is nothing to report yet: ${states}.`);
	}
	const key = evaluationKey(run.model, run.id, jobs.evaluation!);
	const [bytes, card] = await Promise.all([store.get(`${key}/eval_report.json`), store.get(`${key}/model_card.md`)]);
	if (!bytes || !card)
		throw new InvalidInput(`${key}: the store lacks eval_report.json or model_card.md of a job that succeeded.`);
	return {
		report: await parseDocument("eval_report", bytes, `${key}/eval_report.json`),
		digest: sha256(bytes),
		card: Buffer.from(card).toString("utf8"),
	};
}

/** Digest of what a verdict rests on in a plan; what merely changes with the day (estimate, promotion) is left out. */
export function digestPlan(plan: Plan): string {
	const { estimate: _, promoted: __, ...judged } = plan;
	return sha256(documentText(judged));
}

/** Joins the documents; throws InvalidInput where they don't belong together. */
export function makeReport(plan: Plan, jobs: Jobs, { report: evaluation, digest }: Evaluation): Report {
	const disagreements = [
		[evaluation.run, jobs.evaluation, "evaluation"],
		[evaluation.candidate.run, plan.run.id, "run"],
		[evaluation.production?.manifest ?? null, plan.baseline?.manifest ?? null, "production model"],
		[evaluation.data.version, plan.run.data.version, "data version"],
	].filter(([measured, planned]) => measured !== planned);
	for (const [measured, planned, what] of disagreements) {
		throw new InvalidInput(
			`eval_report.json is of the ${what} ${measured}, and the plan's is ${planned}: plan and train again.`,
		);
	}
	return {
		schema: 1,
		experiment: plan.experiment,
		run: plan.run.id,
		evaluation: evaluation.run,
		manifest: evaluation.candidate.manifest,
		baseline: plan.baseline,
		changes: plan.changes,
		policy: plan.policy,
		data: {
			name: plan.run.data.name,
			version: plan.run.data.version,
			dvc: plan.run.data.dvc,
			splits: plan.data.splits,
		},
		parameters: { candidate: evaluation.candidate.parameters, production: evaluation.production?.parameters ?? null },
		slices: evaluation.slices,
		scores: evaluation.scores,
		uncertainty: evaluation.uncertainty,
		latency: evaluation.latency,
		exports: evaluation.exports,
		training: evaluation.training,
		spent: spentOn(jobs),
		code: plan.run.code,
		seed: plan.run.seed,
		evidence: { plan: digestPlan(plan), eval_report: digest },
		files: jobs.jobs.map((job) => ({ name: job.kind === "train" ? "model" : "evaluation", location: job.output })),
	};
}

/** Where the reports of an experiment are committed. */
export function reportsOf(root: string, experiment: string): string {
	return path.join(root, "reports", experiment);
}

/** Writes report.json and model_card.md into reports/<name>; returns their paths. */
export async function writeReport(
	root: string,
	report: Report,
	card: string,
): Promise<{ report: string; card: string }> {
	const folder = reportsOf(root, report.experiment.name);
	const file = await writeDocument("report", report, path.join(folder, "report.json"));
	await writeFileAtomic(path.join(folder, "model_card.md"), card);
	return { report: file, card: path.join(folder, "model_card.md") };
}

function spentOn(jobs: Jobs): Report["spent"] {
	const sum = (of: (job: Jobs["jobs"][number]) => number | null) =>
		jobs.jobs.reduce((total, job) => total + (of(job) ?? 0), 0);
	return { seconds: sum((job) => job.seconds), cost_usd: sum((job) => job.cost_usd) };
}
