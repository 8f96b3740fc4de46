// torchrun on this machine: a job is a folder and a detached process group that outlives whoever started it.
import { readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import { MANIFEST } from "../artefacts.ts";
import { documentText } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { createFile, exists, replaceFile } from "../files.ts";
import type { Executor, Job, Run } from "../train/executor.ts";
import { COPIES, keepCopy } from "../trainer/copy.ts";
import type { Trainer } from "../trainer/trainer.ts";
import { type JobFiles, lastLine, lastWritten, readBoot, readJobFile, secondsOf, secondsSince } from "./job_folder.ts";
import { launch } from "./launch.ts";
import { isAlive, signal } from "./process_group.ts";

export interface LocalOptions {
	/** The folder that holds a folder for each job. */
	jobs: string;
	trainer: Trainer;
	/** Runs each job from a copy of the trainer: where the checkout may be changed while a job runs, as a runner's is. */
	copyTrainer: boolean;
	/** Told once of each thing in the jobs' folder that is damaged, or no job. */
	warn?: (line: string) => void;
}

/** What a job's folder is called: the run's id. */
const RUN_ID = /^[a-z0-9]+(-[a-z0-9]+)*-[0-9a-f]{16}$/;
/** Where a job's folder doesn't say how long it may take to save. */
const GRACE_SECONDS = 30;

/** What is known of a job's attempt. */
interface Known {
	folder: string;
	ticket: JobFiles["job"] | null;
	process: JobFiles["process"] | null;
	/** How this very attempt ended; what is left of it then may be a zombie that nobody reaps. */
	exit: JobFiles["exit"] | null;
}

/** An executor on this machine. The kernel's lock on the job's folder, held by the job itself, makes starting twice start once. */
export function local({ jobs, trainer, copyTrainer, warn = () => {} }: LocalOptions): Executor {
	const root = path.resolve(jobs);
	const folderOf = (id: string) => path.join(root, id);
	const told = new Set<string>();
	const tell = (line: string) => {
		if (!told.has(line)) warn(line);
		told.add(line);
	};

	async function know(folder: string): Promise<Known> {
		const ticket = await readJobFile(folder, "job", tell);
		const process = await readJobFile(folder, "process", tell);
		const exit = await readJobFile(folder, "exit", tell);
		return { folder, ticket, process, exit: exit?.attempt === process?.attempt ? exit : null };
	}

	async function look(id: string): Promise<Job> {
		const known = await know(folderOf(id));
		const { folder, ticket, process, exit } = known;
		const job = await describeJob(id, known, Date.now());
		// The job's manifest is written last: a crash after it is a success, whatever the process's end was.
		// Its time is the job's end, too: the processes take a moment more, and what was seen must not change with it.
		const written = ticket && (await stat(path.join(ticket.output, MANIFEST)).catch(() => null));
		if (written) return { ...(await describeJob(id, known, written.mtimeMs)), state: "succeeded" };
		if (!process) return (await exists(path.join(folder, "process.json"))) ? unknown(job) : job;
		if (!exit && (await isAlive({ ...process, folder })))
			return { ...job, state: "running", progress: await readJobFile(folder, "progress", tell) };
		const until = exit ? Date.parse(exit.finished_at) : await lastWritten(folder);
		return { ...(await describeJob(id, known, until ?? Date.now())), ...(await diagnose(known, tell)) };
	}

	async function start(run: Run): Promise<void> {
		const { document, machine, output } = run;
		const folder = folderOf(document.id);
		if (machine.executor !== "local")
			throw new InvalidInput(`The machine ${machine.name} doesn't use the local executor.`);
		await writeRun(folder, document);
		const { price_usd_per_hour, grace_seconds } = machine;
		const ticket: JobFiles["job"] = { kind: document.kind, output, price_usd_per_hour, grace_seconds };
		await replaceFile(path.join(folder, "job.json"), documentText(ticket));
		const { state } = await look(document.id);
		if (state === "succeeded" || state === "running") return;
		for (const old of ["stop.json", "failure.json", "progress.json"]) await rm(path.join(folder, old), { force: true });
		await replaceFile(path.join(folder, "conditions.json"), documentText(run.conditions));
		await launch(copyTrainer ? await keepCopy(root, trainer, document.code) : trainer, folder, run);
	}

	async function stop(id: string): Promise<void> {
		const { folder, process, ticket } = await know(folderOf(id));
		if (!process || !(await isAlive({ ...process, folder }))) return;
		const asked = { asked_at: new Date().toISOString(), ...(await readBoot()) };
		await createFile(path.join(folder, "stop.json"), documentText(asked));
		await signal({ ...process, folder }, async () => {
			const before = await readJobFile(folder, "stop", tell);
			const since = before && (await secondsSince(before));
			return since !== null && since > (ticket?.grace_seconds ?? GRACE_SECONDS);
		});
	}

	async function list(): Promise<Job[]> {
		const names = await readdir(root).catch((error: NodeJS.ErrnoException) => {
			if (error.code === "ENOENT") return [];
			throw error;
		});
		for (const name of names)
			if (!RUN_ID.test(name) && name !== COPIES) tell(`${folderOf(name)} is no job and was passed over.`);
		const all = await Promise.all(names.filter((name) => RUN_ID.test(name)).map(look));
		return all.filter((job) => job.state === "running");
	}

	return { start, look, stop, list };
}

async function writeRun(folder: string, document: Run["document"]): Promise<void> {
	const file = path.join(folder, "run.json");
	const text = documentText(document);
	if (await createFile(file, text)) return;
	if ((await readFile(file, "utf8")) !== text) {
		throw new InvalidInput(
			`${file} already holds a different document with the id ${document.id}. The job isn't adopted and nothing was started.`,
		);
	}
}

/** A job as far as its folder and a time of the wall clock tell; nothing is known yet of how it does. */
async function describeJob(id: string, { folder, ticket, process, exit }: Known, until: number): Promise<Job> {
	const seconds = ticket && process ? await secondsOf(process, exit, until) : null;
	return {
		id,
		kind: ticket?.kind ?? "train",
		state: "absent",
		attempt: process?.attempt ?? 0,
		adopted: false,
		url: ticket && path.join(folder, "log.txt"),
		output: ticket?.output ?? "",
		started_at: process?.started_at ?? null,
		seconds,
		cost_usd: ticket && seconds !== null ? (seconds / 3600) * ticket.price_usd_per_hour : null,
		progress: null,
		diagnosis: null,
	};
}

/** A job whose processes nobody can tell: started again it leaves them alone where they still hold its lock. */
function unknown(job: Job): Job {
	return { ...job, state: "failed", diagnosis: "Its process.json is damaged, so that its processes can't be told." };
}

/** A process that is gone without its manifest: why, in a sentence. */
async function diagnose(
	{ folder, exit }: Known,
	tell: (line: string) => void,
): Promise<Pick<Job, "state" | "diagnosis">> {
	const failure = await readJobFile(folder, "failure", tell);
	if (failure?.kind === "stopped" || (await exists(path.join(folder, "stop.json"))))
		return { state: "stopped", diagnosis: failure?.message ?? "It was asked to stop." };
	if (failure) return { state: "failed", diagnosis: failure.message };
	const ending = exit
		? `It ended with ${exit.signal ?? `exit code ${exit.code}`}`
		: "Its processes are gone and left no exit code (killed, or the machine was restarted)";
	const last = (await lastLine(folder, "log.txt")).slice(0, 300);
	return { state: "failed", diagnosis: `${ending}; the log's last line: ${last || "(empty)"}` };
}
