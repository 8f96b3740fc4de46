// Writes the check run that a rule of the repository can require, whatever a pull request brings.
import * as core from "@actions/core";
import { countExperiments, openPullRequest, runAction } from "../lib/action.ts";
import { askForRequired } from "../lib/follow/showing.ts";

await runAction(async () => {
	const experiments = await countExperiments();

	const checkRun = await askForRequired(await openPullRequest(), experiments);

	core.setOutput("experiments", experiments);
	core.setOutput("check-run", checkRun);
});
