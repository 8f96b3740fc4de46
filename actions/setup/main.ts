// Installs what the trainer needs for a stage, and what data recipes need beside it, into the virtual environment that the repository's configuration names.
import * as core from "@actions/core";
import { checkoutRoots, choiceInput, openWorkspace, runAction } from "../lib/action.ts";
import { extrasOf } from "../lib/experiment/files.ts";
import { installTrainer, STAGES } from "../lib/trainer/installation.ts";
import { findTrainer } from "../lib/trainer/trainer.ts";

await runAction(async () => {
	const stage = choiceInput("for", STAGES);
	const { python } = (await openWorkspace()).trainer;
	const extras = [...new Set((await Promise.all(checkoutRoots().map(extrasOf))).flat())];

	// By the script that came with this action, whatever the repository holds.
	core.info(await installTrainer(findTrainer(python), stage, extras));

	core.setOutput("python", python);
});
