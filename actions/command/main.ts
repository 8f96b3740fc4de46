// Does what a comment that begins with a slash asks for, if its author may write.
import * as core from "@actions/core";
import { context } from "@actions/github";
import { gitHubPlace, openRepository, runAction } from "../lib/action.ts";
import { revertMerge } from "../lib/follow/rollback.ts";
import { answerCommand, readCommentEvent } from "../lib/follow/slash_command.ts";
import { openGitHub } from "../lib/github/github.ts";

await runAction(async () => {
	const event = readCommentEvent(context.payload);
	const github = await openGitHub(gitHubPlace());
	const git = openRepository();

	const answered = await answerCommand(event, { github, revert: (pull) => revertMerge(pull, { git, github }) });

	core.setOutput("answered", answered);
});
