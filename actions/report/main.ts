// Joins what was measured with the plan.
import * as core from "@actions/core";
import { openWorkspace, requiredInput, runAction } from "../lib/action.ts";
import { readDocument } from "../lib/documents.ts";
import { makeReport, readEvaluation, writeReport } from "../lib/report.ts";

await runAction(async () => {
	const { root, store } = await openWorkspace();
	const plan = await readDocument("plan", requiredInput("plan"));
	const jobs = await readDocument("jobs", requiredInput("jobs"));

	const evaluation = await readEvaluation(plan, jobs, store);
	const { report, card } = await writeReport(root, makeReport(plan, jobs, evaluation), evaluation.card);

	core.setOutput("report", report);
	core.setOutput("model-card", card);
});
