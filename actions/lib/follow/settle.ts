// What was merged becomes production, or an issue that says why it can't: looked up in git, GitHub and the registry, so that a run that was dropped loses nothing.
import path from "node:path";
import { title } from "../comment/comment.ts";
import { sha256 } from "../documents.ts";
import { InvalidFile, InvalidInput, ServiceError, sentenceOf } from "../errors.ts";
import type { Jobs, Plan } from "../generated/documents.d.ts";
import { checkOut } from "../git/checkouts.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";
import { planExperiment } from "../plan/plan_files.ts";
import type { Registry } from "../plan/registry.ts";
import { FOLLOW_MINUTES, within } from "../process.ts";
import type { Project } from "../project.ts";
import { findPromotions, leaveMark, promotionKey } from "../promote/marks.ts";
import { promote } from "../promote/promote.ts";
import { recordPromotion } from "../promote/record.ts";
import { code, codeWithin } from "../text/markdown.ts";
import { followJobs, lookAtJobs, unseenJobs } from "../train/train.ts";
import { baseOf, beforeMerge, parentOf } from "./base.ts";
import { judgeEvaluation } from "./follow.ts";
import { rollBackMerged } from "./rollback.ts";
import { showExperiment } from "./showing.ts";

export interface SettlePorts {
	/** A checkout of the default branch with its whole history. */
	project: Project;
	git: Git;
	github: GitHub;
}

export interface SettleOptions {
	/** The branch that was merged into. */
	branch: string;
	/** Merges longer ago than this are settled. */
	days: number;
	say: (line: string) => void;
}

/** An experiment file and the merge that brought it. */
export interface Merged {
	file: string;
	/** The commit on the branch that last changed it. */
	commit: string;
	/** The pull request of that commit; null for a direct push. */
	pull: PullRequest | null;
}

export type Settled =
	| { file: string; is: "promoted" | "there"; model: string; version: number }
	| { file: string; is: "waiting"; why: string }
	| { file: string; is: "refused"; why: string; issue: number };

/** Settles every experiment that was merged in the last days, oldest first, since each promotion is what the next is judged against. Safe to repeat. */
export async function settleMerged(ports: SettlePorts, options: SettleOptions): Promise<Settled[]> {
	const { rollbacks, told, failures } = await rollBackMerged(ports, options);
	for (const line of told) options.say(line);
	const settled: Settled[] = [];
	const isRollback = new Set(rollbacks.map(({ number }) => number));
	for (const merged of await listMerged(ports, options)) {
		// What a rollback brings back was judged when it was new, and is production by the rollback.
		if (merged.pull && isRollback.has(merged.pull.number)) continue;
		try {
			const one = await within(FOLLOW_MINUTES, "settle", () => settleOne(merged, ports, options));
			settled.push(one);
			options.say(outcomeText(one));
		} catch (error) {
			// What fails for one model, a service or we ourselves, keeps no other back; the step fails in the end, and the next run tries again.
			failures.push(error);
			options.say(`${merged.file}: could not be settled: ${sentenceOf(error)}`);
		}
	}
	if (failures[0]) throw failures[0];
	return settled;
}

/** The experiment files that stand on the branch, by the merge that brought each, oldest first. */
async function listMerged({ git, github }: SettlePorts, { branch, days }: SettleOptions): Promise<Merged[]> {
	const log = await git(
		"log",
		"--first-parent",
		`--since=${days} days ago`,
		"--format=%x00%H",
		"--name-only",
		"-m",
		"--no-renames",
		"--diff-filter=d",
		"--",
		":(glob)experiments/*.yaml",
	);
	const standing = new Set((await git("ls-files", "-z", "--", ":(glob)experiments/*.yaml")).split("\0"));
	const last = new Map<string, string>();
	for (const entry of log.split("\0").filter(Boolean)) {
		const [commit, ...files] = entry.split("\n").filter(Boolean);
		// Newest first: what is known already was changed again since.
		for (const file of files) if (standing.has(file) && !last.has(file)) last.set(file, commit!);
	}
	const pulls = new Map<string, PullRequest | null>();
	for (const commit of new Set(last.values())) {
		const found = (await github.pullRequestsOf(commit)).filter(({ merged, head }) => merged && !head.fork);
		// A rebase brings several commits, and names the last.
		const own = found.filter(({ base }) => base.ref === branch);
		const pull = own.find(({ mergeCommit }) => mergeCommit === commit) ?? own[0];
		pulls.set(commit, pull ?? (await namedPull(commit, { git, github })));
	}
	return [...last].map(([file, commit]) => ({ file, commit, pull: pulls.get(commit) ?? null })).reverse();
}

/** The merged pull request that a commit's message names; null where it names none. GitHub may know of a merge's commit late, and whoever wrote it isn't who merged it. */
async function namedPull(
	commit: string,
	{ git, github }: Pick<SettlePorts, "git" | "github">,
): Promise<PullRequest | null> {
	const [subject = ""] = (await git("log", "-1", "--format=%s", commit)).split("\n");
	const [, merged, squashed] = /^Merge (?:pull request )?#(\d{1,9})\b|\(#(\d{1,9})\)$/.exec(subject) ?? [];
	const number = merged ?? squashed;
	if (number === undefined) return null;
	const pull = await github.pullRequest(Number(number)).catch((error: unknown) => {
		// A message may name anything.
		if (error instanceof ServiceError && /\b404\b/.test(error.message)) return null;
		throw error;
	});
	return pull?.mergeCommit === commit && pull.merged && !pull.head.fork ? pull : null;
}

/** Longest reason in an issue: two digests, and what to do. */
const MAX_WHY = 600;

async function settleOne(merged: Merged, ports: SettlePorts, options: SettleOptions): Promise<Settled> {
	try {
		return await promoteMerged(merged, ports, options);
	} catch (error) {
		// A disk that is full or can't be written is no fault of the experiment's either.
		if (error instanceof ServiceError || (error as NodeJS.ErrnoException).syscall) throw error;
		const refused = await refuseMerged(merged, ports, codeWithin(sentenceOf(error), MAX_WHY));
		if (error instanceof InvalidFile || error instanceof InvalidInput) return refused;
		// A bug that one file trips over: people read of it in the issue, and we in the log.
		throw error;
	}
}

/** Looks at what was judged in the pull request and promotes it; where production has moved on, judges again from stored statistics first. */
async function promoteMerged(merged: Merged, ports: SettlePorts, options: SettleOptions): Promise<Settled> {
	const { file, pull, commit } = merged;
	const { project, git, github } = ports;
	const sha = pull?.head.sha ?? commit;
	await checkSame(merged, sha, git);
	const known = await planMerged(merged, sha, ports);
	const before = known.promoted === null ? null : await settledVersion(known, commit, ports);
	if (before !== null) return { file, is: "there", model: known.experiment.model, version: before };
	// Merged again after it was production once: it's judged against what is production now. Where no mark says that it was, a
	// run was stopped after it had approved, and another model may have taken its place since: only the record is missing.
	const { model } = known.experiment;
	const marks = { github, store: project.store };
	const isRecorded = known.promoted !== null && (await findPromotions(model, known.promoted, marks)).commits.length > 0;
	for await (const earlier of isRecorded ? broughtBefore(merged, ports) : []) {
		const version = await settledVersion(known, earlier, ports);
		if (version !== null) return { file, is: "there", model, version };
	}
	const plan = isRecorded ? await planMerged(merged, sha, { ...ports, forget: known.run.id }) : known;
	const executor = project.executorFor(plan.machine);
	const places = { executor, store: project.store, registry: project.registry };
	const seen = await lookAtJobs(plan, unseenJobs(plan), places);
	const training = seen.jobs[0]!;
	if (training.state === "running") return { file, is: "waiting", why: "its training is still running" };
	if (training.state !== "succeeded") return refuseMerged(merged, ports, brokenText(training));
	const jobs = await followJobs(plan, places);
	const last = jobs.jobs.at(-1)!;
	if (last.state !== "succeeded") return refuseMerged(merged, ports, brokenText(last));
	const { evaluation, report, verdict } = await judgeEvaluation(plan, jobs, project, {
		github,
		place: pull ?? { number: null, head: { sha: commit } },
	});
	if (!verdict.passed) {
		const failed = { plan, jobs, report, verdict };
		// What it says there is from before production had moved on; once it says failed, it's of the day of the merge.
		if (pull) await showExperiment(github, pull, failed, (shown) => shown.includes("\n### ❌"));
		return refuseMerged(merged, ports, title(failed));
	}
	const by = pull?.mergedBy ?? (await authorOf(commit, git));
	const promotion = await promote({ plan, report, verdict, approve: true, by, now: new Date() }, project);
	const record = { plan, report, verdict, promotion, card: evaluation.card, commit, pullRequest: pull?.number ?? null };
	const since = `**Update:** it was promoted as ${code(promotion.model)} v${promotion.version}.`;
	// Also those of its merges before this one.
	await github.closeIssue(refusalMarker(file), since);
	// Before the mark, which ends a promotion: what fails here is done again.
	if (pull) await showExperiment(github, pull, { plan, jobs, report, verdict, promotion });
	const isNew = await recordPromotion(record, { ...ports, tell: options.say }, options.branch);
	return { file, is: isNew ? "promoted" : "there", model: promotion.model, version: promotion.version };
}

function brokenText({ kind, state, diagnosis }: Jobs["jobs"][number]): string {
	const what = kind === "train" ? "training" : "evaluation";
	const found = state === "absent" ? `its ${what} was never run` : `its ${what} ${state}`;
	return diagnosis ? `${found}: ${code(diagnosis)}` : found;
}

/** The version that this very merge has made production; null where it hasn't yet. */
async function settledVersion(
	{ run, experiment: { model } }: Plan,
	commit: string,
	{ project, github }: SettlePorts,
): Promise<number | null> {
	const { store } = project;
	const { versions, approvals } = await project.registry.history(model);
	for (const { entry } of versions) {
		if (entry.run !== run.id) continue;
		const { commits, marked } = await findPromotions(model, entry.version, { github, store });
		if (!commits.includes(commit)) continue;
		if (!marked.includes(commit)) {
			// It was stopped between its tag and its mark, or is from before there were marks.
			const own = approvals.filter(({ version, replaced }) => version === entry.version && (replaced ?? 0) < version);
			const approval = own[commits.indexOf(commit)] ?? own.at(-1);
			if (approval)
				await leaveMark(promotionKey(model, entry.version, approval.approved_at, commit), commit, { store });
		}
		return entry.version;
	}
	return null;
}

/** The commits, newest first, that changed the file before this one, as far back as all since has changed only what isn't trained, such as a comment. */
async function* broughtBefore({ file, commit }: Merged, { project, git }: SettlePorts): AsyncGenerator<string> {
	// Each planned with its own trainer and recipes, which others may have changed while the pull request was open.
	const runAt = async (sha: string): Promise<string | null> => {
		const at = project.at(await checkOut(project, git, sha, null), "merged");
		try {
			return (await planExperiment(at, file)).run.id;
		} catch (error) {
			if (error instanceof InvalidFile || error instanceof InvalidInput) return null;
			throw error;
		}
	};
	for (let at = commit; ; ) {
		const parent = await parentOf(at, git);
		// Removed before, as by a revert: this has brought it back.
		if (parent === null || (await git("ls-tree", parent, "--", file)).trim() === "") return;
		const run = await runAt(parent);
		if (run === null || run !== (await runAt(at))) return;
		at = (await git("log", "-1", "--first-parent", "--format=%H", parent, "--", `:(literal)${file}`)).trim();
		yield at;
	}
}

/** The registry as it would be had the run never been production. */
function forgetting(registry: Registry, run: string): Registry {
	return {
		...registry,
		async history(model) {
			const { versions, approvals } = await registry.history(model);
			const own = new Set(versions.filter(({ entry }) => entry.run === run).map(({ entry }) => entry.version));
			return { versions, approvals: approvals.filter(({ version }) => !own.has(version)) };
		},
	};
}

/** The plan of what was judged, by the gates of before the merge: with the machines of the branch, or, where those have changed since, of before it too. */
async function planMerged(
	merged: Merged,
	sha: string,
	{ forget, ...ports }: SettlePorts & { forget?: string },
): Promise<Plan> {
	const { file, pull } = merged;
	const { project, git, github } = ports;
	const checkedOut = project.at(await checkOut(project, git, sha, pull?.number ?? null), "merged");
	const at = forget ? { ...checkedOut, registry: forgetting(checkedOut.registry, forget) } : checkedOut;
	const { gates, waivers, checkWaivers } = await baseOf(merged, ports);
	const planBy = async (base: string) => {
		const known = { ...(pull ? { author: pull.author } : {}), lookUp: github.authorOf };
		return checkWaivers(await planExperiment(at, file, { base, gates, waivers, known }));
	};
	const plan = await planBy(project.home);
	const trained = async ({ run, machine }: Plan) =>
		(await project.executorFor(machine).look(run.id)).state !== "absent";
	if (await trained(plan)) return plan;
	const parent = await beforeMerge(merged, ports);
	if (parent === null) return plan;
	const before = await planBy(await checkOut(project, git, parent, null)).catch((error: unknown) => {
		if (error instanceof InvalidFile || error instanceof InvalidInput) return plan;
		throw error;
	});
	return (await trained(before)) ? before : plan;
}

/** The merge must have brought the file that was judged, to the byte. */
async function checkSame({ file, commit, pull }: Merged, sha: string, git: Git): Promise<void> {
	if (!pull) return;
	await git("cat-file", "-e", `${sha}^{commit}`).catch(() =>
		git("fetch", "--quiet", "--no-tags", "origin", `refs/pull/${pull.number}/head`),
	);
	const blob = async (revision: string) => (await git("rev-parse", `${revision}:${file}`).catch(() => "")).trim();
	if ((await blob(commit)) !== (await blob(sha)))
		throw new InvalidInput(`The merge of #${pull.number} changed ${file}: it isn't the file that was judged.`);
}

async function authorOf(commit: string, git: Git): Promise<string> {
	return (await git("log", "-1", "--format=%an", commit)).trim();
}

const HOW_TO_GO_ON = `**What to do**

- Revert the merge, or change the experiment in a new pull request. It is trained and judged there.
- To let a check by for a while, merge a waiver into \`recipes/gates/waivers.yaml\` by itself. Then run the workflow \`promote\` by hand, or \`follow\` if that promotes.
- If the training was stopped or never ran, open a new pull request with the same experiment. Training resumes from its checkpoint.

This issue is closed when the model is promoted.`;

/** What the marker of each issue about an experiment file begins with; a name may hold anything. */
function refusalMarker(file: string): string {
	return `<!-- proving-ground: refused ${sha256(file)} `;
}

/** Opens one issue for what can't be promoted, with why (Markdown) and how to go on. */
async function refuseMerged({ file, pull, commit }: Merged, { github }: SettlePorts, why: string): Promise<Settled> {
	const brought = pull ? `merged with #${pull.number}` : `pushed with ${code(commit)}`;
	const { number } = await github.openIssue({
		marker: `${refusalMarker(file)}${commit} -->`,
		title: `${path.basename(file, ".yaml")} was merged but not promoted`,
		body: [
			`${code(file)}, ${brought}, was not promoted. Production is unchanged.`,
			`**Why:** ${why}`,
			HOW_TO_GO_ON,
		].join("\n\n"),
		labels: [],
	});
	return { file, is: "refused", why, issue: number };
}

function outcomeText(settled: Settled): string {
	switch (settled.is) {
		case "promoted":
			return `${settled.file}: promoted as ${settled.model} v${settled.version}`;
		case "there":
			return `${settled.file}: already promoted as ${settled.model} v${settled.version}`;
		case "waiting":
			return `${settled.file}: waiting: ${settled.why}`;
		case "refused":
			return `${settled.file}: refused: ${settled.why} (#${settled.issue})`;
	}
}
