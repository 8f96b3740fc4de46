// The trainer's lock files become a virtual environment, by the script that sets a checkout up.
import { existsSync } from "node:fs";
import path from "node:path";
import { ServiceError } from "../errors.ts";
import { MINUTES, networkEnvironment, runCommand } from "../process.ts";
import type { Trainer } from "./trainer.ts";

/** What packages are for: a plan needs no torch; a training, an evaluation and a backtest need all. */
export const STAGES = ["plan", "train"] as const;
export type Stage = (typeof STAGES)[number];

/** Installs the packages of a stage for the trainer's interpreter, and of what is asked for beside them, once for each lock file; leaves an interpreter alone that is in no virtual environment. */
export async function installTrainer(
	{ python, folder }: Trainer,
	stage: Stage,
	extras: readonly string[] = [],
): Promise<string> {
	const environment = path.dirname(path.dirname(python));
	if (existsSync(environment) && !existsSync(path.join(environment, "pyvenv.cfg")))
		return `${python} is in no virtual environment: its packages are the machine's own.`;
	const script = path.join(path.dirname(folder), "actions/build/start.mjs");
	const { code, output, errors } = await runCommand(
		process.execPath,
		[script, "python", environment, stage, ...extras],
		{
			env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...networkEnvironment() },
			minutes: MINUTES.install,
		},
	);
	if (code !== 0)
		throw new ServiceError("package index", `the trainer's packages can't be installed: ${errors.trim()}`);
	return output.trim();
}
