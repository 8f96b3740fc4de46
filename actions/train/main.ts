// Starts or adopts a plan's jobs, and follows them where the runner is the machine that trains.
import * as core from "@actions/core";
import {
	documentPath,
	minutesInput,
	openHead,
	openPullRequest,
	refuseFork,
	requiredInput,
	runAction,
	sayLine,
	sayProgress,
} from "../lib/action.ts";
import { readDocument, writeDocument } from "../lib/documents.ts";
import { requireApproved } from "../lib/follow/approval.ts";
import { progressShower, requireCurrent, unwantedStopper } from "../lib/follow/watching.ts";
import type { Jobs } from "../lib/generated/documents.d.ts";
import { isShared } from "../lib/train/claims.ts";
import { followJobs, isEvaluated, isSettled, stopJobs } from "../lib/train/train.ts";

await runAction(async () => {
	await refuseFork();
	const file = requiredInput("plan");
	const minutes = minutesInput("follow-minutes");
	const project = await openHead();
	const plan = await readDocument("plan", file);
	const pull = await openPullRequest();
	await requireCurrent(pull);
	await requireApproved(plan, pull, project);

	const { store, registry } = project;
	const ports = { executor: project.executorFor(plan.machine), store, registry, pullRequest: pull?.place.number };
	const isOpen = async (number: number) => (await pull?.github.pullRequest(number))?.state === "open";
	const stop = async (seen: Jobs) => {
		if (!(await isShared(seen, ports, isOpen))) await stopJobs(seen, ports.executor);
	};
	const onLook = [
		sayProgress,
		progressShower(plan, pull, sayLine),
		unwantedStopper(plan, pull, { stop, say: sayLine }),
	];
	const jobs = await followJobs(plan, ports, { minutes, onLook });
	if (!isSettled(jobs)) sayLine(`${plan.run.id} goes on: the workflow follow shows, evaluates and judges it.`);

	core.setOutput("jobs", await writeDocument("jobs", jobs, documentPath(project, plan.experiment.name, "jobs")));
	core.setOutput("evaluated", isEvaluated(jobs));
});
