// Registers the model that was judged, and on merge makes it production.
import * as core from "@actions/core";
import {
	booleanInput,
	documentBeside,
	gatesInput,
	openHead,
	openPullRequest,
	refuseFork,
	requiredInput,
	runAction,
} from "../lib/action.ts";
import { readDocument } from "../lib/documents.ts";
import { requireAnchored } from "../lib/follow/anchored.ts";
import { refuseEdited } from "../lib/plan/plan_files.ts";
import { promote, writePromotion } from "../lib/promote/promote.ts";

await runAction(async () => {
	await refuseFork();
	const project = await openHead();
	const reportFile = requiredInput("report");
	const plan = await readDocument("plan", requiredInput("plan"));
	const report = await readDocument("report", reportFile);
	const verdict = await readDocument("verdict", requiredInput("verdict"));

	await refuseEdited(project, plan, await gatesInput());
	await requireAnchored(report, await openPullRequest());
	const approval = { approve: booleanInput("approve"), by: core.getInput("by"), now: new Date() };
	const promotion = await promote({ plan, report, verdict, ...approval }, project);
	const file = documentBeside(reportFile, "promotion");
	await writePromotion(project, promotion, file);

	core.setOutput("promotion", file);
	core.setOutput("version", promotion.version);
	core.setOutput("status", promotion.status);
});
