// The plan, its jobs and what the trainer measured become one report: all that the gate and the comment read.
import path from "node:path";
import { MANIFEST, parseManifest } from "../artefacts.ts";
import { documentText, parseDocument, sha256, writeDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { replaceFile } from "../files.ts";
import type { EvalReport, Figures, Jobs, Plan, Report } from "../generated/documents.d.ts";
import type { RunId } from "../plan/identity.ts";
import { evaluationKey, type Store } from "../plan/store.ts";
import { isEvaluated } from "../train/train.ts";
import { cardWithOverlap } from "./card.ts";
import { findSeeds } from "./seeds.ts";

/** The evaluation's documents, and the digests of those that became part of the report. */
export interface Evaluation {
	report: EvalReport;
	digest: string;
	/** Digest of the manifest that lists the documents. */
	manifest: string;
	figures: Figures;
	figuresDigest: string;
	card: string;
	/** What other seeds of the two models tell; null where there are none. */
	seeds: Report["seeds"] | null;
}

/** Reads what the evaluation left in the store, and what other seeds of both models left there; throws InvalidInput where it hasn't succeeded. */
export async function readEvaluation(plan: Plan, jobs: Jobs, store: Store): Promise<Evaluation> {
	if (isEvaluated(jobs)) return readMeasured(plan, jobs.evaluation!, store);
	const states = jobs.jobs
		.map((job) => `${job.kind} ${job.state}${job.diagnosis ? ` (${job.diagnosis})` : ""}`)
		.join(", ");
	throw new InvalidInput(`${jobs.experiment}: there is nothing to report yet: ${states}.`);
}

/** An evaluation's documents, each as its manifest lists it: what was edited since is refused and named. */
async function readMeasured(plan: Plan, evaluation: RunId, store: Store): Promise<Evaluation> {
	const { model, id } = plan.run;
	const key = evaluationKey(model, id, evaluation);
	const listing = await store.get(`${key}/${MANIFEST}`);
	if (!listing) throw new InvalidInput(`${key}/${MANIFEST}: the job succeeded, but the store lacks this file.`);
	const manifest = sha256(listing);
	const listed = new Map(
		(await parseManifest(listing, manifest, `${key}/${MANIFEST}`)).map(({ file, sha256 }) => [file, sha256]),
	);
	const read = async (file: string) => {
		const bytes = await store.get(`${key}/${file}`);
		if (!bytes) throw new InvalidInput(`${key}/${file}: the job succeeded, but the store lacks this file.`);
		if (sha256(bytes) !== listed.get(file))
			throw new InvalidInput(
				`${key}/${file}: found digest ${sha256(bytes)}; the evaluation's manifest lists ${listed.get(file) ?? "no such file"}.`,
			);
		return bytes;
	};
	const [bytes, drawn, card] = await Promise.all(["eval_report.json", "figures.json", "model_card.md"].map(read));
	const report = await parseDocument("eval_report", bytes!, `${key}/eval_report.json`);
	const figuresDigest = sha256(drawn!);
	if (figuresDigest !== report.artefacts.find(({ name }) => name === "figures")?.sha256)
		throw new InvalidInput(`${key}/figures.json is not what the evaluation wrote: its digest is ${figuresDigest}.`);
	return {
		report,
		digest: sha256(bytes!),
		manifest,
		figures: await parseDocument("figures", drawn!, `${key}/figures.json`),
		figuresDigest,
		card: Buffer.from(card!).toString("utf8"),
		seeds: await findSeeds(plan, report, store),
	};
}

/** Digest of what a verdict rests on in a plan; what merely changes with the day (estimate, promotion), or is told besides, is left out. */
export function digestPlan(plan: Plan): string {
	const { estimate: _, promoted: __, warnings: ___, ...judged } = withoutOverlap(plan);
	return sha256(documentText(judged));
}

/** What a report tells of jobs and places: which evaluation it is of, what the jobs took, where production and the artefacts lie. */
type Circumstances = Pick<Report, "measured_at" | "spent" | "files"> & {
	evaluation: RunId | null;
	baseline: { location: string } | null;
};

/** Joins the documents; throws InvalidInput where they don't belong together. `root` is the repository. */
export function makeReport(plan: Plan, jobs: Jobs, measured: Evaluation, root: string): Report {
	const circumstances = {
		evaluation: jobs.evaluation,
		baseline: plan.baseline && { location: fromRoot(root, plan.baseline.location) },
		measured_at: jobs.jobs.find(({ kind }) => kind === "evaluate")?.started_at ?? null,
		spent: spentOn(jobs),
		files: jobs.jobs.map((job) => ({
			name: job.kind === "train" ? "model" : "evaluation",
			location: fromRoot(root, job.output),
		})),
	};
	return joinReport(plan, circumstances, measured);
}

/** A report made again from the plan and the store; only times, cost and places, on which no verdict rests, are taken from the one at hand. */
export async function makeReportAgain(plan: Plan, report: Report, store: Store): Promise<Report> {
	// A report of before it was counted has none.
	const planned = report.data.overlap ? plan : withoutOverlap(plan);
	return joinReport(planned, report, await readMeasured(plan, report.evaluation, store));
}

function withoutOverlap({ data: { overlap: _, ...data }, ...plan }: Plan): Plan {
	return { ...plan, data };
}

function joinReport(plan: Plan, circumstances: Circumstances, measured: Evaluation): Report {
	const { report: evaluation, digest, figures, figuresDigest, seeds } = measured;
	const disagreements = [
		[evaluation.run, circumstances.evaluation, "evaluation"],
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
		baseline: plan.baseline && { ...plan.baseline, location: circumstances.baseline?.location ?? "" },
		changes: plan.changes,
		policy: plan.policy,
		data: {
			name: plan.run.data.name,
			version: plan.run.data.version,
			dvc: plan.run.data.dvc,
			splits: plan.data.splits,
			test: plan.data.test,
			...(plan.data.overlap ? { overlap: plan.data.overlap } : {}),
		},
		parameters: { candidate: evaluation.candidate.parameters, production: evaluation.production?.parameters ?? null },
		slices: evaluation.slices.map((slice) => ({
			...slice,
			protected: slice.protected || isProtected(plan, slice.name),
		})),
		scores: evaluation.scores,
		...(evaluation.added ? { added: evaluation.added } : {}),
		uncertainty: evaluation.uncertainty,
		latency: evaluation.latency,
		exports: evaluation.exports,
		training: evaluation.training,
		figures,
		measured_at: circumstances.measured_at,
		spent: circumstances.spent,
		code: plan.run.code,
		seed: plan.run.seed,
		...(seeds ? { seeds } : {}),
		evidence: { plan: digestPlan(plan), evaluation: measured.manifest, eval_report: digest, figures: figuresDigest },
		files: circumstances.files,
	};
}

/** Whether the plan protects a slice, whatever the dataset says of itself. */
function isProtected({ data: { slices } }: Plan, name: string): boolean {
	return slices.some((slice) => slice.name === name && slice.protected);
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
	await replaceFile(path.join(folder, "model_card.md"), cardWithOverlap(card, report.data.overlap));
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
