// Says of policies and slices that a pull request edits what they would have said of every model in the registry.
import * as core from "@actions/core";
import { gitHubPlace, openRepository, openWorkspace, refuseFork, requiredNumber, runAction } from "../lib/action.ts";
import { backtestPull } from "../lib/gate/policy_changes.ts";
import { openGitHub } from "../lib/github/github.ts";

await runAction(async () => {
	await refuseFork();
	const ports = { project: await openWorkspace(), git: openRepository(), github: await openGitHub(gitHubPlace()) };

	const { body, comment } = await backtestPull(requiredNumber("pull-request"), ports);

	await core.summary.addRaw(body).write();
	core.setOutput("body", body);
	core.setOutput("comment", comment);
});
