// Tells which planned runs may start: GitHub asks an environment's reviewers, people approve by a comment, or the configuration asks nobody.
import * as core from "@actions/core";
import { openPullRequest, openWorkspace, requiredInput, runAction, sayLine } from "../lib/action.ts";
import { approvedOf, whoIsAsked } from "../lib/follow/approval.ts";
import { parseRuns, waitingLines } from "../lib/plan/packed_plan.ts";

await runAction(async () => {
	const runs = parseRuns(requiredInput("runs"));
	const project = await openWorkspace();
	requiredInput("pull-request");
	const pull = (await openPullRequest())!;

	const asked = await whoIsAsked(pull.github, project);
	const approved = await approvedOf(runs, asked, pull);

	for (const line of waitingLines(runs, approved)) sayLine(line);
	core.setOutput("asked", asked);
	core.setOutput("runs", JSON.stringify(approved));
});
