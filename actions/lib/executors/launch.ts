// A run becomes the detached process group that does it, started through the trainer's launcher.
import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import path from "node:path";
import { MANIFEST } from "../artefacts.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import type { Run } from "../train/executor.ts";
import type { Trainer } from "../trainer/trainer.ts";
import { jobEnvironment } from "./environment.ts";
import { lastLine, readJobFile } from "./job_folder.ts";

/** The launcher takes the job's lock within this time or something is wrong with the machine. */
const START_DEADLINE_MS = 30_000;
/** How the launcher ends where another job makes the same artefacts. */
const ELSEWHERE = 75;
const SAID = "launch.txt";

/** Launches a job in its folder and waits until it has its lock, or has left that to the one that holds it. */
export async function launch(trainer: Trainer, folder: string, run: Run): Promise<void> {
	const env = jobEnvironment(trainer, run.machine);
	const said = await open(path.join(folder, SAID), "a");
	try {
		// Detached and with no pipe to us: the job lives on when the action is killed.
		const child = spawn(trainer.python, launcherArguments(trainer, folder, run), {
			detached: true,
			stdio: ["ignore", said.fd, said.fd],
			env,
			cwd: folder,
		});
		await started(child, folder, run);
		child.unref();
	} finally {
		await said.close();
	}
}

function launcherArguments(trainer: Trainer, folder: string, { document, machine, ...run }: Run): string[] {
	const places = { ...run.inputs, ...run.checkpoints };
	const inputs = Object.entries(places).flatMap(([name, place]) => [`--${name}`, path.resolve(place)]);
	const output = path.resolve(run.output);
	const grace = String(machine.grace_seconds);
	const conditions = path.join(folder, "conditions.json");
	const job = [
		...[trainer.python, "-m", "torch.distributed.run", "--standalone", `--nproc-per-node=${document.processes}`],
		// Left alone it kills workers 30 s after it asked them to end, in the midst of a checkpoint.
		`--shutdown-timeout=${Math.ceil(machine.grace_seconds)}`,
		...["-m", "proving_ground", document.kind],
		...["--document", path.join(folder, "run.json"), "--conditions", conditions],
		...["--data", path.resolve(run.data), ...inputs, "--work", folder, "--output", output],
	];
	// Beside the artefacts, whose folder holds nothing that its manifest doesn't list.
	const lock = path.join(path.dirname(output), `.${path.basename(output)}.lock`);
	const own = ["--job", folder, "--grace", grace, "--done", path.join(output, MANIFEST), "--lock", lock];
	return ["-m", "proving_ground.launch", ...own, "--", ...job];
}

async function started(child: ChildProcess, folder: string, { document: { id } }: Run): Promise<void> {
	let failure: Error | undefined;
	child.once("error", (error) => {
		failure = error;
	});
	const deadline = Date.now() + START_DEADLINE_MS;
	const log = path.join(folder, SAID);
	while (Date.now() < deadline) {
		if (failure)
			throw new InvalidInput(
				`The trainer's Python can't be started: ${failure.message}. Set up its environment: run npm start, or the setup action in a workflow.`,
			);
		if (child.exitCode === 0) return;
		if (child.exitCode === ELSEWHERE) {
			const who = await lastLine(folder, SAID);
			throw new ServiceError("local executor", `The run ${id} is already made by ${who}. Nothing was started.`);
		}
		if (child.exitCode !== null)
			throw new ServiceError("local executor", `The launcher ended with ${child.exitCode}; see ${log}.`);
		const process = await readJobFile(folder, "process", () => {});
		if (process && process.pid === child.pid) return;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	throw new ServiceError(
		"local executor",
		`The launcher did not start within ${START_DEADLINE_MS / 1000} s; see ${log}.`,
	);
}
