// The store's runs become the noise of training: the same training with other seeds, of candidate and production, and how far their scores lie apart.
import path from "node:path";
import { isDeepStrictEqual } from "node:util";
import { MANIFEST } from "../artefacts.ts";
import { parseDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { EvalReport, Plan, Report, ReportSeedsOf, RunTrain } from "../generated/documents.d.ts";
import { isLatency } from "../metrics.ts";
import { identify, type RunId } from "../plan/identity.ts";
import type { Store } from "../plan/store.ts";

type Seeds = NonNullable<Report["seeds"]>;
type Spread = ReportSeedsOf["scores"][number];

/** So many documents are read at a time: a line may have thousands of runs. */
const AT_ONCE = 32;

/** What other seeds tell of the noise of training; null where neither model has a second one. What can't be read in the store, or isn't what its name says, is passed over. */
export async function findSeeds({ run, baseline }: Plan, measured: EvalReport, store: Store): Promise<Seeds | null> {
	const finished = finishedEvaluations(await store.list(`models/${run.model}/`));
	const trainings = await readTrainings([...finished.keys()], store);
	const seedsOf = async (own: RunTrain): Promise<ReportSeedsOf> => {
		const all = await measuredSeeds(own, trainings, finished, store);
		// A score that left out other frames is another score.
		const alike = ({ added }: EvalReport) => isDeepStrictEqual(added?.ranges, measured.added?.ranges);
		const reports = new Map([...all].filter(([, report]) => alike(report)));
		const runs = [...reports].map(([seed, { candidate, run }]) => ({ seed, run: candidate.run, evaluation: run }));
		const scores = spreadsOf([...reports.values()], measured);
		return { experiment: own.experiment, runs, next: smallestFree([own.seed, ...all.keys()]), scores };
	};
	const candidate = await seedsOf(run);
	const known = baseline && (await readTraining(baseline.run, store));
	const other = known && measuresAlike(known, run) ? await seedsOf(known) : null;
	if (Math.max(candidate.runs.length, other?.runs.length ?? 0) < 2) return null;
	return { candidate, production: other && { ...other, next: isRepeatable(known!, run) ? other.next : null } };
}

/** Folders of the evaluations whose manifest, which is written last, is there, by the training that they judge. */
function finishedEvaluations(keys: readonly string[]): Map<RunId, string[]> {
	const folders = keys.flatMap((key) => {
		const [, , run, kind, evaluation, file] = key.split("/");
		if (kind !== "evaluations" || file !== MANIFEST || !run || !evaluation) return [];
		return [{ run, folder: path.posix.dirname(key) }];
	});
	const grouped = Map.groupBy(folders, ({ run }) => run);
	return new Map([...grouped].map(([run, own]) => [run, own.map(({ folder }) => folder)]));
}

async function readTrainings(runs: readonly RunId[], store: Store): Promise<RunTrain[]> {
	const trainings: (RunTrain | null)[] = [];
	for (let from = 0; from < runs.length; from += AT_ONCE)
		trainings.push(...(await Promise.all(runs.slice(from, from + AT_ONCE).map((run) => readTraining(run, store)))));
	return trainings.filter((training) => training !== null);
}

/** The document of a training; null where there is none that can be read, or where it isn't the run that it names. */
async function readTraining(run: RunId, store: Store): Promise<RunTrain | null> {
	const document = await readAnother("run", `documents/${run}.json`, store);
	if (document?.kind !== "train" || document.id !== run) return null;
	// The id is made of plain letters, and so is the experiment's name that it begins with: identify() takes no other.
	if (!run.startsWith(`${document.experiment}-`)) return null;
	return document;
}

/** A document that another run has left: null where there is none, or where another version of this tool wrote it. */
async function readAnother<N extends "run" | "eval_report">(name: N, key: string, store: Store) {
	const bytes = await store.get(key);
	if (!bytes) return null;
	return parseDocument(name, bytes, key).catch((error: unknown) => {
		if (error instanceof InvalidInput) return null;
		throw error;
	});
}

/** For each seed of a training the evaluation that measured it, by seed. */
async function measuredSeeds(
	own: RunTrain,
	trainings: readonly RunTrain[],
	finished: ReadonlyMap<RunId, string[]>,
	store: Store,
): Promise<Map<number, EvalReport>> {
	const same = trainings.filter((training) => isSameButForSeed(training, own));
	// A copy of an experiment has a run of its own, and the same scores: a seed counts once, as the run that is asked about.
	const sorted = same.toSorted(
		(a, b) => Number(b.id === own.id) - Number(a.id === own.id) || a.seed - b.seed || (a.id < b.id ? -1 : 1),
	);
	const reports = new Map<number, EvalReport>();
	for (const training of sorted) {
		if (reports.has(training.seed)) continue;
		const report = await readEvaluationOf(training, finished.get(training.id) ?? [], store);
		if (report) reports.set(training.seed, report);
	}
	return new Map([...reports].toSorted(([a], [b]) => a - b));
}

/** Whether two trainings differ in nothing but their seed: the names of experiment and run decide nothing of what is computed. */
function isSameButForSeed(training: RunTrain, own: RunTrain): boolean {
	const { id, experiment, seed } = own;
	if (!isDeepStrictEqual({ ...training, id, experiment, seed }, own)) return false;
	// A document that was changed by hand names inputs that its run never had.
	return identify(training).id === training.id;
}

/** A finished evaluation in which a training was the candidate, on the very frames and by the very code that its document names. */
async function readEvaluationOf(
	{ id, data, code }: RunTrain,
	folders: readonly string[],
	store: Store,
): Promise<EvalReport | null> {
	for (const folder of folders) {
		const report = await readAnother("eval_report", `${folder}/eval_report.json`, store);
		if (report?.run !== path.posix.basename(folder) || report.candidate.run !== id) continue;
		const isOfThis = report.statistics.some(
			(kept) =>
				kept.of === "candidate" &&
				kept.model === report.candidate.manifest &&
				kept.data === data.version &&
				kept.frames === data.manifests.test.sha256 &&
				kept.code === code,
		);
		if (isOfThis) return report;
	}
	return null;
}

/** Whether a training's own evaluation measures the same things on the same test frames, whatever else is in its data. */
function measuresAlike({ data }: RunTrain, run: RunTrain): boolean {
	const measured = ({ manifests, categories, tracks }: RunTrain["data"]) => [manifests.test.sha256, categories, tracks];
	return isDeepStrictEqual(measured(data), measured(run.data));
}

/** Whether another seed of production would be the same training: by today's code, and from no weights that may have moved on. */
function isRepeatable({ code, weights }: RunTrain, run: RunTrain): boolean {
	return code === run.code && weights === null;
}

function smallestFree(seeds: readonly number[]): number {
	const taken = new Set(seeds);
	let seed = 0;
	while (taken.has(seed)) seed += 1;
	return seed;
}

/** How each score of an evaluation is spread over several of the same training; what is measured on another slice of that name is no such score. */
function spreadsOf(reports: readonly EvalReport[], { scores, slices }: EvalReport): Spread[] {
	const nameOf = ({ metric, slice }: Pick<Spread, "metric" | "slice">) => JSON.stringify([metric, slice]);
	const found = reports.map((report) => {
		const alike = new Set([null, ...slices.filter((slice) => isAmong(slice, report.slices)).map(({ name }) => name)]);
		const own = report.scores.filter(({ slice }) => alike.has(slice));
		return new Map(own.map((score) => [nameOf(score), score.candidate]));
	});
	return scores.flatMap(({ metric, slice }) => {
		const values = found.map((own) => own.get(nameOf({ metric, slice }))).filter(isNumber);
		return isLatency(metric) || values.length < 2 ? [] : [{ metric, slice, ...spreadOf(values) }];
	});
}

function isAmong(slice: EvalReport["slices"][number], others: EvalReport["slices"]): boolean {
	const chosen = ({ name, where, category }: typeof slice) => [name, where, category];
	return others.some((other) => isDeepStrictEqual(chosen(other), chosen(slice)));
}

function isNumber(value: number | null | undefined): value is number {
	return Number.isFinite(value);
}

function spreadOf(values: readonly number[]): Omit<Spread, "metric" | "slice"> {
	const seeds = values.length;
	const mean = values.reduce((sum, value) => sum + value, 0) / seeds;
	const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
	return {
		seeds,
		deviation: Math.sqrt(squares / (seeds - 1)),
		low: Math.min(...values),
		high: Math.max(...values),
	};
}
