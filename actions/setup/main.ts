// Installs what the trainer needs into the virtual environment that the repository's configuration names.
import * as core from "@actions/core";
import { openWorkspace, runAction } from "../lib/action.ts";
import { installTrainer } from "../lib/installation.ts";

await runAction(async () => {
	const { trainer } = await openWorkspace();

	core.info(await installTrainer(trainer));

	core.setOutput("python", trainer.python);
});
