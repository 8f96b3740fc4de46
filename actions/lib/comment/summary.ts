// What was planned becomes the job summary, which is where a fork's author reads it.
import { nameOfFile } from "../experiment/experiment.ts";
import { type Spend, sumOf } from "../plan/estimate.ts";
import { approvalOf, shortApproval } from "../plan/identity.ts";
import type { PlannedFiles } from "../plan/plan_files.ts";
import { code, renderTable } from "../text/markdown.ts";
import { ENVIRONMENT } from "./approval_section.ts";
import { renderComment, renderProblems } from "./comment.ts";
import { spendText } from "./progress_section.ts";

/** GitHub takes a mebibyte from a step. */
const MAX_SUMMARY = 1_000_000;

/** The comment of each experiment, or its problems, one after the other, as many as fit. */
export function summarisePlans({ plans, refused }: Pick<PlannedFiles, "plans" | "refused">): string {
	const together = sumOf(plans.map(({ plan }) => plan));
	const sections = [
		...(plans.length > 1 ? [renderTogether(plans, together)] : []),
		...refused.map(({ file, problems }) => renderProblems(nameOfFile(file), problems)),
		...plans.map(({ plan }) => renderComment({ plan, approval: shortApproval(approvalOf(plan)), together })),
	];
	let text = "";
	for (const [index, section] of sections.entries()) {
		if (Buffer.byteLength(text) + Buffer.byteLength(section) > MAX_SUMMARY)
			return `${text}\n\n…and ${sections.length - index} more experiments, each with its own check run.\n`;
		text += `${section}\n\n`;
	}
	return text || "No experiment was added or changed.\n";
}

/** More runs than a matrix has. */
const MOST_RUNS = 256;

/** What one approval may start: each run by its plan, and their sum. */
function renderTogether(plans: PlannedFiles["plans"], together: Spend): string {
	const rows = plans.map(({ plan }) => [
		code(plan.experiment.name),
		code(`${shortApproval(approvalOf(plan))}…`),
		code(plan.machine.name),
		spendText(sumOf([plan])),
	]);
	const table = renderTable(
		{ head: ["run", "plan", "machine", "takes"], align: "llll", rows, rest: "plan.json" },
		MOST_RUNS,
	);
	return `### All ${together.runs} runs of this pull request\n\nTogether they take ${spendText(together)}. One approval of the environment ${code(ENVIRONMENT)}, if it has required reviewers, starts all of them.\n\n${table}`;
}
