// What was planned becomes the job summary, which is where a fork's author reads it.
import { nameOfFile } from "../experiment/experiment.ts";
import { approvalOf, shortApproval } from "../plan/identity.ts";
import type { PlannedFiles } from "../plan/plan_files.ts";
import { renderComment, renderProblems } from "./comment.ts";

/** GitHub takes a mebibyte from a step. */
const MAX_SUMMARY = 1_000_000;

/** The comment of each experiment, or its problems, one after the other, as many as fit. */
export function summarisePlans({ plans, refused }: Pick<PlannedFiles, "plans" | "refused">): string {
	const sections = [
		...refused.map(({ file, problems }) => renderProblems(nameOfFile(file), problems)),
		...plans.map(({ plan }) => renderComment({ plan, approval: shortApproval(approvalOf(plan)) })),
	];
	let text = "";
	for (const [index, section] of sections.entries()) {
		if (Buffer.byteLength(text) + Buffer.byteLength(section) > MAX_SUMMARY)
			return `${text}\n\n…and ${sections.length - index} more experiments, each with its own check run.\n`;
		text += `${section}\n\n`;
	}
	return text || "No experiment was added or changed.\n";
}
