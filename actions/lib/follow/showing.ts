// An experiment's documents become what people see of it on its pull request: comment, check run, labels.
import {
	checkRunOf,
	checkRunOfProblems,
	type Documents,
	isOfExperiment,
	markerOf,
	renderComment,
	renderProblems,
} from "../comment/comment.ts";
import { isOwnLabel, labelChanges, labelsOf, lineLabel } from "../comment/labels.ts";
import { InvalidInput, type Problem } from "../errors.ts";
import { nameOfFile } from "../experiment/experiment.ts";
import type { Jobs, Plan } from "../generated/documents.d.ts";
import type { GitHub, PullRequest, Written } from "../github/github.ts";
import { approvalOf, shortApproval } from "../plan/plan.ts";
import type { PlannedFiles } from "../project.ts";
import { code } from "../text/markdown.ts";

/** A pull request, as far as showing needs it. */
export type Place = Pick<PullRequest, "number"> & Partial<Pick<PullRequest, "labels">> & { head: { sha: string } };

/** What was written where. */
export interface Shown {
	comment: Written;
	checkRun: Written;
}

/** Shows an experiment: at most one write of the comment and one of the check run, none where nothing changed. */
export async function showExperiment(
	github: GitHub,
	{ number, head }: Place,
	documents: Documents,
	keep?: (shown: string) => boolean,
): Promise<Shown> {
	const peers = await peersOf(github, number, documents.plan.experiment.model);
	const shown = { ...documents, peers, approval: shortApproval(approvalOf(documents.plan)) };
	const comment = await github.upsertComment(number, markerOf(documents.plan), renderComment(shown), keep);
	// What is there is of the same run and says more: its check run is as well.
	if (comment === "unchanged" && keep) return { comment, checkRun: "unchanged" };
	return { comment, checkRun: await github.upsertCheckRun(checkRunOf(shown, head.sha)) };
}

/** Shows why an experiment file can't be planned. */
export async function showProblems(
	github: GitHub,
	{ number, head }: Place,
	{ file, problems }: { file: string; problems: readonly Problem[] },
): Promise<Shown> {
	const name = nameOfFile(file);
	const comment = await github.upsertComment(
		number,
		markerOf({ experiment: { name } }),
		renderProblems(name, problems),
	);
	return { comment, checkRun: await github.upsertCheckRun(checkRunOfProblems(name, problems, head.sha)) };
}

/** Shows an experiment, and files that can't be planned, with the pull request's labels; null where there is no pull request. */
export async function showAll(
	pull: { github: GitHub; place: Place } | null,
	{ documents, refused }: { documents: Documents | null; refused: PlannedFiles["refused"] },
	keep?: (shown: string) => boolean,
): Promise<Shown | null> {
	if (!pull) return null;
	const { github, place } = pull;
	let shown: Shown | null = null;
	for (const file of refused) shown = await showProblems(github, place, file);
	if (documents) shown = await showExperiment(github, place, documents, keep);
	await showLabels(github, place, { models: documents ? [documents.plan.experiment.model] : [], all: false });
	return shown;
}

/** Says in comments of experiments that a pull request has brought, and has no more, that they are of the past. */
export async function retireOthers(github: GitHub, { number }: Place, files: readonly string[]): Promise<void> {
	const kept = new Set(files.map((file) => markerOf({ experiment: { name: nameOfFile(file) } })));
	for (const body of await github.commentsOf(number, "<!-- proving-ground: ")) {
		// Answers and backtests have words there, an experiment its name.
		const [marker, name = ""] = /^<!-- proving-ground: ([\w-]+) -->/.exec(body) ?? [];
		if (!marker || kept.has(marker)) continue;
		const gone = `### ⏹️ ${code(name)} is no experiment of this pull request any more\n\nWhat ran for it was asked to stop, with a checkpoint.\n`;
		await github.upsertComment(number, marker, `${marker}\n${gone}`);
	}
}

/** Leaves a comment that is of the same run already and says more than that this is planned, or says that of this very approval: a price may have changed. */
export function keepOwnRun(plan: Plan | null): (shown: string) => boolean {
	if (plan === null) return () => false;
	const approval = shortApproval(approvalOf(plan));
	return (shown) =>
		shown.includes(`\`${plan.run.id}\``) && (!shown.includes("### 📋") || shown.includes(`\`${approval}`));
}

/** Other open pull requests that train the same line of models. */
async function peersOf(github: GitHub, number: number, model: string) {
	const numbers = await github.labelled(lineLabel(model).name);
	return numbers.filter((other) => other !== number).map((pullRequest) => ({ pullRequest, experiments: [] }));
}

/** Gives a pull request the labels of what its check runs say, and of the lines of models that it trains; takes other lines away only where these are all of them. */
export async function showLabels(
	github: GitHub,
	{ number, head, labels }: Place,
	{ models, all }: { models: readonly string[]; all: boolean },
): Promise<Written> {
	const lines = [...new Set(models)].map(lineLabel);
	const checks = (await github.checkRuns(head.sha)).filter(isOfExperiment);
	const wanted = [...labelsOf(checks), ...lines];
	const own = (name: string) => isOwnLabel(name) && (all || !name.startsWith("line:"));
	// A pull request that was just read has told what it has.
	const changes = labels && labelChanges(labels, wanted, own);
	if (changes && changes.missing.length + changes.over.length === 0) return "unchanged";
	return github.setLabels(number, wanted, own);
}

/** Throws InvalidInput where a pull request isn't open, isn't of this repository, or has another head than the one that was planned. */
export async function requireCurrent(pull: { github: GitHub; place: Place } | null): Promise<void> {
	if (!pull) return;
	const { number, head } = pull.place;
	const now = await pull.github.pullRequest(number);
	if (now.head.fork) throw new InvalidInput(`#${number} is of a fork: it can be planned, never run.`);
	if (now.state !== "open") throw new InvalidInput(`#${number} is closed: nothing is started for it.`);
	if (now.head.sha !== head.sha)
		throw new InvalidInput(
			`#${number} was pushed to since: its head is ${now.head.sha}, and ${head.sha} was planned and approved. The run of the new head takes over.`,
		);
}

/** How often a followed job is shown, and its pull request looked at, which takes five requests: the token has a thousand an hour. */
const EVERY_MS = 120_000;

/** Acts on what is seen of jobs now and then; a failure stops nothing. */
function nowAndThen(
	act: (jobs: Jobs) => Promise<unknown>,
	{ atOnce, failed }: { atOnce: boolean; failed: (error: Error) => void },
): (jobs: Jobs) => void {
	let last = atOnce ? Number.NEGATIVE_INFINITY : Date.now();
	return (jobs) => {
		if (Date.now() - last < EVERY_MS) return;
		last = Date.now();
		act(jobs).catch(failed);
	};
}

/** Stops jobs that are followed once their pull request is closed, or its head has the experiment no more: of a push that takes the last one out no workflow hears. */
export function unwantedStopper(
	plan: Plan,
	pull: { github: GitHub; place: Place } | null,
	{ stop, say }: { stop: (jobs: Jobs) => Promise<void>; say: (line: string) => void },
): (jobs: Jobs) => void {
	if (!pull) return () => {};
	const { github, place } = pull;
	const whyUnwanted = async ({ jobs }: Jobs) => {
		const { state, merged, head } = await github.pullRequest(place.number);
		// Promotion needs the evaluation of what is merged.
		if (merged && jobs.at(-1)?.kind === "evaluate") return null;
		if (state === "closed") return "is closed";
		if (head.sha === place.head.sha || (await github.hasFile(plan.experiment.file, head.sha))) return null;
		return `has no ${plan.experiment.file} any more`;
	};
	const act = async (jobs: Jobs) => {
		const why = await whyUnwanted(jobs);
		if (why === null) return;
		say(`#${place.number} ${why}: what runs for it is asked to stop.`);
		await stop(jobs);
	};
	const failed = ({ message }: Error) => say(`Whether it is still wanted could not be asked: ${message}`);
	return nowAndThen(act, { atOnce: false, failed });
}

/** Shows how far jobs are while they are followed; a failure to show is said. */
export function progressShower(
	plan: Plan,
	pull: { github: GitHub; place: Place } | null,
	say: (line: string) => void,
): (jobs: Jobs) => void {
	if (!pull) return () => {};
	const failed = ({ message }: Error) => say(`The progress could not be shown: ${message}`);
	return nowAndThen((jobs) => showExperiment(pull.github, pull.place, { plan, jobs }), { atOnce: true, failed });
}
