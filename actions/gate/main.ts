// Judges a report against the gates that apply to it.
import path from "node:path";
import * as core from "@actions/core";
import { annotateChecks, documentPath, requiredInput, runAction } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { judge } from "../lib/gate.ts";
import { writeWaived } from "../lib/waived.ts";

await runAction(async () => {
	const file = requiredInput("report");
	const report = await readDocument("report", file);

	const verdict = judge(report);

	annotateChecks(verdict);
	await writeWaived(path.dirname(file), verdict);
	core.setOutput("verdict", await writeDocument("verdict", verdict, documentPath(report.experiment.name, "verdict")));
	core.setOutput("outcome", verdict.outcome);
	core.setOutput("passed", verdict.passed);
	core.setOutput("waived", verdict.counts.waived);
});
