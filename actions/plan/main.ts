// Plans the experiments that a pull request adds or changes.
import * as core from "@actions/core";
import { chosenFiles, knownAuthors, openWorkspace, runAction } from "../lib/action.ts";
import { planAll } from "../lib/project.ts";

await runAction(async () => {
	const project = await openWorkspace();
	const files = await chosenFiles(project, core.getMultilineInput("experiments"), core.getInput("since"));

	const options = { base: core.getInput("base"), image: core.getInput("image"), known: await knownAuthors() };
	const plans = await planAll(project, files, options);

	core.setOutput("plans", JSON.stringify(plans));
	core.setOutput("count", plans.length);
});
