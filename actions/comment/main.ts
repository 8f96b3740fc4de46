// Shows the state of an experiment: job summary, sticky comment, check run.
import * as core from "@actions/core";
import { pullRequestPlace, requiredInput, runAction } from "../lib/action.ts";
import { checkRunOf, markerOf, renderComment } from "../lib/comment.ts";
import { readDocument, readDocuments } from "../lib/documents.ts";
import { openGitHub } from "../lib/github.ts";

await runAction(async () => {
	const plan = await readDocument("plan", requiredInput("plan"));
	const others = await readDocuments(["jobs", "report", "verdict", "promotion"], core.getInput);
	const body = renderComment({ plan, ...others });
	await core.summary.addRaw(body).write();
	core.setOutput("body", body);

	const place = pullRequestPlace();
	const github = place && (await openGitHub(place));
	core.setOutput("comment", await github?.upsertComment(place!.pullRequest, markerOf(plan), body));
	core.setOutput("check-run", await github?.upsertCheckRun(checkRunOf({ plan, ...others }, place!.sha)));
});
