// Says of policies and slices that a pull request edits what they would have said of every model in the registry.
import * as core from "@actions/core";
import { gitHubPlace, numberInput, openWorkspace, refuseFork, requiredInput, runAction } from "../lib/action.ts";
import { backtestChanges, showBacktest } from "../lib/gate/policy_changes.ts";

await runAction(async () => {
	await refuseFork();
	const project = await openWorkspace();

	const body = await backtestChanges(project, requiredInput("since"));

	await core.summary.addRaw(body).write();
	core.setOutput("body", body);
	core.setOutput("comment", await showBacktest(numberInput("pull-request"), body, gitHubPlace));
});
