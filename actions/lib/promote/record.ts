// A promotion becomes its record: tags on the merge, reports/<name> on the branch or in a pull request, and an event.
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import path from "node:path";
import type { Plan, Promotion, Report, Verdict } from "../generated/documents.d.ts";
import type { GitHub } from "../github/objects.ts";
import type { Project } from "../project.ts";
import { reportsOf, writeReport } from "../report/report.ts";
import { findInSeries, findPromotions, leaveMark, momentOf, promotionKey, rollbackKey, tagOrTell } from "./marks.ts";
import { writePromotion } from "./promote.ts";

export interface Promoted {
	plan: Plan;
	report: Report;
	verdict: Verdict;
	promotion: Promotion;
	/** The model card as the evaluation wrote it. */
	card: string;
	/** The commit that brought the experiment to the branch. */
	commit: string;
	pullRequest: number | null;
}

interface RecordPorts {
	project: Project;
	github: GitHub;
	/** Told of a tag that GitHub refuses. */
	tell: (line: string) => void;
}

/** Leaves everything that tells of a promotion; its mark comes last, so that what was interrupted is done again. True where this call did it. */
export async function recordPromotion(promoted: Promoted, ports: RecordPorts, branch: string): Promise<boolean> {
	const { promotion, commit, pullRequest, plan } = promoted;
	const { model, version, run, manifest, experiment, replaced, approved_at } = promotion;
	const { github, project, tell } = ports;
	const { commits, free } = await findPromotions(model, version, { github, store: project.store });
	if (commits.includes(commit)) return false;
	const folder = await writeRecord(promoted, project);
	await publish(folder, promotion, { ...ports, name: free.slice("model/".length).replace("/", "-") }, branch);
	// Before the tag: an event may come twice, and must not be lost.
	await github.emit("model.promoted", {
		model,
		version,
		run,
		manifest,
		experiment,
		replaced,
		pull_request: pullRequest,
	});
	await tagCandidate(plan, promotion, commit, ports);
	await tagOrTell(free, commit, { github, tell });
	const mark = promotionKey(model, version, approved_at!, commit);
	await leaveMark(mark, commit, { store: project.store });
	return true;
}

/** `candidate/<task>/<date>`: the heads that the model has, and the day of its approval; the second of a day has a number. */
async function tagCandidate(
	{ run }: Plan,
	{ approved_at }: Promotion,
	commit: string,
	ports: RecordPorts,
): Promise<void> {
	const task = [...run.architecture.heads].sort().join("+");
	const day = `candidate/${task}/${approved_at!.slice(0, "YYYY-MM-DD".length)}`;
	const { commits, free } = await findInSeries(day, ports.github);
	if (!commits.includes(commit)) await tagOrTell(free, commit, ports);
}

/** Writes reports/<name> into a folder of its own; returns it. */
async function writeRecord(
	{ report, verdict, promotion, card }: Promoted,
	{ home, state, registry }: Project,
): Promise<string> {
	const place = path.join(state.folder, "records", promotion.run);
	const folder = reportsOf(place, promotion.experiment);
	await rm(place, { recursive: true, force: true });
	await mkdir(folder, { recursive: true });
	await writeReport(place, report, card);
	// What draws is large, and loaded where it's needed.
	const { writeVerdict } = await import("../page/page.ts");
	await writeVerdict(place, report, verdict);
	await writePromotion({ root: home, registry }, promotion, path.join(folder, "promotion.json"));
	return folder;
}

/** Commits a record: to a branch of its own with a pull request, or straight to the branch where the configuration says so. */
async function publish(
	folder: string,
	{ experiment, model, version }: Promotion,
	{ name, ...ports }: RecordPorts & { name: string },
	base: string,
): Promise<void> {
	const files = await filesOf(folder, experiment);
	const title = `Record ${model} v${version}`;
	await propose({ files, title, name, body: recordText(model, version, experiment) }, ports, base);
}

/** The files of a record by their places in the repository. */
async function filesOf(folder: string, experiment: string): Promise<Proposal["files"]> {
	const names = (await readdir(folder)).sort();
	return Promise.all(
		names.map(async (name) => ({
			path: `reports/${experiment}/${name}`,
			content: await readFile(path.join(folder, name), "utf8"),
		})),
	);
}

function recordText(model: string, version: number, experiment: string): string {
	return `\`${model}\` v${version}, from \`experiments/${experiment}.yaml\`, is production. This adds its report, verdict, model card and page to \`reports/${experiment}\`. Promotion doesn't wait for it. Merging publishes the page, and lets runners that can't reach the registry compare with this version.`;
}

interface Proposal {
	files: { path: string; content: string | null }[];
	title: string;
	name: string;
	body: string;
}

/** Brings files to a branch as the configuration says: by a commit, or by a pull request that is opened once. */
async function propose(
	{ files, title, name, body }: Proposal,
	{ project, github }: RecordPorts,
	base: string,
): Promise<void> {
	if (project.record === "commit") {
		await github.commitFiles({ branch: base, base, message: title, files });
		return;
	}
	const branch = `proving-ground/record/${name}`;
	// Merged or refused by somebody: it's not asked for again.
	if ((await github.pullRequestsOn(branch)).length > 0) return;
	await github.commitFiles({ branch, base, message: title, files });
	await github.openPullRequest({ branch, base, title, body, labels: [] });
}

/** The record of production going back to an earlier version: its promotion and entry, with who brought it back; its mark comes last, so that what was interrupted is done again. True where this call did it. */
export async function recordRollback(
	promotion: Promotion,
	commit: string,
	ports: RecordPorts,
	base: string,
): Promise<boolean> {
	const { experiment, model, version, run, approved_at } = promotion;
	const { home, state, registry, store } = ports.project;
	// Production may go back to a version many times.
	const moment = momentOf(approved_at!);
	const tag = `rollback/${model}/v${version}-${moment}`;
	const mark = rollbackKey(model, version, moment);
	if ((await store.get(mark)) !== null) return false;
	if ((await ports.github.tagged(tag)) !== null) {
		// It was stopped between the two, or is from before there were marks.
		await leaveMark(mark, commit, { store });
		return false;
	}
	const place = path.join(state.folder, "records", run);
	const folder = reportsOf(place, experiment);
	await rm(place, { recursive: true, force: true });
	// With the entry: a later version from the same file may have left its own there.
	await writePromotion({ root: home, registry }, promotion, path.join(folder, "promotion.json"));
	const files = await filesOf(folder, experiment);
	const title = `Record the rollback of ${model} to v${version}`;
	const name = `${model}-v${version}-again-${moment}`;
	const body = `\`${model}\` v${version} is production again.`;
	await propose({ files, title, name, body }, ports, base);
	await ports.github.emit("model.rolled_back", {
		model,
		version,
		run,
		manifest: promotion.manifest,
		replaced: promotion.replaced,
	});
	await tagOrTell(tag, commit, ports);
	await leaveMark(mark, commit, { store });
	return true;
}
