// Takes open pull requests one step further on, and stops what nobody asks for any more.
import * as core from "@actions/core";
import {
	booleanInput,
	gitHubPlace,
	numberInput,
	openRepository,
	openWorkspace,
	runAction,
	sayLine,
} from "../lib/action.ts";
import { follow } from "../lib/follow/follow.ts";
import { openGitHub } from "../lib/github/github.ts";

await runAction(async () => {
	const ports = { project: await openWorkspace(), git: openRepository(), github: await openGitHub(gitHubPlace()) };
	const options = { stop: booleanInput("stop"), question: core.getInput("explain"), say: sayLine };

	const followed = await follow(numberInput("pull-request"), ports, options);

	core.setOutput("pull-requests", JSON.stringify(followed.map(({ pull }) => pull.number)));
});
