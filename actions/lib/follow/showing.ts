// An experiment's documents become what people see of it on its pull request: comment, check run, labels.
import { type Approval, approvalSentence } from "../comment/approval_section.ts";
import {
	checkRunOf,
	checkRunOfProblems,
	type Documents,
	experimentOf,
	isOfExperiment,
	isWaiting,
	MOST_PEERS,
	markerOf,
	renderComment,
	renderProblems,
} from "../comment/comment.ts";
import { isOwnLabel, labelsOf, lineLabel } from "../comment/labels.ts";
import { experimentsOf, isRequired, requiredCheck } from "../comment/required.ts";
import { InvalidInput, type Problem } from "../errors.ts";
import { nameOfFile } from "../experiment/experiment.ts";
import type { Plan } from "../generated/documents.d.ts";
import { labelChanges } from "../github/labels.ts";
import type { GitHub, PullRequest, ShownCheck, Written } from "../github/objects.ts";
import { approvalOf, shortApproval } from "../plan/identity.ts";
import type { PlannedFiles } from "../plan/plan_files.ts";
import { code } from "../text/markdown.ts";
import { requireAnchored } from "./anchored.ts";

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
	const peers = await peersOf(github, number, documents);
	const shown = { ...documents, peers, approval: shortApproval(approvalOf(documents.plan)) };
	const comment = await github.upsertComment(number, markerOf(documents.plan), renderComment(shown), keep);
	const check = checkRunOf(shown, head.sha);
	// What is there is of the same run and says more, and its check run as well, unless whoever wrote it was stopped before that.
	const isKept = keep && comment === "unchanged" && (await github.checkSummaries(head.sha, check.name)).length > 0;
	return { comment, checkRun: isKept ? "unchanged" : await github.upsertCheckRun(check) };
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

/** Shows an experiment, and files that can't be planned, with the pull request's labels; null where there is no pull request. Throws InvalidInput where what is shown was judged by another evaluation. */
export async function showAll(
	pull: { github: GitHub; place: Place } | null,
	{ documents, refused }: { documents: Documents | null; refused: PlannedFiles["refused"] },
	keep?: (shown: string) => boolean,
): Promise<Shown | null> {
	if (!pull) return null;
	const { github, place } = pull;
	if (documents?.report) await requireAnchored(documents.report, pull);
	let shown: Shown | null = null;
	for (const file of refused) shown = await showProblems(github, place, file);
	if (documents) shown = await showExperiment(github, place, documents, keep);
	const checks = await updateRequired(github, place.head.sha);
	await showLabels(github, place, { models: documents ? [documents.plan.experiment.model] : [], all: false, checks });
	return shown;
}

/** Makes the required check of a commit say what the check runs of its experiments say, where the repository has asked for one; gives the check runs that it has read. */
export async function updateRequired(github: GitHub, sha: string): Promise<ShownCheck[]> {
	const checks = await github.checkRuns(sha);
	const required = checks.find(isRequired);
	if (required) await github.upsertCheckRun(requiredCheck(experimentsOf(required), checks.filter(isOfExperiment), sha));
	return checks;
}

/** Asks for a required check of a pull request with so many experiments. Throws InvalidInput where there is no pull request to write to, as of a fork, and experiments that are never trained there. */
export async function askForRequired(
	pull: { github: GitHub; place: Place } | null,
	experiments: number,
): Promise<Written | null> {
	if (pull) {
		const { github, place } = pull;
		const checks = (await github.checkRuns(place.head.sha)).filter(isOfExperiment);
		return github.upsertCheckRun(requiredCheck(experiments, checks, place.head.sha));
	}
	if (experiments > 0)
		throw new InvalidInput(
			"A fork's experiments are planned but never trained, so none of them can pass. Somebody who may push here can open them from a branch of this repository.",
		);
	return null;
}

/** Says in comments of experiments that a pull request has brought, and has no more, that they are of the past. */
export async function retireOthers(github: GitHub, { number }: Place, files: readonly string[]): Promise<void> {
	const kept = new Set(files.map((file) => markerOf({ experiment: { name: nameOfFile(file) } })));
	for (const body of await github.commentsOf(number, "<!-- proving-ground: ")) {
		// Answers and backtests have words there, an experiment its name.
		const [marker, name = ""] = /^<!-- proving-ground: ([\w-]+) -->/.exec(body) ?? [];
		if (!marker || kept.has(marker)) continue;
		const gone = `### ⏹️ ${code(name)} is no longer in this pull request\n\nIts jobs were asked to save a checkpoint and stop.\n`;
		await github.upsertComment(number, marker, `${marker}\n${gone}`);
	}
}

/** Leaves a comment that is of the same run already and says more than that this is planned, or says that of this very approval: a price may have changed, or what it starts beside this. */
export function keepOwnRun(
	plan: Plan | null,
	approval: Pick<Approval, "together" | "asked"> = {},
): (shown: string) => boolean {
	if (plan === null) return () => false;
	const sentence = approvalSentence({ ...approval, approval: shortApproval(approvalOf(plan)) });
	return (shown) => shown.includes(`\`${plan.run.id}\``) && (!shown.includes("### 📋") || shown.includes(sentence));
}

/** Other open pull requests that train the same line of models. What of them has not ended is read while it can keep this one waiting. */
async function peersOf(github: GitHub, number: number, documents: Documents) {
	const labelled = await github.labelled(lineLabel(documents.plan.experiment.model).name);
	const others = labelled.filter((other) => other.number !== number);
	const asks = isWaiting(documents);
	const openOf = async ({ head }: PullRequest) =>
		(await github.checkRuns(head.sha)).flatMap((check) => (check.status === "completed" ? [] : experimentOf(check)));
	return Promise.all(
		others.map(async (other, place) => ({
			pullRequest: other.number,
			experiments: asks && place < MOST_PEERS ? await openOf(other) : [],
		})),
	);
}

/** Gives a pull request the labels of what its check runs say, and of the lines of models that it trains; takes other lines away only where these are all of them. */
export async function showLabels(
	github: GitHub,
	{ number, head, labels }: Place,
	{ models, all, checks }: { models: readonly string[]; all: boolean; checks?: readonly ShownCheck[] | undefined },
): Promise<Written> {
	const lines = [...new Set(models)].map(lineLabel);
	// Whoever has just read the check runs hands them on.
	const shown = checks ?? (await github.checkRuns(head.sha));
	const wanted = [...labelsOf(shown.filter(isOfExperiment)), ...lines];
	const own = (name: string) => isOwnLabel(name) && (all || !name.startsWith("line:"));
	// A pull request that was just read has told what it has.
	const changes = labels && labelChanges(labels, wanted, own);
	if (changes && changes.missing.length + changes.over.length === 0) return "unchanged";
	return github.setLabels(number, wanted, own);
}
