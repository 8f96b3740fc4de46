// The plan, its jobs and what the trainer measured become one report: all that the gate and the comment read.
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { documentText, parseDocument, sha256, writeDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { EvalReport, Figures, Jobs, Plan, Report } from "../generated/documents.d.ts";
import { evaluationKey, type Store } from "../plan/store.ts";
import { isEvaluated } from "../train/train.ts";
import { findSeeds } from "./seeds.ts";

/** The evaluation's documents, and the digests of those that became part of the report. */
export interface Evaluation {
	report: EvalReport;
	digest: string;
	figures: Figures;
	figuresDigest: string;
	card: string;
	/** What other seeds of the two models tell; null where there are none. */
	seeds: Report["seeds"] | null;
}

/** Reads what the evaluation left in the store, and what other seeds of both models left there; throws InvalidInput where it hasn't succeeded. */
export async function readEvaluation(plan: Plan, jobs: Jobs, store: Store): Promise<Evaluation> {
	const { run } = plan;
	if (!isEvaluated(jobs)) {
		const states = jobs.jobs
			.map((job) => `${job.kind} ${job.state}${job.diagnosis ? ` (${job.diagnosis})` : ""}`)
			.join(", ");
		throw new InvalidInput(`${jobs.experiment}: there is nothing to report yet: ${states}.`);
	}
	const key = evaluationKey(run.model, run.id, jobs.evaluation!);
	const [bytes, drawn, card] = await Promise.all(
		["eval_report.json", "figures.json", "model_card.md"].map((file) => store.get(`${key}/${file}`)),
	);
	if (!bytes || !drawn || !card) {
		throw new InvalidInput(
			`${key}: the job succeeded, but the store lacks its eval_report.json, figures.json or model_card.md.`,
		);
	}
	const report = await parseDocument("eval_report", bytes, `${key}/eval_report.json`);
	const figuresDigest = sha256(drawn);
	if (figuresDigest !== report.artefacts.find(({ name }) => name === "figures")?.sha256)
		throw new InvalidInput(`${key}/figures.json is not what the evaluation wrote: its digest is ${figuresDigest}.`);
	return {
		report,
		digest: sha256(bytes),
		figures: await parseDocument("figures", drawn, `${key}/figures.json`),
		figuresDigest,
		card: Buffer.from(card).toString("utf8"),
		seeds: await findSeeds(plan, report, store),
	};
}

/** Digest of what a verdict rests on in a plan; what merely changes with the day (estimate, promotion) is left out. */
export function digestPlan(plan: Plan): string {
	const { estimate: _, promoted: __, ...judged } = plan;
	return sha256(documentText(judged));
}

/** Joins the documents; throws InvalidInput where they don't belong together. `root` is the repository. */
export function makeReport(plan: Plan, jobs: Jobs, measured: Evaluation, root: string): Report {
	const { report: evaluation, digest, figures, figuresDigest, seeds } = measured;
	const disagreements = [
		[evaluation.run, jobs.evaluation, "evaluation"],
		[evaluation.candidate.run, plan.run.id, "run"],
		[evaluation.production?.manifest ?? null, plan.baseline?.manifest ?? null, "production model"],
		[evaluation.data.version, plan.run.data.version, "data version"],
	].filter(([measured, planned]) => measured !== planned);
	for (const [measured, planned, what] of disagreements) {
		throw new InvalidInput(
			`eval_report.json is for the ${what} ${measured}, but the plan's is ${planned}: plan and train again.`,
		);
	}
	return {
		schema: 1,
		experiment: plan.experiment,
		run: plan.run.id,
		evaluation: evaluation.run,
		manifest: evaluation.candidate.manifest,
		baseline: plan.baseline && { ...plan.baseline, location: fromRoot(root, plan.baseline.location) },
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
		figures,
		measured_at: jobs.jobs.find(({ kind }) => kind === "evaluate")?.started_at ?? null,
		spent: spentOn(jobs),
		code: plan.run.code,
		seed: plan.run.seed,
		...(seeds ? { seeds } : {}),
		evidence: { plan: digestPlan(plan), eval_report: digest, figures: figuresDigest },
		files: jobs.jobs.map((job) => ({
			name: job.kind === "train" ? "model" : "evaluation",
			location: fromRoot(root, job.output),
		})),
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

/** A place in the repository by its path from there: a report is committed, and read on other machines. */
export function fromRoot(root: string, location: string): string {
	const relative = path.relative(root, location);
	return path.isAbsolute(location) && !relative.startsWith("..") ? relative.split(path.sep).join("/") : location;
}

function spentOn(jobs: Jobs): Report["spent"] {
	const sum = (of: (job: Jobs["jobs"][number]) => number | null) =>
		jobs.jobs.reduce((total, job) => total + (of(job) ?? 0), 0);
	return { seconds: sum((job) => job.seconds), cost_usd: sum((job) => job.cost_usd) };
}
