// Promotes what was merged, or opens an issue that says why it can't be.
import * as core from "@actions/core";
import {
	gitHubPlace,
	numberInput,
	openRepository,
	openWorkspace,
	requiredInput,
	runAction,
	sayLine,
} from "../lib/action.ts";
import { settleMerged } from "../lib/follow/settle.ts";
import { openGitHub } from "../lib/github/github.ts";

await runAction(async () => {
	const ports = { project: await openWorkspace(), git: openRepository(), github: await openGitHub(gitHubPlace()) };
	const options = { branch: requiredInput("branch"), days: numberInput("days") ?? 30, say: sayLine };

	const settled = await settleMerged(ports, options);

	core.setOutput("settled", JSON.stringify(settled));
	core.setOutput("promoted", settled.filter(({ is }) => is === "promoted").length);
	core.setOutput("refused", settled.filter(({ is }) => is === "refused").length);
});
