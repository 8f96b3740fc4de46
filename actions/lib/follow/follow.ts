// What git, GitHub and the executors say of the pull requests becomes the next step of each: evaluated, judged, shown; what nobody asks for any more is stopped.
import { type Documents, isWaiting } from "../comment/comment.ts";
import { isOwnLabel } from "../comment/labels.ts";
import { NotMadeYet } from "../data/dataset.ts";
import { sha256 } from "../documents.ts";
import { InvalidFile, isBug, type Problem, sentenceOf } from "../errors.ts";
import { judge } from "../gate/gate.ts";
import type { Jobs, Plan } from "../generated/documents.d.ts";
import { changedExperiments } from "../git/changed_files.ts";
import { checkOut, pruneCheckouts } from "../git/checkouts.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";
import { sumOf } from "../plan/estimate.ts";
import type { RunId } from "../plan/identity.ts";
import { planExperiment } from "../plan/plan_files.ts";
import { FOLLOW_MINUTES, within } from "../process.ts";
import type { Project } from "../project.ts";
import { promote } from "../promote/promote.ts";
import { noteMeasured } from "../report/anchor.ts";
import { makeReport, readEvaluation } from "../report/report.ts";
import { claimsOf, isShared } from "../train/claims.ts";
import { isEvaluated, isSettled, lookAtJobs, stopJobs, unseenJobs } from "../train/train.ts";
import { type AnchorPlace, requireAnchored } from "./anchored.ts";
import { whoIsAsked } from "./approval.ts";
import { baseOf, openBase } from "./base.ts";
import { explain, unexplained } from "./explain.ts";
import { hindranceOf } from "./hindrance.ts";
import { retireOthers, showExperiment, showLabels, showProblems, updateRequired } from "./showing.ts";

export interface FollowPorts {
	/** A checkout of the default branch with its whole history, whose gates, prices and places apply. */
	project: Project;
	git: Git;
	github: GitHub;
}

export interface FollowOptions {
	/** Asks what still runs to stop. */
	stop: boolean;
	/** A question about the checks that is answered by a comment; empty for none. */
	question: string;
	say: (line: string) => void;
}

/** What an experiment of a pull request has come to, or why it can't be planned. */
export type Followed =
	| { file: string; documents: Documents & { jobs: Jobs } }
	| { file: string; problems: readonly Problem[] }
	/** Why it can't be planned before its training is approved; what is shown stays. */
	| { file: string; waits: string };

/** Whether it's known which run an experiment asks for: not of a file that has mistakes at the moment, here or on the base. */
const isPlanned = (followed: Followed): boolean => "documents" in followed;

/** A pull request as it was left; null where its branch is not there any more. */
export interface FollowedPull {
	pull: PullRequest;
	experiments: readonly Followed[];
}

/** Follows one pull request, or all that are open where none is named; safe to repeat, late, and twice at once. */
export async function follow(
	number: number | null,
	ports: FollowPorts,
	options: FollowOptions,
): Promise<FollowedPull[]> {
	return number === null ? followAll(ports, options.say) : [await followOne(number, ports, options)];
}

/** For all pull requests together; the workflow's job has an hour. */
const ALL_MINUTES = 45;

/** Every open pull request of this repository's own branches, and every run that one of them, or one that is closed, has asked for. */
async function followAll(ports: FollowPorts, say: FollowOptions["say"]): Promise<FollowedPull[]> {
	const { project, git, github } = ports;
	const base = (await git("rev-parse", "--abbrev-ref", "HEAD")).trim();
	const open = (await github.openPullRequests()).filter((pull) => !pull.head.fork && isBase(pull.base.ref, base));
	const followed: FollowedPull[] = [];
	const unclear = new Set<number>();
	const bugs: unknown[] = [];
	const until = Date.now() + ALL_MINUTES * 60_000;
	for (const [place, pull] of open.entries()) {
		// Several that hang leave time for those behind them.
		const share = (until - Date.now()) / 60_000 / (open.length - place);
		const minutes = Math.round(Math.min(FOLLOW_MINUTES, Math.max(2, share)));
		try {
			followed.push(
				await within(minutes, "follow", () => followPull(pull, ports, { ending: null, alone: false, say })),
			);
		} catch (error) {
			// One pull request that can't be followed keeps no other waiting, and stops nothing that it may still want.
			unclear.add(pull.number);
			say(`#${pull.number}: ${sentenceOf(error)}`);
			if (isBug(error)) bugs.push(error);
		}
	}
	for (const { pull, experiments } of followed) if (!experiments.every(isPlanned)) unclear.add(pull.number);
	const stopped = await stopOrphans(ports, followed, (claims) => !claims.some((claim) => unclear.has(claim)));
	for (const id of stopped) say(`${id}: asked to stop, no open pull request needs it any more`);
	await pruneCheckouts(project, git, new Set(open.map(({ head }) => head.sha)));
	// In the end, with its stack: the others are served.
	if (bugs.length > 0) throw bugs[0];
	return followed;
}

/** Takes one pull request's experiments as far as they go without starting a training, and shows them; once it's closed, what still runs is stopped. */
async function followOne(
	number: number,
	ports: FollowPorts,
	{ stop, question, say }: FollowOptions,
): Promise<FollowedPull> {
	const pull = await ports.github.pullRequest(number);
	if (pull.head.fork) return { pull, experiments: [] };
	const ending = stop ? "asked" : pull.state === "closed" ? "closed" : null;
	const followed = await within(FOLLOW_MINUTES, "follow", () => followPull(pull, ports, { ending, alone: true, say }));
	if (ending || followed.experiments.every(isPlanned))
		await stopOrphans(ports, pull.state === "open" ? [followed] : [], (claims) => claims.includes(number));
	if (question !== "") await answer(followed, question, ports.github);
	return followed;
}

/** Answers a question for each experiment, in a comment that the same question finds again. */
async function answer({ pull, experiments }: FollowedPull, question: string, github: GitHub): Promise<void> {
	const asked = question === "*" ? "" : question;
	for (const followed of experiments) {
		if (!("documents" in followed)) continue;
		const { plan, verdict } = followed.documents;
		const { name } = plan.experiment;
		const marker = `<!-- proving-ground: answer ${sha256(`${name}\n${asked}`)} -->`;
		const text = verdict ? explain(verdict, asked) : unexplained(name);
		await github.upsertComment(pull.number, marker, `${marker}\n${text}\n`);
	}
}

/** On a detached checkout of a default branch git knows no name for it. */
function isBase(ref: string, checkedOut: string): boolean {
	return checkedOut === "HEAD" || ref === checkedOut;
}

/** Why what runs is to stop: somebody has asked for that, or the pull request is closed. */
type Ending = "asked" | "closed";

/** Takes a pull request on; followed `alone`, it's also asked whether it has lost an experiment. */
async function followPull(
	pull: PullRequest,
	ports: FollowPorts,
	{ ending, alone, say }: { ending: Ending | null; alone: boolean; say: FollowOptions["say"] },
): Promise<FollowedPull> {
	const { project, git, github } = ports;
	const root = await checkOut(project, git, pull.head.sha, pull.number);
	const since = (await git("rev-parse", "HEAD")).trim();
	const files = await changedExperiments(root, pull.merged ? pull.base.sha : since);
	const experiments: Followed[] = [];
	for (const file of files)
		experiments.push(await advance(file, pull, { ...ports, project: project.at(root, "digested") }, ending));
	const hindrance = files.length > 0 ? await hindranceOf(pull, git) : null;
	const together = sumOf(experiments.flatMap((one) => ("documents" in one ? [one.documents.plan] : [])));
	const waits = experiments.some((one) => "documents" in one && isWaiting(one.documents));
	const approval = { together, ...(waits ? { asked: await whoIsAsked(github, project) } : {}) };
	for (const followed of experiments) {
		if ("documents" in followed)
			await showExperiment(github, pull, { ...followed.documents, ...approval, ...(hindrance ? { hindrance } : {}) });
		else if ("problems" in followed) await showProblems(github, pull, followed);
		else say(`#${pull.number}: ${followed.waits}`);
	}
	const models = experiments.flatMap((one) => ("documents" in one ? [one.documents.plan.experiment.model] : []));
	const hadSome = pull.labels.some(isOwnLabel);
	// After a merge its file is on the base too, and none of what it brings.
	if (!pull.merged && (alone || (files.length === 0 && hadSome))) await retireOthers(github, pull, files);
	const checks = experiments.length > 0 ? await updateRequired(github, pull.head.sha) : undefined;
	// Most pull requests have nothing to do with this.
	if (experiments.length > 0 || hadSome)
		await showLabels(github, pull, { models: pull.state === "open" ? models : [], all: true, checks });
	return { pull, experiments };
}

/** Plans an experiment at the pull request's head and looks: what is trained is evaluated, what is evaluated is judged, what passed is registered as pending. */
async function advance(
	file: string,
	pull: PullRequest,
	{ project, git, github }: FollowPorts,
	ending: Ending | null,
): Promise<Followed> {
	let plan: Plan;
	try {
		const { mergeCommit: commit } = pull;
		const places = { git, github };
		const { gates, waivers, checkWaivers } = commit ? await baseOf({ commit, pull }, places) : openBase(places);
		const known = { author: pull.author, lookUp: github.authorOf };
		plan = await checkWaivers(await planExperiment(project, file, { gates, waivers, known }));
	} catch (error) {
		if (error instanceof NotMadeYet) return { file, waits: error.message };
		if (!(error instanceof InvalidFile)) throw error;
		return { file, problems: error.problems };
	}
	const { store, registry } = project;
	const ports = { executor: project.executorFor(plan.machine), store, registry, pullRequest: pull.number };
	let jobs = await lookAtJobs(plan, unseenJobs(plan), ports);
	const isOpen = async (other: number) => (await github.pullRequest(other)).state === "open";
	if (ending === "asked" || (ending === "closed" && !(await isShared(jobs, ports, isOpen))))
		jobs = await stopAndWait(plan, jobs, ports, pull.merged);
	if (!isEvaluated(jobs)) return { file, documents: { plan, jobs } };
	const { evaluation: _evaluation, ...judged } = await judgeEvaluation(plan, jobs, project, { github, place: pull });
	return { file, documents: { plan, jobs, ...judged } };
}

/** The documents of an experiment that was evaluated, with its verdict; a model that passed is registered as pending. Safe to repeat. Throws InvalidInput where GitHub shows that another evaluation was judged. */
export async function judgeEvaluation(
	plan: Plan,
	jobs: Jobs,
	project: Project,
	pull: { github: GitHub; place: AnchorPlace },
) {
	const evaluation = await readEvaluation(plan, jobs, project.store);
	const report = makeReport(plan, jobs, evaluation, project.home);
	await requireAnchored(report, pull);
	await noteMeasured(report, project.registry);
	const verdict = judge(report);
	const inputs = { plan, report, verdict, approve: false, by: "", now: new Date() };
	const promotion = verdict.passed ? await promote(inputs, project) : undefined;
	return { evaluation, report, verdict, ...(promotion ? { promotion } : {}) };
}

/** Stops what runs and waits for its end as long as its machine's grace lasts: an evaluation of what is merged already goes on, for promotion needs it. */
async function stopAndWait(
	plan: Plan,
	jobs: Jobs,
	ports: Parameters<typeof lookAtJobs>[2],
	merged: boolean,
): Promise<Jobs> {
	if (merged && jobs.jobs.at(-1)?.kind === "evaluate") return jobs;
	await stopJobs(jobs, ports.executor);
	const until = Date.now() + (plan.machine.grace_seconds + 5) * 1000;
	let seen = jobs;
	while (!isSettled(seen) && seen.jobs.at(-1)?.state === "running" && Date.now() < until) {
		await new Promise((resolve) => setTimeout(resolve, 500));
		seen = await lookAtJobs(plan, seen, ports);
	}
	// Past its grace: where no launcher lives to kill what doesn't end, this does.
	await stopJobs(seen, ports.executor);
	return seen;
}

/** Stops runs that pull requests have asked for, where none of them asks for it now; those that `isMeant` says no of are left. */
async function stopOrphans(
	{ project, git, github }: FollowPorts,
	followed: readonly FollowedPull[],
	isMeant: (claims: readonly number[]) => boolean,
): Promise<RunId[]> {
	const wanted = new Map(followed.map(({ pull, experiments }) => [pull.number, new Set(experiments.flatMap(runsOf))]));
	const heads = new Map(followed.map(({ pull }) => [pull.number, pull.head.sha]));
	const base = (await git("rev-parse", "--abbrev-ref", "HEAD")).trim();
	/** Following takes a while: it may have been opened or pushed to since. And promotion needs the evaluation of what is merged. */
	const mayAsk = async (number: number, kind: string) => {
		const { state, merged, head, base: onto } = await github.pullRequest(number);
		if (merged) return kind === "evaluate";
		return state === "open" && isBase(onto.ref, base) && heads.get(number) !== head.sha;
	};
	const stopped: RunId[] = [];
	for (const executor of project.executors()) {
		for (const { id, kind } of await executor.list()) {
			const claims = await claimsOf(id, project.store);
			if (claims.length === 0 || !isMeant(claims) || claims.some((claim) => wanted.get(claim)?.has(id))) continue;
			if ((await Promise.all(claims.map((claim) => mayAsk(claim, kind)))).some(Boolean)) continue;
			await executor.stop(id);
			stopped.push(id);
		}
	}
	return stopped;
}

function runsOf(followed: Followed): RunId[] {
	if (!("documents" in followed)) return [];
	const { plan, jobs } = followed.documents;
	return [plan.run.id, ...jobs.jobs.map(({ id }) => id)];
}
