// Registers the model that was judged, and on merge makes it production.
import * as core from "@actions/core";
import { booleanInput, documentBeside, openWorkspace, refuseFork, requiredInput, runAction } from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { promote } from "../lib/promote.ts";
import { fromRoot } from "../lib/report.ts";

await runAction(async () => {
	await refuseFork();
	const { root, registry, store } = await openWorkspace();
	const reportFile = requiredInput("report");
	const plan = await readDocument("plan", requiredInput("plan"));
	const report = await readDocument("report", reportFile);
	const verdict = await readDocument("verdict", requiredInput("verdict"));

	const approval = { approve: booleanInput("approve"), by: core.getInput("by"), now: new Date() };
	const made = await promote({ plan, report, verdict, ...approval }, { registry, store });
	const promotion = { ...made, location: fromRoot(root, made.location) };

	core.setOutput("promotion", await writeDocument("promotion", promotion, documentBeside(reportFile, "promotion")));
	core.setOutput("version", promotion.version);
	core.setOutput("status", promotion.status);
});
