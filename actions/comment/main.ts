// Shows the state of an experiment: job summary, sticky comment, check run, labels.
import * as core from "@actions/core";
import { booleanInput, openPullRequest, readPlan, runAction } from "../lib/action.ts";
import { parseAsked } from "../lib/comment/approval_section.ts";
import { renderComment } from "../lib/comment/comment.ts";
import { readDocuments } from "../lib/documents.ts";
import { keepOwnRun, showAll } from "../lib/follow/showing.ts";
import { parseRefused, parseTogether } from "../lib/plan/packed_plan.ts";

await runAction(async () => {
	const refused = parseRefused(core.getInput("refused"));
	const plan = await readPlan();
	const together = parseTogether(core.getInput("together"));
	const approval = { ...(together ? { together } : {}), ...parseAsked(core.getInput("asked")) };
	const documents = plan && {
		plan,
		...(await readDocuments(["jobs", "report", "verdict", "promotion"], core.getInput)),
		...approval,
	};
	const body = documents ? renderComment(documents) : "";
	await core.summary.addRaw(body).write();
	core.setOutput("body", body);

	const keep = booleanInput("keep-same-run") ? keepOwnRun(plan, approval) : undefined;
	const shown = await showAll(await openPullRequest(), { documents, refused }, keep);
	core.setOutput("comment", shown?.comment);
	core.setOutput("check-run", shown?.checkRun);
});
