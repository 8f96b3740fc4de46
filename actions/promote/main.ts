// Registers the model that was judged, and on merge makes it production.
import * as core from "@actions/core";
import { documentBeside, openWorkspace, refuseFork, runAction } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { promote } from "../lib/promote.ts";

await runAction(async () => {
	await refuseFork();
	const { registry, store } = await openWorkspace();
	const reportFile = core.getInput("report", { required: true });
	const plan = await readDocument("plan", core.getInput("plan", { required: true }));
	const report = await readDocument("report", reportFile);
	const verdict = await readDocument("verdict", core.getInput("verdict", { required: true }));

	const approval = { approve: core.getBooleanInput("approve"), by: core.getInput("by"), now: new Date() };
	const promotion = await promote({ plan, report, verdict, ...approval }, { registry, store });

	core.setOutput("promotion", await writeDocument("promotion", promotion, documentBeside(reportFile, "promotion")));
	core.setOutput("version", promotion.version);
	core.setOutput("status", promotion.status);
});
