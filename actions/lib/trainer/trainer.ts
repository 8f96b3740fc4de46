// The Python package that runs in the job: where it lies, the digest of its code, and how a process of it is started.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { sha256 } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import { readRegular } from "../files.ts";
import { MINUTES, runCommand } from "../process.ts";

/** The trainer on this machine. */
export interface Trainer {
	/** The interpreter that has the trainer's packages. */
	python: string;
	/** The folder that holds the package proving_ground. */
	folder: string;
}

/** A file by which the trainer's folder is known. */
export const ENTRY = "proving_ground/__main__.py";

/** The trainer that came with this code, whether that runs from its source or from a bundle. */
export function findTrainer(python: string): Trainer {
	for (let folder = import.meta.dirname; ; folder = path.dirname(folder)) {
		const trainer = path.join(folder, "trainer");
		if (existsSync(path.join(trainer, ENTRY))) return { python, folder: trainer };
		if (path.dirname(folder) === folder) throw new InvalidInput("The folder trainer/ is missing beside actions/.");
	}
}

/** No file of code is larger; a head may hold anything. */
const MOST_BYTES = 8 * 1024 * 1024;

/** The files that decide what the trainer computes, by their path in its folder: its code, its schemas, its locked packages. */
export async function filesOf({ folder }: Trainer): Promise<string[]> {
	const files = await readdir(path.join(folder, "proving_ground"), { recursive: true });
	const code = files.filter((file) => /\.(py|json)$/.test(file)).map((file) => path.join("proving_ground", file));
	return ["requirements.txt", ...code].sort();
}

/** Digest of everything that decides what the trainer computes. */
export async function digestTrainer(trainer: Trainer): Promise<string> {
	const listing = await Promise.all(
		(await filesOf(trainer)).map(async (file) => [
			file.split(path.sep).join("/"),
			sha256(await readRegular(trainer.folder, file, MOST_BYTES)),
		]),
	);
	return sha256(JSON.stringify(listing));
}

// What a job may see of this process's environment. A workflow's secrets live there too, so nothing is passed by default.
const PASSED = [
	"PATH",
	"HOME",
	"LANG",
	"LC_ALL",
	"TMPDIR",
	"TZ",
	"CUDA_VISIBLE_DEVICES",
	"LD_LIBRARY_PATH",
	"NVIDIA_VISIBLE_DEVICES",
];

/** The environment of a trainer's process: no more than it needs, and never a secret. */
export function trainerEnvironment(trainer: Trainer, threads: number): Record<string, string> {
	const passed = PASSED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
	return {
		...Object.fromEntries(passed),
		PYTHONPATH: trainer.folder,
		PYTHONUNBUFFERED: "1",
		// Modules come from the trainer and its packages alone, wherever it is started.
		PYTHONSAFEPATH: "1",
		OMP_NUM_THREADS: String(threads),
	};
}

/** Commands that make data, as long as that takes. */
const DATA = new Set(["import", "shards"]);

/** Runs the trainer to its end; what a person can mend is InvalidInput (exit code 65), the rest ServiceError. */
export async function runTrainer(trainer: Trainer, args: readonly string[], input: string): Promise<string> {
	const { code, output, errors } = await runCommand(trainer.python, ["-m", "proving_ground", ...args], {
		env: trainerEnvironment(trainer, 1),
		input,
		minutes: DATA.has(args[0]!) ? MINUTES.data : MINUTES.look,
		unstartable: (reason) =>
			`${trainer.python}: the trainer's Python can't be started (${reason}). Set up its environment: run npm start, or the setup action in a workflow.`,
	});
	const said = errors.trim();
	const [, lacking] = /No module named '(?!proving_ground)(\w+)/.exec(code === 0 ? "" : said) ?? [];
	if (lacking !== undefined)
		throw new InvalidInput(
			`${trainer.python} lacks the Python package ${lacking}, which \`${args[0]}\` needs. Run npm start, or the setup action in a workflow${DATA.has(args[0]!) ? "" : ", with `for: train`"}.`,
		);
	if (code === 65) throw new InvalidInput(said || "The trainer refused its input.");
	if (code !== 0)
		throw new ServiceError(
			"trainer",
			`python -m proving_ground ${args[0]} ended with ${code}: ${said.split("\n").at(-1)}`,
			said,
		);
	return output;
}
