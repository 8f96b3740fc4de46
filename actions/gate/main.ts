// Judges a report against the gates that apply to it.
import * as core from "@actions/core";
import { annotateChecks, requiredInput, runAction, workspaceRoot } from "../lib/action.ts";
import { readDocument } from "../lib/documents.ts";
import { judge } from "../lib/gate/gate.ts";

await runAction(async () => {
	const report = await readDocument("report", requiredInput("report"));

	const verdict = judge(report);

	annotateChecks(verdict);
	// Charts take as long to load as all the rest: not before there is something to draw.
	const { writeVerdict } = await import("../lib/page/page.ts");
	const written = await writeVerdict(workspaceRoot(), report, verdict);
	core.setOutput("verdict", written.verdict);
	core.setOutput("page", written.page);
	core.setOutput("outcome", verdict.outcome);
	core.setOutput("passed", verdict.passed);
	core.setOutput("waived", verdict.counts.waived);
});
