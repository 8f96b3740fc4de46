// Strings from a file go through all that an action prints and writes, as in a step of a runner. Run: node print.ts strings.json
import { readFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import * as core from "@actions/core";
import { annotateChecks, runAction, sayProgress } from "../../../actions/lib/action.ts";
import { InvalidFile, InvalidInput, ServiceError } from "../../../actions/lib/errors.ts";
import { liveLine, progressLine } from "../../../actions/lib/train/progress.ts";
import { makeWaived } from "../../fixtures/judged.ts";
import { makeJob, makeJobs, makePlan } from "../../fixtures/plan.ts";

const plan = makePlan();
const { verdict } = makeWaived({ overall: 0.2 });
for (const text of JSON.parse(readFileSync(process.argv[2]!, "utf8")) as string[]) {
	for (const error of [
		new InvalidFile([{ file: text, line: 1, column: 1, message: text }]),
		new InvalidInput(text),
		new ServiceError("GitHub", text, text),
		Object.assign(new Error(text), { stack: text }),
	])
		await runAction(() => Promise.reject(error));
	annotateChecks({
		...verdict!,
		policy: { name: text, file: text },
		waivers: { file: text, idle: verdict!.waivers!.idle.map((waiver) => ({ ...waiver, metric: text, why: text })) },
		checks: verdict!.checks.map((check) => ({ ...check, metric: text, slice: text, why: text })),
	});
	const progress = {
		stage: text,
		epoch: 1,
		epochs: 2,
		step: 1,
		steps: 2,
		loss: 1,
		metric: { [text]: 1 },
		seconds_left: 1,
	};
	const jobs = makeJobs(plan, makeJob({ state: "running", progress }));
	sayProgress(jobs);
	const stream = Object.assign(new PassThrough(), { isTTY: false }) as unknown as NodeJS.WriteStream;
	liveLine(stream).show(progressLine(jobs));
	process.stdout.write(String(stream.read() ?? ""));
	core.setOutput("plan", text);
	await core.summary.addRaw(text).write();
}
process.exitCode = 0;
