// Installs what the trainer needs for a stage into the virtual environment that the repository's configuration names.
import * as core from "@actions/core";
import { choiceInput, openWorkspace, runAction } from "../lib/action.ts";
import { installTrainer, STAGES } from "../lib/trainer/installation.ts";
import { findTrainer } from "../lib/trainer/trainer.ts";

await runAction(async () => {
	const stage = choiceInput("for", STAGES);
	const { python } = (await openWorkspace()).trainer;

	// By the script that came with this action, whatever the repository holds.
	core.info(await installTrainer(findTrainer(python), stage));

	core.setOutput("python", python);
});
