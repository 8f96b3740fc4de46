// Opens the pull requests that are due: what a schedule asks for, what was published, what the form names.
import * as core from "@actions/core";
import { booleanInput, gitHubPlace, openWorkspace, requiredNumber, runAction, sayLine } from "../lib/action.ts";
import { openGitHub } from "../lib/github/github.ts";
import { forecastPlan, readProposals } from "../lib/propose/forecast.ts";
import { forgeOn } from "../lib/propose/forge.ts";
import { proposeDue } from "../lib/propose/propose.ts";
import { readEvent } from "../lib/propose/publication.ts";

await runAction(async () => {
	const { context } = await import("../lib/github/event.ts");
	const asked = readEvent(context.eventName, context.payload);
	const project = await openWorkspace();
	const github = await openGitHub(gitHubPlace());
	const base = core.getInput("base") || (process.env["GITHUB_REF_NAME"] ?? "");
	const forge = forgeOn(github, { base, dispatch: booleanInput("dispatch") });

	const moment = {
		...(await readProposals(project.root)),
		...asked,
		now: new Date(),
		maxOpen: requiredNumber("max-open"),
	};
	const { proposed, waiting } = await proposeDue({ forge, forecast: (due) => forecastPlan(project, due) }, moment);

	for (const { title, result } of proposed) sayLine(`${result}: ${title}`);
	for (const tick of waiting) sayLine(`waits until fewer pull requests are open: ${tick}`);
	if (asked.publication && !proposed.length) core.notice("This event proposes nothing new.");
	core.setOutput("proposed", JSON.stringify(proposed.filter(({ result }) => result === "created")));
	core.setOutput("waiting", JSON.stringify(waiting));
});
