// Joins what was measured with the plan.
import * as core from "@actions/core";
import { openWorkspace, requiredInput, runAction } from "../lib/action.ts";
import { readDocument } from "../lib/documents.ts";
import { noteMeasured } from "../lib/report/anchor.ts";
import { makeReport, readEvaluation, writeReport } from "../lib/report/report.ts";

await runAction(async () => {
	const { root, store, registry } = await openWorkspace();
	const plan = await readDocument("plan", requiredInput("plan"));
	const jobs = await readDocument("jobs", requiredInput("jobs"));

	const evaluation = await readEvaluation(plan, jobs, store);
	const report = makeReport(plan, jobs, evaluation, root);
	await noteMeasured(report, registry);
	const written = await writeReport(root, report, evaluation.card);

	// Charts take as long to load as all the rest: not before there is something to draw.
	const { writePage } = await import("../lib/page/page.ts");
	const page = await writePage(root, report);
	core.setOutput("report", written.report);
	core.setOutput("model-card", written.card);
	core.setOutput("page", page);
});
