// Plans the experiments that a pull request adds or changes.
import * as core from "@actions/core";
import {
	booleanInput,
	chosenFiles,
	gatesInput,
	knownAuthors,
	numberInput,
	openHead,
	runAction,
	showWarnings,
} from "../lib/action.ts";
import { summarisePlans } from "../lib/comment/summary.ts";
import { packPlans, packRefused, runsOf } from "../lib/plan/packed_plan.ts";
import { planAll, refuseOthers, refuseProblems } from "../lib/plan/plan_files.ts";

await runAction(async () => {
	const project = await openHead({ fromReports: booleanInput("from-reports") });
	const files = await chosenFiles(project, core.getMultilineInput("experiments"), core.getInput("since"));

	const known = await knownAuthors(numberInput("pull-request"));
	const onImport = (name: string, said?: string) => core.info(said ?? `Making the dataset ${name}`);
	const options = { ...(await gatesInput()), image: core.getInput("image"), known, onImport };
	const planned = await planAll(project, files, options);
	await core.summary.addRaw(summarisePlans(planned)).write();
	showWarnings(planned.plans);

	core.setOutput("plans", JSON.stringify(planned.plans.map(({ path }) => path)));
	core.setOutput("count", planned.plans.length);
	const experiments = await packPlans(planned.plans.map(({ plan }) => plan));
	core.setOutput("experiments", JSON.stringify(experiments));
	core.setOutput("runs", JSON.stringify(runsOf(experiments)));
	core.setOutput("refused", packRefused(planned.refused));
	refuseOthers(planned, core.getInput("approved"), core.getInput("shown"));
	refuseProblems(planned);
});
