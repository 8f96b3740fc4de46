// One stage at a time, or all of them, over the documents in the state folder's documents/<name> and reports/<name>.
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { renderComment } from "../lib/comment/comment.ts";
import { InvalidFile, InvalidInput, type Problem } from "../lib/errors.ts";
import { loadExperiment, nameOfFile } from "../lib/experiment/experiment.ts";
import { namesIn, strayExperiments } from "../lib/experiment/files.ts";
import { allWarningsOf } from "../lib/experiment/resolved.ts";
import type { Tree } from "../lib/experiment/tree.ts";
import { replaceFile } from "../lib/files.ts";
import { judge } from "../lib/gate/gate.ts";
import type { Jobs, Plan, Promotion, Report, Verdict } from "../lib/generated/documents.d.ts";
import { isCommitted } from "../lib/git/changed_files.ts";
import { nameOf } from "../lib/metrics.ts";
import { distinctProblems, type PlanOptions, planExperiment } from "../lib/plan/plan_files.ts";
import { refuseEarlier, refuseStale } from "../lib/plan/stale.ts";
import type { Project } from "../lib/project.ts";
import { promote as promoteModel, writePromotion } from "../lib/promote/promote.ts";
import { loadProposals } from "../lib/propose/proposal_file.ts";
import { noteMeasured } from "../lib/report/anchor.ts";
import { makeReport, readEvaluation, writeReport } from "../lib/report/report.ts";
import { counted } from "../lib/text/counted.ts";
import { liveLine, progressLine } from "../lib/train/progress.ts";
import { followJobs, lookAtJobs, renewJobs, startJobs, stopJobs, unseenJobs } from "../lib/train/train.ts";
import { commentFile, documentFile, read, readIfThere, readMade, relative, reportFile, write } from "./documents.ts";
import { jobsText, planText, promotionText, verdictText, warningLine } from "./lines.ts";

export interface Context {
	project: Project;
	/** A checkout of the base branch. */
	base?: string;
	/** Where policies, lines and waivers are read without one. */
	gates?: Tree;
	/** GitHub login of the experiments' author. */
	author?: string;
	/** Says what is going on, beside the stage's own output. */
	say: (line: string) => void;
	/** Where the live line is shown. */
	live: NodeJS.WriteStream;
}

/** What a stage returns to the command line: its document, its words, and whether the gate held. */
export interface Outcome {
	document: unknown;
	text: string;
	passed?: boolean;
}

export interface Options {
	follow?: boolean;
	stop?: boolean;
	pending?: boolean;
	by?: string;
	against?: string;
	slices?: string;
	now?: string;
}

/** Checks experiment files; throws InvalidFile with the problems of all of them. */
export async function validate(context: Context, files: string[]): Promise<Outcome> {
	const { root } = context.project;
	const chosen =
		files.length > 0
			? files
			: (await namesIn(path.join(root, "experiments"))).map((name) => `experiments/${name}.yaml`);
	const problems: Problem[] = [];
	const warnings: Problem[] = [];
	const check = async <T>(load: Promise<T>, take: (loaded: T) => void = () => {}) => {
		await load.then(take, (error: unknown) => {
			if (!(error instanceof InvalidFile)) throw error;
			problems.push(...error.problems);
		});
	};
	for (const file of chosen)
		await check(loadExperiment(file, { root, state: context.project.state.folder, ...baseOf(context) }), (resolved) =>
			warnings.push(...allWarningsOf(resolved)),
		);
	if (files.length === 0) problems.push(...(await strayExperiments(root)));
	// What stands for experiments of later is checked with all of them.
	if (files.length === 0)
		await check(loadProposals({ root, ...baseOf(context) }), (proposals) =>
			warnings.push(...proposals.flatMap(({ resolved }) => allWarningsOf(resolved))),
		);
	for (const warning of distinctProblems(warnings)) context.say(warningLine(warning));
	if (problems.length > 0) throw new InvalidFile(distinctProblems(problems));
	return { document: { valid: chosen }, text: `${counted(chosen.length, "experiment")} valid` };
}

export async function plan(context: Context, file: string): Promise<Outcome> {
	const document = await makePlan(context, file);
	const written = document.experiment.file;
	if ((await isCommitted(context.project.root, written)) === false)
		context.say(`${written} has changes that aren't committed: a pull request would plan the committed file.`);
	if (context.gates && (await isCommitted(context.project.root, document.policy.file)) === false)
		context.say(`${document.policy.file} has changes that aren't committed: the committed policy applies.`);
	for (const warning of document.warnings ?? []) context.say(warningLine(warning));
	return { document, text: planText(document) };
}

export async function train(context: Context, file: string, options: Options): Promise<Outcome> {
	// A job of a plan that is no longer wanted is stopped all the same.
	const plan = options.stop ? await read(context, file, "plan") : await readPlan(context, file);
	const places = ports(context, plan);
	const { executor } = places;
	let jobs: Jobs;
	if (options.stop) {
		jobs = await lookAtJobs(plan, unseenJobs(plan), places);
		jobs = await stopJobs(jobs, executor);
	} else if (options.follow === false) {
		jobs = await startJobs(plan, places);
	} else {
		jobs = await follow(context, plan);
	}
	await write(context, file, "jobs", jobs);
	return { document: jobs, text: options.stop ? "asked to stop" : jobsText(jobs) };
}

export async function report(context: Context, file: string): Promise<Outcome> {
	const [plan, jobs] = [await readPlan(context, file), await read(context, file, "jobs")];
	if (jobs.run !== plan.run.id)
		throw new InvalidInput(
			`${file}: its jobs belong to an earlier plan (${jobs.run}). Train again: npx proving-ground train ${file}`,
		);
	const document = await makeReports(context, plan, jobs);
	const { writePage } = await import("../lib/page/page.ts");
	await writePage(context.project.root, document);
	return { document, text: reportFile(context, file, "report.json") };
}

export async function gate(context: Context, file: string): Promise<Outcome> {
	const written = await readMade(file, "report", reportFile(context, file, "report.json"));
	await checkReport(context, file, written);
	const report = (await renewReport(context, file, written)) ?? written;
	const verdict = judge(report);
	await keepVerdict(context, report, verdict);
	return { document: verdict, text: verdictText(verdict), passed: verdict.passed };
}

export async function comment(context: Context, file: string): Promise<Outcome> {
	const markdown = await writeComment(context, file, await readPlan(context, file));
	return { document: { markdown }, text: markdown };
}

export async function promote(context: Context, file: string, options: Options): Promise<Outcome> {
	const plan = await readPlan(context, file);
	const verdict = await readMade(file, "verdict", reportFile(context, file, "verdict.json"));
	const report = await readMade(file, "report", reportFile(context, file, "report.json"));
	if (!verdict.passed) return { document: verdict, text: `not promoted: ${verdictText(verdict)}`, passed: false };
	const { promotion, text } = await makePromotion(context, file, { plan, report, verdict }, options);
	return { document: promotion, text };
}

/** All stages, for one experiment after the other; the outcome is that of the last. */
export async function run(context: Context, files: string[], by: string): Promise<Outcome> {
	const outcomes: { file: string; verdict: Verdict; promotion: Promotion | null }[] = [];
	const lines: string[] = [];
	for (const file of files) {
		const { verdict, promoted } = await runOne(context, file, by);
		outcomes.push({ file, verdict, promotion: promoted?.promotion ?? null });
		lines.push(`${nameOfFile(file)}: ${promoted?.text ?? verdictText(verdict)}`);
	}
	return { document: outcomes, text: lines.join("\n"), passed: outcomes.every(({ verdict }) => verdict.passed) };
}

/** The examples: like `run`, and then where to look. That one of them is refused is what it is there to show. */
export async function examples(context: Context, files: string[], by: string): Promise<Outcome> {
	const { document, text } = await run(context, files, by);
	const last = files.at(-1)!;
	const markdown = await readFile(commentFile(context, last), "utf8");
	const { showMarkdown } = await import("../lib/text/terminal.ts");
	await drawPages(context, { each: false });
	const reports = files.map(
		(file) =>
			`  ${relative(context, reportFile(context, file, ""))}/  index.html, report.json, verdict.json, model_card.md`,
	);
	const comments = files.map((file) => `  ${relative(context, commentFile(context, file))}`);
	const sections = [
		`The comment on ${nameOfFile(last)}, as a reviewer would see it:\n\n${showMarkdown(markdown)}`,
		`Outcomes\n${text.replaceAll(/^/gm, "  ")}`,
		`Reports: open the index.html\n${[`  reports/  index.html, all models over time`, ...reports].join("\n")}`,
		`Comments (Markdown)\n${comments.join("\n")}`,
		`The registry's history (npx proving-ground history)\n${(await history(context, undefined)).text.replaceAll(/^/gm, "  ")}`,
	];
	return { document, text: `\n${sections.join("\n\n")}` };
}

export async function backtest(context: Context, file: string, options: Options): Promise<Outcome> {
	const { backtestPolicy, renderBacktest } = await import("../lib/gate/backtest.ts");
	const { against = "HEAD", slices } = options;
	const document = await backtestPolicy(context.project, file, {
		against,
		slices,
		models: await context.project.registry.lines(),
	});
	return { document, text: renderBacktest(document) };
}

export async function pages(context: Context): Promise<Outcome> {
	const drawn = await drawPages(context, { each: true });
	const left = drawn.skipped.map((why) => `\nleft out: ${why}`).join("");
	return { document: drawn, text: `${relative(context, drawn.file)}: ${drawn.reports} reports${left}` };
}

export async function history(context: Context, model: string | undefined): Promise<Outcome> {
	const { registry } = context.project;
	const models = model ? [model] : await registry.lines();
	const lines: string[] = [];
	const document: Record<string, unknown> = {};
	for (const name of models) {
		const { versions, approvals } = await registry.history(name);
		if (model && versions.length === 0) throw new InvalidInput(`The registry has no line of models ${model}.`);
		document[name] = { versions, approvals };
		const production = approvals.at(-1)?.version;
		for (const { entry } of versions) {
			const approval = approvals.find(({ version }) => version === entry.version);
			const state = entry.version === production ? "production" : approval ? "replaced" : "pending";
			const scores = ["map", "miou", "lane_f1", "min_fde"].flatMap((metric) =>
				entry.scores[metric] == null ? [] : [`${nameOf(metric)} ${entry.scores[metric].toFixed(3)}`],
			);
			const waived = entry.waived ? `  waived ${entry.waived.length}` : "";
			lines.push(
				`${name} v${entry.version}  ${state.padEnd(10)}  ${entry.experiment}  ${scores.join("  ")}${waived}${approval ? `  approved by ${approval.approved_by}, ${approval.approved_at.slice(0, 16)}Z` : ""}`,
			);
		}
	}
	return { document, text: lines.join("\n") || "no version yet" };
}

async function runOne(
	context: Context,
	file: string,
	by: string,
): Promise<{ verdict: Verdict; promoted: Awaited<ReturnType<typeof makePromotion>> | null }> {
	const { say } = context;
	const name = nameOfFile(file);
	const plan = await makePlan(context, file);
	say(`${name}: ${planText(plan)}`);
	const jobs = await follow(context, plan);
	await write(context, file, "jobs", jobs);
	say(`${name}: ${jobsText(jobs)}`);
	const report = await makeReports(context, plan, jobs);
	const verdict = judge(report);
	await keepVerdict(context, report, verdict);
	const promoted = verdict.passed ? await makePromotion(context, file, { plan, report, verdict }, { by }) : null;
	say(`${name}: ${promoted?.text ?? `refused: ${verdictText(verdict)}`}\n`);
	await writeComment(context, file, plan);
	return { verdict, promoted };
}

async function makePlan(context: Context, file: string): Promise<Plan> {
	const plan = await planOf(context, file);
	await write(context, file, "plan", plan);
	return plan;
}

/** The plan that was written; throws InvalidInput where planning again would give another. */
async function readPlan(context: Context, file: string): Promise<Plan> {
	const plan = await read(context, file, "plan");
	refuseStale(plan, await planOf(context, file, { transfer: false }));
	return plan;
}

/** Throws InvalidInput where a report isn't of what planning again would give; one that came with the repository has no plan beside it. */
async function checkReport(context: Context, file: string, report: Report): Promise<void> {
	const now = await planOf(context, file, { transfer: false });
	const { plan } = await readIfThere("plan", documentFile(context, file, "plan"));
	if (plan) refuseStale(plan, now);
	refuseEarlier(report, now);
}

/** The plan of an experiment as it is now, written nowhere. */
async function planOf(context: Context, file: string, options: Pick<PlanOptions, "transfer"> = {}): Promise<Plan> {
	const onImport = (name: string, said?: string) =>
		context.say(said ?? `${nameOfFile(file)}: making the dataset ${name} …`);
	const known = context.author ? { named: context.author } : {};
	return planExperiment(context.project, file, { ...options, ...baseOf(context), known, onImport });
}

async function follow(context: Context, plan: Plan): Promise<Jobs> {
	const live = liveLine(context.live);
	const interrupted = new AbortController();
	const onInterrupt = () => interrupted.abort();
	process.once("SIGINT", onInterrupt);
	let jobs: Jobs;
	try {
		const onLook = (seen: Jobs) => live.show(progressLine(seen));
		jobs = await followJobs(plan, ports(context, plan), { onLook, signal: interrupted.signal });
	} finally {
		live.clear();
		process.removeListener("SIGINT", onInterrupt);
	}
	if (interrupted.signal.aborted) {
		throw new InvalidInput(
			"Interrupted: the job goes on. Run the same command to follow it again, or `proving-ground train <experiment> --stop` to save a checkpoint and stop it.",
		);
	}
	return jobs;
}

async function makeReports(context: Context, plan: Plan, jobs: Jobs): Promise<Report> {
	const evaluation = await readEvaluation(plan, jobs, context.project.store);
	const report = makeReport(plan, jobs, evaluation, context.project.root);
	await noteMeasured(report, context.project.registry);
	await writeReport(context.project.root, report, evaluation.card);
	return report;
}

async function drawPages({ project }: Context, options: { each: boolean }) {
	const { writePages } = await import("../lib/page/pages.ts");
	return writePages(project.root, options);
}

/** A report that compares with what is production now; null where that is what it was judged against, or the model has been promoted. */
async function renewReport(context: Context, file: string, { experiment, run, baseline }: Report) {
	const { registry } = context.project;
	const current = (await registry.current(experiment.model))?.entry ?? null;
	const before = baseline?.version ?? null;
	const { versions, approvals } = await registry.history(experiment.model);
	const own = versions.filter(({ entry }) => entry.run === run).map(({ entry }) => entry.version);
	if ((current?.version ?? null) === before || approvals.some(({ version }) => own.includes(version))) return null;
	const name = (version: number | null | undefined) =>
		version == null ? "no production model" : `production v${version}`;
	const plan = await planOf(context, file);
	if (plan.run.id !== run)
		throw new InvalidInput(
			`${file}: it was judged against ${name(before)}, and there is ${name(current?.version)} now. Planned again it is a different training (${plan.run.id}, not ${run}): plan and train it.`,
		);
	context.say(`${nameOfFile(file)}: production changed: comparing again with ${name(current?.version)}`);
	await write(context, file, "plan", plan);
	const jobs = await follow(context, plan);
	await write(context, file, "jobs", jobs);
	return makeReports(context, plan, jobs);
}

/** Loads what draws only where it is needed: planning shouldn't wait for it. */
async function keepVerdict({ project }: Context, report: Report, verdict: Verdict): Promise<void> {
	const { writeVerdict } = await import("../lib/page/page.ts");
	await writeVerdict(project.root, report, verdict);
}

async function makePromotion(
	context: Context,
	file: string,
	documents: { plan: Plan; report: Report; verdict: Verdict },
	options: Options,
): Promise<{ promotion: Promotion; text: string }> {
	const { registry } = context.project;
	const { model } = documents.verdict;
	const before = (await registry.history(model)).approvals.length;
	const inputs = { ...documents, approve: !options.pending, by: options.by ?? "unknown", now: new Date() };
	const promotion = await promoteModel(inputs, context.project);
	const written = await writePromotion(context.project, promotion, reportFile(context, file, "promotion.json"));
	const { approvals } = await registry.history(model);
	const production = approvals.length > before ? null : (approvals.at(-1)?.version ?? null);
	return { promotion: written, text: promotionText(written, production) };
}

async function writeComment(context: Context, file: string, plan: Plan): Promise<string> {
	const { jobs } = await readIfThere("jobs", documentFile(context, file, "jobs"));
	const documents = {
		plan,
		// A job that was asked to stop has ended since.
		...(jobs ? { jobs: await renewJobs(jobs, ports(context, plan).executor) } : {}),
		...(await readIfThere("report", reportFile(context, file, "report.json"))),
		...(await readIfThere("verdict", reportFile(context, file, "verdict.json"))),
		...(await readIfThere("promotion", reportFile(context, file, "promotion.json"))),
	};
	const markdown = renderComment(documents);
	await mkdir(path.dirname(commentFile(context, file)), { recursive: true });
	await replaceFile(commentFile(context, file), markdown);
	return markdown;
}

function ports(context: Context, plan: Plan) {
	const { store, registry } = context.project;
	return { executor: context.project.executorFor(plan.machine), store, registry };
}

function baseOf({ base, gates }: Context): { base?: string; gates?: Tree } {
	return base ? { base } : gates ? { gates } : {};
}
