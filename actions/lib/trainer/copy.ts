// The trainer's code becomes a copy by digest, which no later checkout changes while a job runs.
import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import path from "node:path";
import { InvalidInput, ServiceError } from "../errors.ts";
import { exists, makeFolder } from "../files.ts";
import { runCommand } from "../process.ts";
import { digestTrainer, ENTRY, filesOf, type Trainer } from "./trainer.ts";

/** Where in the jobs' folder copies of the trainer lie; no run's id begins with a dot. */
export const COPIES = ".trainers";

/** The trainer's package of a digest, copied once into the jobs' folder: whole or absent. */
export async function keepCopy(jobs: string, trainer: Trainer, code: string): Promise<Trainer> {
	const place = path.join(path.resolve(jobs), COPIES, code.replace(/^sha256:/, ""));
	const copy = { ...trainer, folder: place };
	if (await exists(path.join(place, ENTRY))) return copy;
	const beside = `${place}.${randomUUID()}`;
	try {
		await makeFolder(beside);
		// By the system's own cp: it keeps a file's time to the nanosecond, by which numba knows what it has compiled.
		// Only what the digest names: a compiled module that somebody has committed would run in place of its source.
		const copied = await runCommand("cp", ["-a", "--parents", "--", ...(await filesOf(trainer)), beside], {
			cwd: trainer.folder,
			env: { PATH: process.env["PATH"] ?? "" },
		});
		if (copied.code !== 0) throw new ServiceError("executor", `The trainer can't be copied: ${copied.errors.trim()}`);
		// A process that imports a file while a checkout changes it would run what nobody planned.
		if ((await digestTrainer({ ...trainer, folder: beside })) !== code)
			throw new InvalidInput(`${trainer.folder} isn't the trainer that was planned (${code}): plan again.`);
		await rename(beside, place).catch(async (error: NodeJS.ErrnoException) => {
			if (!(await exists(path.join(place, ENTRY)))) throw error;
		});
	} finally {
		await rm(beside, { recursive: true, force: true });
	}
	return copy;
}
