// Judges a report against the gates that apply to it.
import path from "node:path";
import * as core from "@actions/core";
import { annotateChecks, requiredInput, runAction, workspaceRoot } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { judge } from "../lib/gate.ts";
import { writePage } from "../lib/page.ts";
import { reportsOf } from "../lib/report.ts";

await runAction(async () => {
	const root = workspaceRoot();
	const report = await readDocument("report", requiredInput("report"));

	const verdict = judge(report);

	annotateChecks(verdict);
	const file = path.join(reportsOf(root, report.experiment.name), "verdict.json");
	core.setOutput("verdict", await writeDocument("verdict", verdict, file));
	core.setOutput("page", await writePage(root, report, verdict));
	core.setOutput("outcome", verdict.outcome);
	core.setOutput("passed", verdict.passed);
});
