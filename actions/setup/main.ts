// Installs what the trainer needs for a stage, and DVC where a data recipe asks for it, into the virtual environment that the repository's configuration names.
import * as core from "@actions/core";
import { checkoutRoots, choiceInput, openWorkspace, runAction } from "../lib/action.ts";
import { usesDvc } from "../lib/experiment/files.ts";
import { installTrainer, STAGES } from "../lib/trainer/installation.ts";
import { findTrainer } from "../lib/trainer/trainer.ts";

await runAction(async () => {
	const stage = choiceInput("for", STAGES);
	const { python } = (await openWorkspace()).trainer;
	const dvc = (await Promise.all(checkoutRoots().map(usesDvc))).includes(true);

	// By the script that came with this action, whatever the repository holds.
	core.info(await installTrainer(findTrainer(python), stage, { dvc }));

	core.setOutput("python", python);
});
