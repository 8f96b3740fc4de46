// Starts or adopts a plan's jobs, and follows them where the runner is the machine that trains.
import * as core from "@actions/core";
import {
	booleanInput,
	documentPath,
	openPullRequest,
	openWorkspace,
	refuseFork,
	requiredInput,
	runAction,
	sayLine,
	sayProgress,
} from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { progressShower, requireCurrent } from "../lib/showing.ts";
import { isEvaluated, trainPlan } from "../lib/train.ts";

await runAction(async () => {
	await refuseFork();
	const project = await openWorkspace();
	const plan = await readDocument("plan", requiredInput("plan"));
	const pull = await openPullRequest();
	await requireCurrent(pull);

	const ports = { executor: project.executorFor(plan.machine), store: project.store, pullRequest: pull?.place.number };
	const show = progressShower(plan, pull, sayLine);
	const jobs = await trainPlan(plan, ports, { follow: booleanInput("follow"), onLook: [sayProgress, show] });

	core.setOutput("jobs", await writeDocument("jobs", jobs, documentPath(plan.experiment.name, "jobs")));
	core.setOutput("evaluated", isEvaluated(jobs));
});
