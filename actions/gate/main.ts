// Judges a report against the gates that apply to it.
import * as core from "@actions/core";
import { annotateChecks, documentPath, requiredInput, runAction } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { judge } from "../lib/gate.ts";

await runAction(async () => {
	const report = await readDocument("report", requiredInput("report"));

	const verdict = judge(report);

	annotateChecks(verdict);
	core.setOutput("verdict", await writeDocument("verdict", verdict, documentPath(report.experiment.name, "verdict")));
	core.setOutput("outcome", verdict.outcome);
	core.setOutput("passed", verdict.passed);
});
