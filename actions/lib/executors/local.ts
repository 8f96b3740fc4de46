// torchrun on this machine: a job is a folder and a detached process group that outlives whoever started it.
import { spawn } from "node:child_process";
import { open, readdir, readFile, rm, stat } from "node:fs/promises";
import path from "node:path";
import writeFileAtomic from "write-file-atomic";
import { documentText } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import { createFile, exists } from "../files.ts";
import type { Executor, Job, Run } from "../train/executor.ts";
import { keepCopy } from "../trainer/copy.ts";
import { type Trainer, trainerEnvironment } from "../trainer/trainer.ts";
import { isAlive, type Process, signal } from "./process_group.ts";

export interface LocalOptions {
	/** The folder that holds a folder for each job. */
	jobs: string;
	trainer: Trainer;
	/** Runs each job from a copy of the trainer: where the checkout may be changed while a job runs, as a runner's is. */
	copyTrainer: boolean;
}

/** What start leaves for look. */
interface Ticket {
	kind: Job["kind"];
	output: string;
	price_usd_per_hour: number;
}

/** The launcher takes the job's lock within this time or something is wrong with the machine. */
const START_DEADLINE_MS = 30_000;

/** An executor on this machine. The kernel's lock on the job's folder, held by the job itself, makes starting twice start once. */
export function local({ jobs, trainer, copyTrainer }: LocalOptions): Executor {
	const folderOf = (id: string) => path.join(path.resolve(jobs), id);

	async function look(id: string): Promise<Job> {
		const folder = folderOf(id);
		const ticket = await readJson<Ticket>(path.join(folder, "job.json"));
		const process = await readJson<Process>(path.join(folder, "process.json"));
		const job = describeJob(id, folder, ticket, process);
		if (!ticket) return job;
		// The job's manifest is written last: a crash after it is a success, whatever the process's end was.
		// Its time is the job's end, too: the processes take a moment more, and what was seen must not change with it.
		const written = await stat(path.join(ticket.output, "manifest.json")).catch(() => null);
		if (written) return { ...job, state: "succeeded", ...spent(ticket, process, written.mtimeMs) };
		if (!process) return job;
		if (!(await hasExited(folder, process)) && (await isAlive(process)))
			return { ...job, state: "running", progress: await readJson(path.join(folder, "progress.json")) };
		return diagnose(job, folder);
	}

	async function start(run: Run): Promise<void> {
		const { document, machine } = run;
		const folder = folderOf(document.id);
		if (machine.executor !== "local")
			throw new InvalidInput(`The machine ${machine.name} doesn't use the local executor.`);
		await writeRun(folder, document);
		const ticket: Ticket = { kind: document.kind, output: run.output, price_usd_per_hour: machine.price_usd_per_hour };
		await writeFileAtomic(path.join(folder, "job.json"), documentText(ticket));
		const { state } = await look(document.id);
		if (state === "succeeded" || state === "running") return;
		for (const old of ["stop.json", "failure.json", "progress.json"]) await rm(path.join(folder, old), { force: true });
		await writeFileAtomic(path.join(folder, "conditions.json"), documentText(run.conditions));
		await launch(copyTrainer ? await keepCopy(jobs, trainer, document.code) : trainer, folder, run);
	}

	async function stop(id: string): Promise<void> {
		const folder = folderOf(id);
		const process = await readJson<Process>(path.join(folder, "process.json"));
		if (!process || !(await isAlive(process))) return;
		await createFile(path.join(folder, "stop.json"), documentText({ asked_at: new Date().toISOString() }));
		signal(process);
	}

	async function list(): Promise<Job[]> {
		const names = await readdir(jobs).catch(() => []);
		const all = await Promise.all(names.map(look));
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

async function launch(trainer: Trainer, folder: string, run: Run): Promise<void> {
	const { document, machine } = run;
	const inputs = Object.entries(run.inputs).flatMap(([name, place]) => [`--${name}`, path.resolve(place)]);
	const stores = Object.entries(run.checkpoints).flatMap(([name, place]) => [`--${name}`, path.resolve(place)]);
	const job = [
		...[trainer.python, "-m", "torch.distributed.run", "--standalone", `--nproc-per-node=${document.processes}`],
		...[
			"-m",
			"proving_ground",
			document.kind,
			"--document",
			path.join(folder, "run.json"),
			"--conditions",
			path.join(folder, "conditions.json"),
			"--data",
			path.resolve(run.data),
		],
		...[...inputs, ...stores, "--work", folder, "--output", path.resolve(run.output)],
	];
	const done = path.join(path.resolve(run.output), "manifest.json");
	const launcher = [
		"-m",
		"proving_ground.launch",
		"--job",
		folder,
		"--grace",
		String(machine.grace_seconds),
		"--done",
		done,
		"--",
		...job,
	];
	const log = await open(path.join(folder, "launch.txt"), "a");
	try {
		// Detached and with no pipe to us: the job lives on when the action is killed.
		const child = spawn(trainer.python, launcher, {
			detached: true,
			stdio: ["ignore", log.fd, log.fd],
			env: trainerEnvironment(trainer, machine.threads),
			cwd: folder,
		});
		await started(child, folder);
		child.unref();
	} finally {
		await log.close();
	}
}

/** Waits until our launcher has the lock, or has left it to the one that holds it. */
async function started(child: ReturnType<typeof spawn>, folder: string): Promise<void> {
	let failure: Error | undefined;
	child.once("error", (error) => {
		failure = error;
	});
	const deadline = Date.now() + START_DEADLINE_MS;
	while (Date.now() < deadline) {
		if (failure)
			throw new InvalidInput(
				`The trainer's Python can't be started: ${failure.message}. Set up its environment: run npm start, or the setup action in a workflow.`,
			);
		if (child.exitCode === 0) return;
		if (child.exitCode !== null)
			throw new ServiceError(
				"local executor",
				`The launcher ended with ${child.exitCode}; see ${path.join(folder, "launch.txt")}.`,
			);
		const process = await readJson<Process>(path.join(folder, "process.json"));
		if (process && process.pid === child.pid) return;
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	throw new ServiceError(
		"local executor",
		`The launcher did not start within ${START_DEADLINE_MS / 1000} s; see ${path.join(folder, "launch.txt")}.`,
	);
}

function describeJob(id: string, folder: string, ticket: Ticket | null, process: Process | null): Job {
	return {
		id,
		kind: ticket?.kind ?? "train",
		state: "absent",
		attempt: process?.attempt ?? 0,
		adopted: false,
		url: ticket && path.join(folder, "log.txt"),
		output: ticket?.output ?? "",
		started_at: process?.started_at ?? null,
		...spent(ticket, process, Date.now()),
		progress: null,
		diagnosis: null,
	};
}

function spent(ticket: Ticket | null, process: Process | null, until: number): Pick<Job, "seconds" | "cost_usd"> {
	if (!ticket || !process) return { seconds: null, cost_usd: null };
	const seconds = Math.max(0, (until - Date.parse(process.started_at)) / 1000);
	return { seconds, cost_usd: (seconds / 3600) * ticket.price_usd_per_hour };
}

async function finished(job: Job, folder: string, state: Job["state"], diagnosis: string | null): Promise<Job> {
	const exit = await readJson<{ finished_at: string }>(path.join(folder, "exit.json"));
	const ticket = await readJson<Ticket>(path.join(folder, "job.json"));
	const process = await readJson<Process>(path.join(folder, "process.json"));
	return { ...job, state, diagnosis, ...(exit ? spent(ticket, process, Date.parse(exit.finished_at)) : {}) };
}

/** A process that is gone without its manifest: why, in a sentence. */
async function diagnose(job: Job, folder: string): Promise<Job> {
	const failure = await readJson<{ kind: string; message: string }>(path.join(folder, "failure.json"));
	const exit = await readJson<{ code: number | null; signal: string | null }>(path.join(folder, "exit.json"));
	if (failure?.kind === "stopped" || (await exists(path.join(folder, "stop.json")))) {
		return finished(job, folder, "stopped", failure?.message ?? "It was asked to stop.");
	}
	if (failure) return finished(job, folder, "failed", failure.message);
	const log = (await readFile(path.join(folder, "log.txt"), "utf8").catch(() => "")).trim().split("\n");
	const ending = exit
		? `It ended with ${exit.signal ?? `exit code ${exit.code}`}`
		: "Its processes are gone and left no exit code (killed, or the machine was restarted)";
	return finished(job, folder, "failed", `${ending}; the log's last line: ${log.at(-1)?.slice(0, 300) || "(empty)"}`);
}

/** Whether the launcher wrote the end of this very attempt: what is left of it may be a zombie that nobody reaps. */
async function hasExited(folder: string, { attempt }: Process): Promise<boolean> {
	const exit = await readJson<{ attempt: number }>(path.join(folder, "exit.json"));
	return exit?.attempt === attempt;
}

async function readJson<T>(file: string): Promise<T | null> {
	const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return null;
		throw error;
	});
	return text === null ? null : (JSON.parse(text) as T);
}
