// The documents of an experiment become one comment that a reviewer can decide from, and the check run beside it.
import path from "node:path";
import type { Problem } from "../errors.ts";
import { foundText, outcomeWords, scoreText, worstFirst } from "../gate/check_words.ts";
import { waiversSection } from "../gate/waived_checks.ts";
import { waivedWords } from "../gate/waivers.ts";
import type { Jobs, JobsJob, Plan, Promotion, Report, Verdict } from "../generated/documents.d.ts";
import type { Annotation, CheckRun } from "../github/objects.ts";
import { counted } from "../text/counted.ts";
import { code, codeWithin, fold, renderTable, type Table } from "../text/markdown.ts";
import { plainLine } from "../text/plain.ts";
import { withoutPrivate } from "../text/private.ts";
import { anchorLine } from "./anchor.ts";
import { type Approval, approvalSentence } from "./approval_section.ts";
import { overlapSection, warningsSection } from "./data_section.ts";
import { addedSection, examSection } from "./exam_section.ts";
import { nearSection } from "./near_bounds_section.ts";
import { costSection, isStopping, progressText, runningSection, spentLine } from "./progress_section.ts";
import {
	allChecks,
	allChecksTitle,
	changesSection,
	checksSection,
	dataTable,
	differenceSection,
	fallenSentence,
	foldedReport,
	latencySection,
	metricsFold,
	movedSection,
	policyTable,
	provenance,
} from "./sections.ts";
import { guardsSection, startSection } from "./training_section.ts";

export interface Documents extends Approval {
	plan: Plan;
	jobs?: Jobs;
	report?: Report;
	verdict?: Verdict;
	promotion?: Promotion;
	/** Other open pull requests that train the same line of models, with their experiments that have not ended. */
	peers?: { pullRequest: number; experiments: string[] }[];
	/** Why GitHub starts no workflow for the pull request, as a sentence in Markdown. */
	hindrance?: string;
}

/** GitHub refuses a body of more than 65,536 characters. Counted in bytes, which are never fewer, and with room for its own additions. */
const MAX_BYTES = 65_000;
/** Longest name of a check run. */
const MAX_NAME = 120;
/** Longest message of a problem: its end says what is allowed. */
const MAX_PROBLEM = 400;
/** Rows of each table, tried in turn until the comment fits. */
const ROWS = [400, 200, 100, 50, 25, 12, 6, 3, 1, 0];

/** What is true of an experiment now, decided once for comment and check run. */
export type State =
	| { is: "planned" }
	| { is: "running"; job: JobsJob }
	| { is: "broken"; job: JobsJob }
	| { is: "measured" }
	| { is: "judged"; verdict: Verdict; promotion: Promotion | undefined };

/** Whether nothing of it has begun, so that it waits for its approval. */
export function isWaiting(documents: Documents): boolean {
	return stateOf(documents).is === "planned";
}

/** What the documents say of the experiment's state. */
function stateOf({ jobs, report, verdict, promotion }: Documents): State {
	// A verdict on an earlier report says nothing of this one.
	if (verdict && report && verdict.evaluation === report.evaluation) {
		const own = promotion?.manifest === verdict.manifest ? promotion : undefined;
		return { is: "judged", verdict, promotion: own };
	}
	if (report) return { is: "measured" };
	const job = jobs?.jobs.at(-1);
	if (!job || job.state === "absent") return { is: "planned" };
	return job.state === "failed" || job.state === "stopped" ? { is: "broken", job } : { is: "running", job };
}

/** The hidden first line by which our own comment is found again. */
export function markerOf({ experiment: { name } }: { experiment: { name: string } }): string {
	// A name that isn't one of ours could end the HTML comment and write what it likes after it.
	return `<!-- proving-ground: ${name.replaceAll(/[^a-z0-9-]/gi, "_")} -->`;
}

/** One Markdown document within GitHub's limit, whatever the documents hold. */
export function renderComment(documents: Documents): string {
	const { report } = documents;
	const state = stateOf(documents);
	const anchor = report && state.is === "judged" ? anchorLine(report, state.verdict) : "";
	// Only hundreds of long names in one sentence could be too long even without a row; the verdict is what must not be lost.
	const heading = `${markerOf(documents.plan)}\n### ${title(documents)}`;
	const least = () => `${heading}\n\nThe details are too long for a comment. See the report.\n\n${anchor}`.trimEnd();
	return withinLimit((rows) => withoutPrivate(`${compose(documents, rows)}${anchor && `\n${anchor}\n`}`)) ?? least();
}

/** The text with as many rows of its tables as there is room for; null where there is none for the rest. */
function withinLimit(write: (rows: number) => string): string | null {
	for (const rows of ROWS) {
		const text = write(rows);
		if (Buffer.byteLength(text) <= MAX_BYTES) return text;
	}
	return null;
}

/** The verdict in one line. */
export function title(documents: Documents): string {
	const { plan } = documents;
	const name = code(plan.experiment.name);
	const state = stateOf(documents);
	switch (state.is) {
		case "planned":
			return `📋 ${name} is planned`;
		case "running":
			return `⏳ ${name} is ${isStopping(state.job) ? "stopping" : `running: ${progressText(state.job)}`}`;
		case "broken":
			return `❌ ${name}: the ${state.job.kind === "train" ? "training" : "evaluation"} ${state.job.state === "stopped" ? "was stopped" : "failed"}`;
		case "measured":
			return `📏 ${name} is measured, not judged yet`;
		case "judged":
			return verdictTitle(name, state.verdict, state.promotion);
	}
}

function verdictTitle(name: string, verdict: Verdict, promotion: Promotion | undefined): string {
	const { counts, outcome, checks } = verdict;
	if (outcome === "pass") return passedTitle(name, verdict, promotion);
	const word = outcome === "fail" ? "fail" : "inconclusive";
	const open = worstFirst(checks.filter((check) => check.outcome === word && check.blocking));
	if (open.length === 0) return `⚠️ ${name} is inconclusive: none of its ${counted(checks.length, "check")} passed.`;
	const waived = counts.waived > 0 ? ` (${counts.waived} more waived)` : "";
	const share = `${open.length} of ${counted(checks.length, "check")}${waived}: ${placesText(open)}.`;
	return outcome === "fail" ? `❌ ${name} failed ${share}` : `⚠️ ${name} is inconclusive on ${share}`;
}

function passedTitle(name: string, verdict: Verdict, promotion: Promotion | undefined): string {
	const { checks, baseline } = verdict;
	const waived = worstFirst(checks.filter((check) => check.waived));
	const { length: unsure } = checks.filter((check) => check.outcome === "inconclusive" && !check.waived);
	const first = baseline === null ? "; there is no production model yet" : "";
	const open = unsure > 0 ? `; ${unsure} ${unsure === 1 ? "is" : "are"} inconclusive, which the policy allows` : "";
	const passed =
		waived.length > 0
			? `passed${waivedWords(waived.length)}: ${placesText(waived)}; ${passedText(verdict)} passed`
			: `passed ${passedText(verdict)}`;
	const promoted = promotion?.status === "approved" ? ` Promoted as v${promotion.version}.` : "";
	return `✅ ${name} ${passed}${first}${open}.${promoted}`;
}

/** How many checks passed, and against which model. */
function passedText({ counts, checks, baseline }: Verdict): string {
	// Checks against a production model that isn't there count neither way.
	const made = checks.length - counts.no_baseline;
	return `${counts.pass} of ${counted(made, "check")}${baseline === null ? "" : ` against production v${baseline}`}`;
}

/** What is worst at each place of these checks. */
function placesText(checks: readonly Verdict["checks"][number][]): string {
	const worst = [...Map.groupBy(checks, ({ slice }) => slice).values()].map(([check]) => check!);
	const places = worst.slice(0, 4).map(foundText);
	return `${places.join(", ")}${worst.length > 4 ? ` and ${worst.length - 4} more` : ""}`;
}

function compose(documents: Documents, rows: number): string {
	const { plan, jobs, report, verdict, promotion, hindrance } = documents;
	const state = stateOf(documents);
	const table = (value: Table, limit = rows) => renderTable(value, Math.min(rows, limit));
	const sections = [
		`${markerOf(plan)}\n### ${title(documents)}\n\n${code(plan.experiment.why)}`,
		examSection(plan, state.is === "judged" ? state.verdict : undefined),
		state.is === "broken" ? `> ${code(state.job.diagnosis ?? "No reason is known.")}` : "",
		state.is === "running" && isStopping(state.job) ? `> ${code(state.job.diagnosis!)}` : "",
		state.is === "judged" && report ? fallenSentence(report, state.verdict) : "",
		state.is === "running" ? runningSection(jobs!, state.job, plan) : "",
		state.is === "planned" ? (hindrance ? `> [!WARNING]\n> ${hindrance}` : approvalSentence(documents)) : "",
		promotion?.status === "approved" ? "" : peersSentence(documents),
		changesSection(plan, table),
		startSection(plan),
		differenceSection(plan, table),
		addedSection(plan, report, table),
		overlapSection(plan),
		warningsSection(plan),
		state.is === "judged" ? checksSection(state.verdict, table) : "",
		state.is === "judged" ? nearSection(state.verdict) : "",
		state.is === "judged" ? waiversSection(state.verdict) : "",
		report ? movedSection(report, table) : "",
		report ? latencySection(report) : "",
		report ? guardsSection(report) : "",
		state.is === "planned" || state.is === "running" ? costSection(plan) : "",
		...(state.is === "judged" && verdict ? [fold(allChecksTitle(verdict), table(allChecks(verdict)))] : []),
		...(report ? foldedReport(report, table) : []),
		metricsFold(plan, report, table),
		fold("Data", table(dataTable(plan))),
		fold("Gates", table(policyTable(plan))),
		fold("Where it comes from", provenance(plan, report)),
		jobs && report ? spentLine(report) : "",
	];
	return `${sections.filter(Boolean).join("\n\n")}\n`;
}

/** Pull requests named in a sentence; the rest is counted. */
export const MOST_PEERS = 8;

function peersSentence({ plan, peers = [] }: Documents): string {
	if (peers.length === 0) return "";
	const shown = peers.slice(0, MOST_PEERS).map(({ pullRequest, experiments }) => {
		const names = experiments.slice(0, 3).map((name) => code(name));
		if (experiments.length > 3) names.push("…");
		// Labels tell the pull requests alone.
		return names.length > 0 ? `#${pullRequest} (${names.join(", ")})` : `#${pullRequest}`;
	});
	const left = peers.length - shown.length;
	const more = left > 0 ? ` and ${left} more` : "";
	const { name, model } = plan.experiment;
	// Two of one name would write one report. Its group is taken while a run still waits for its approval.
	const first = peers.filter(({ experiments }) => experiments.includes(name)).slice(0, MOST_PEERS);
	const holders = first.map(({ pullRequest }) => `#${pullRequest}`).join(", ");
	const held =
		first.length > 0
			? ` ${holders} may hold the place of ${code(name)}: experiments of one name are trained one after the other, and one that waits for its approval or its runner keeps the place until it ends.`
			: "";
	return `🔒 Also training the line ${code(model)}: ${shown.join(", ")}${more}. When one is merged, the others are judged again, against it.${held}`;
}

/** What is wrong with a file that can't be planned, in place of its comment. */
export function renderProblems(name: string, problems: readonly Problem[]): string {
	const rows = problems.map(({ file, line, message }) => [code(file), String(line), codeWithin(message, MAX_PROBLEM)]);
	const head = ["file", "line", "problem"];
	const first = `${markerOf({ experiment: { name } })}\n### ❌ ${code(name)} can't be planned: ${problemCount(problems)}`;
	const last = "Nothing was run or spent. Push a fix to plan it again.";
	const write = (rest: number) =>
		`${first}\n\n${renderTable({ head, align: "lrl", rows, rest: "the check run" }, rest)}\n\n${last}\n`;
	return withinLimit((rest) => withoutPrivate(write(rest))) ?? `${first}\n\n${last}\n`;
}

/** The check run that goes with it: a failure, each problem on the author's own line. */
export function checkRunOfProblems(name: string, problems: readonly Problem[], sha: string): CheckRun {
	return {
		name: checkName(name),
		sha,
		status: "completed",
		conclusion: "failure",
		title: `Can't be planned: ${problemCount(problems)}`,
		summary: renderProblems(name, problems),
		annotations: problems.map(({ file, line, message }) => ({
			path: file,
			line,
			level: "failure",
			title: `${name} can't be planned`,
			message,
		})),
	};
}

function problemCount({ length }: readonly Problem[]): string {
	return counted(length, "problem");
}

/** The check run that goes with the comment. */
export function checkRunOf(documents: Documents, sha: string): CheckRun {
	const { plan } = documents;
	const state = stateOf(documents);
	// The title is plain text: GitHub shows it as it is.
	const [status, conclusion, text] = checkState(state);
	return {
		name: checkName(plan.experiment.name),
		sha,
		status,
		conclusion,
		title: text,
		summary: renderComment(documents),
		...annotationsOf(plan, state.is === "judged" ? state.verdict : undefined),
	};
}

/** What the name of an experiment's check run begins with. */
const CHECK = "proving-ground / ";

/** The name of an experiment's check run. */
export function checkName(experiment: string): string {
	// A file may be called anything; GitHub trims a name, and the next look would not find it.
	return plainLine(`${CHECK}${experiment}`, MAX_NAME);
}

/** The experiment that a check run is of; none for others. */
export function experimentOf(check: { name: string; title: string }): string[] {
	return isOfExperiment(check) ? [check.name.slice(CHECK.length)] : [];
}

/** Whether a check run is of an experiment: GitHub shows each job of each workflow as one too, of the same app. */
export function isOfExperiment({ name, title }: { name: string; title: string }): boolean {
	// A job of a workflow whose caller has such a name is a check run too, and has no title.
	return name.startsWith(CHECK) && title !== "";
}

/** Annotations of rules; the check run says how many there would be. */
const MOST_RULES = 250;

/** What the plan warns of on the author's own lines, and with a verdict what the policy's lines have brought. */
function annotationsOf({ warnings = [] }: Plan, verdict?: Verdict): Pick<CheckRun, "annotations" | "more"> {
	// A dataset's own files are in no repository.
	const written = warnings.filter(({ file }) => !path.isAbsolute(file));
	const own = written.map(({ file, line, message }): Annotation => {
		return { path: file, line, level: "warning", title: "Is this meant?", message };
	});
	if (!verdict) return own.length > 0 ? { annotations: own } : {};
	const { annotations, more } = ruleAnnotations(verdict);
	return { annotations: [...own, ...annotations], more };
}

/** Each rule that isn't met on its line of the policy, worst first, and each waiver without effect on its own. */
function ruleAnnotations({ checks, policy, waivers }: Verdict): Required<Pick<CheckRun, "annotations" | "more">> {
	const open = worstFirst(checks.filter(({ outcome }) => outcome === "fail" || outcome === "inconclusive"));
	const rules = open.slice(0, MOST_RULES).map((check): Annotation => {
		const { line, why, blocking, waived } = check;
		const level = blocking ? "failure" : waived ? "notice" : "warning";
		return {
			path: policy.file,
			line,
			level,
			title: `${scoreText(check)}: ${outcomeWords(check)}`,
			message: why,
		};
	});
	const idle = (waivers?.idle ?? []).map(({ line, why, ...check }): Annotation => {
		const title = `${scoreText(check)}: the waiver has no effect`;
		return { path: waivers!.file, line, level: "warning", title, message: why };
	});
	return { annotations: [...rules, ...idle], more: open.length - rules.length };
}

function checkState(state: State): [CheckRun["status"], CheckRun["conclusion"], string] {
	switch (state.is) {
		case "planned":
			return ["queued", null, "Planned"];
		case "running":
			return ["in_progress", null, `${isStopping(state.job) ? "Stopping" : "Running"}: ${state.job.kind}`];
		case "broken":
			return [
				"completed",
				state.job.state === "stopped" ? "cancelled" : "failure",
				`The ${state.job.kind} job ${state.job.state}`,
			];
		case "measured":
			return ["in_progress", null, "Measured, not judged yet"];
		case "judged": {
			const { outcome, counts } = state.verdict;
			return [
				"completed",
				conclusionOf(state.verdict),
				`${outcome}${waivedWords(counts.waived)}: ${passedText(state.verdict)} passed, ${counts.fail} failed, ${counts.inconclusive} inconclusive`,
			];
		}
	}
}

/** Where the data can't tell the policy has the last word: what blocks is a failure, for GitHub lets a neutral check be merged. */
function conclusionOf({ outcome, checks }: Verdict): CheckRun["conclusion"] {
	if (outcome === "pass") return "success";
	return outcome === "fail" || checks.some(({ blocking }) => blocking) ? "failure" : "neutral";
}
