// Judges a report against the gates that apply to it.
import * as core from "@actions/core";
import { annotateChecks, documentBeside, runAction } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { judge } from "../lib/gate.ts";

await runAction(async () => {
	const reportFile = core.getInput("report", { required: true });
	const report = await readDocument("report", reportFile);

	const verdict = judge(report);

	annotateChecks(verdict);
	core.setOutput("verdict", await writeDocument("verdict", verdict, documentBeside(reportFile, "verdict")));
	core.setOutput("outcome", verdict.outcome);
	core.setOutput("passed", verdict.passed);
});
