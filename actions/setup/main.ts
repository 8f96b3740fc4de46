// Installs what the trainer needs into the virtual environment that the repository's configuration names.
import * as core from "@actions/core";
import { openWorkspace, runAction } from "../lib/action.ts";
import { installTrainer } from "../lib/trainer/installation.ts";
import { findTrainer } from "../lib/trainer/trainer.ts";

await runAction(async () => {
	const { python } = (await openWorkspace()).trainer;

	// By the script that came with this action, whatever the repository holds.
	core.info(await installTrainer(findTrainer(python)));

	core.setOutput("python", python);
});
