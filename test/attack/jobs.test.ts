// The folder of jobs is believed as far as it can be checked: damage stops nobody, no stranger is signalled, no run is made twice
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ServiceError } from "../../actions/lib/errors.ts";
import { readBoot } from "../../actions/lib/executors/job_folder.ts";
import { local } from "../../actions/lib/executors/local.ts";
import type { Executor, Run } from "../../actions/lib/train/executor.ts";
import type { Trainer } from "../../actions/lib/trainer/trainer.ts";
import { exampleRun, standIn, until } from "../fixtures/jobs.ts";

const ID = "night-0123456789abcdef";
let temporary: string;
let jobs: string;
let trainer: Trainer;
let executor: Executor;
let told: string[];
const strangers: ChildProcess[] = [];
const runs: string[] = [];
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "jobs-"));
	jobs = path.join(temporary, "jobs");
	trainer = await standIn(temporary);
	told = [];
	executor = open(jobs);
});
afterEach(async () => {
	for (const id of runs.splice(0)) end(Number(JSON.parse(await read(id, "process.json")).pgid));
	for (const { pid } of strangers.splice(0)) end(pid!);
	await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
});

function open(folder: string): Executor {
	return local({ jobs: folder, trainer, copyTrainer: false, warn: (line) => told.push(line) });
}

function end(pgid: number): void {
	try {
		if (pgid > 1) process.kill(-pgid, "SIGKILL");
	} catch {
		// It has ended by itself.
	}
}

const read = (id: string, file: string) => readFile(path.join(jobs, id, file), "utf8").catch(() => '{"pgid":0}');

async function leave(id: string, files: Record<string, unknown>): Promise<void> {
	await mkdir(path.join(jobs, id), { recursive: true });
	for (const [file, value] of Object.entries(files))
		await writeFile(path.join(jobs, id, file), typeof value === "string" ? value : JSON.stringify(value));
}

/** A process of somebody else in a group of its own; true of it as long as nobody has signalled it. */
async function stranger(): Promise<{ pid: number; lives: () => boolean }> {
	const child = spawn("sleep", ["60"], { detached: true, stdio: "ignore" });
	strangers.push(child);
	await new Promise((resolve) => child.once("spawn", resolve));
	return { pid: child.pid!, lives: () => child.exitCode === null && child.signalCode === null };
}

async function running(what: string, ofRun: Partial<Run["machine"]> = {}): Promise<Run> {
	const run = exampleRun(path.join(temporary, "store"), what);
	run.machine = { ...run.machine, ...ofRun };
	await executor.start(run);
	runs.push(run.document.id);
	await until(executor, run.document.id, ({ progress }) => progress !== null);
	return run;
}

const ticket = { kind: "train", output: "/nowhere", price_usd_per_hour: 3600 };
const now = () => new Date().toISOString();
const processOf = (pid: number, more: object = {}) => ({
	...{ pid, pgid: pid, start_time: null, attempt: 1, started_at: now() },
	...more,
});

describe("what is damaged or foreign", () => {
	test("is passed over and told once, and every other job is listed", async () => {
		const run = await running("long");
		await writeFile(path.join(jobs, ".DS_Store"), "");
		await mkdir(path.join(jobs, "lost+found"));
		await writeFile(path.join(jobs, "file-0123456789abcdef"), "");
		await leave("empty-0123456789abcdef", {});
		await leave("cut-0123456789abcdef", { "job.json": '{"kind": "tr', "process.json": "" });
		await leave("list-0123456789abcdef", { "job.json": [], "process.json": null, "exit.json": "[[", "stop.json": 7 });
		await leave("links-0123456789abcdef", {});
		await symlink("/dev/zero", path.join(jobs, "links-0123456789abcdef/process.json"));
		for (let turn = 0; turn < 2; turn += 1)
			expect((await executor.list()).map(({ id }) => id)).toEqual([run.document.id]);
		expect(told).toHaveLength(new Set(told).size);
		const names = told.map((line) => /^(\S+) is/.exec(line)?.[1]?.slice(jobs.length + 1) ?? line).sort();
		expect(names).toEqual([
			...[".DS_Store", "cut-0123456789abcdef/job.json", "cut-0123456789abcdef/process.json"],
			...["links-0123456789abcdef/process.json", "list-0123456789abcdef/exit.json"],
			...["list-0123456789abcdef/job.json", "list-0123456789abcdef/process.json", "lost+found"],
		]);
	});

	test("in a job's own folder keeps it from no new attempt", async () => {
		const run = exampleRun(path.join(temporary, "store"), "short");
		const { id } = run.document;
		await leave(id, { "job.json": "{", "process.json": "", "progress.json": '"half', "exit.json": "x" });
		expect(await executor.look(id)).toMatchObject({ state: "failed", attempt: 0 });
		await executor.start(run);
		expect(await until(executor, id, ({ state }) => state !== "running")).toMatchObject({
			state: "succeeded",
			attempt: 1,
		});
	});

	test.each(["1e400", '{"stage": "train", "step": "x"}', "[]"])("as progress (%s) shows none", async (progress) => {
		const run = await running("long");
		await leave(run.document.id, { "progress.json": progress });
		expect(await executor.look(run.document.id)).toMatchObject({ state: "running", progress: null });
	});
});

describe("a stop signals", () => {
	test.each([0, 1, -1, "7", 1.5])("nobody where the group is said to be %j", async (pgid) => {
		await leave(ID, { "job.json": ticket, "process.json": processOf(process.pid, { pgid }) });
		await executor.stop(ID);
		expect((await executor.look(ID)).state).toBe("failed");
	});

	test("no stranger who has the launcher's number by now", async () => {
		const { pid, lives } = await stranger();
		await leave(ID, { "job.json": ticket, "process.json": processOf(pid, { start_time: 1 }) });
		expect((await executor.look(ID)).state).toBe("failed");
		await executor.stop(ID);
		await new Promise((resolve) => setTimeout(resolve, 100));
		expect(lives()).toBe(true);
	});

	test("no stranger's group whose leader is gone, nor one of before a restart", async () => {
		const { pid, lives } = await stranger();
		const { boot, uptime } = await readBoot();
		for (const more of [{ pid: 4_000_000 }, { boot: `${boot}-before`, uptime, start_time: await startOf(pid) }]) {
			await leave(ID, { "job.json": ticket, "process.json": processOf(pid, more) });
			expect((await executor.look(ID)).state).toBe("failed");
			await executor.stop(ID);
		}
		await new Promise((resolve) => setTimeout(resolve, 100));
		expect(lives()).toBe(true);
	});

	test("a dead launcher's workers, and kills those that don't end within the grace", async () => {
		const run = await running("stubborn", { grace_seconds: 1 });
		const { id } = run.document;
		process.kill(JSON.parse(await read(id, "process.json")).pid, "SIGKILL");
		await executor.stop(id);
		expect((await executor.look(id)).state).toBe("running");
		await new Promise((resolve) => setTimeout(resolve, 1200));
		await executor.stop(id);
		expect((await until(executor, id, ({ state }) => state !== "running")).state).toBe("stopped");
	});
});

describe("a run is made once", () => {
	const refusal =
		/^The run long-0123456789abcdef is already made by process \d+ on \S+, started from \S+\. Nothing was/;

	test("though its folder was deleted while it ran", async () => {
		const run = await running("long");
		const { pgid } = JSON.parse(await read(run.document.id, "process.json"));
		await rm(path.join(jobs, run.document.id), { recursive: true });
		const error = await executor.start(run).catch((thrown: unknown) => thrown);
		end(pgid);
		expect(error).toBeInstanceOf(ServiceError);
		expect((error as Error).message).toMatch(refusal);
	});

	test("though two repositories share a store, and another can go on once it has ended", async () => {
		const run = await running("long");
		const other = open(path.join(temporary, "other"));
		await expect(other.start(run)).rejects.toThrow(refusal);
		end(JSON.parse(await read(run.document.id, "process.json")).pgid);
		await until(executor, run.document.id, ({ state }) => state !== "running");
		await other.start(run);
		expect((await other.look(run.document.id)).state).toBe("running");
		await other.stop(run.document.id);
		await until(other, run.document.id, ({ state }) => state !== "running");
	});
});

describe("the time that is counted", () => {
	const earlier = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString();

	test("of a job that runs is none by which somebody has set the clock", async () => {
		const run = await running("long");
		const written = JSON.parse(await read(run.document.id, "process.json"));
		await leave(run.document.id, { "process.json": { ...written, started_at: earlier(48) } });
		expect((await executor.look(run.document.id)).seconds).toBeLessThan(30);
	});

	test("of one that has ended is what its launcher counted", async () => {
		const exit = { attempt: 1, code: 3, signal: null, finished_at: now() };
		await leave(ID, { "job.json": ticket, "process.json": processOf(4_000_000, { started_at: earlier(48) }) });
		await leave(ID, { "exit.json": { ...exit, seconds: 90 } });
		expect(await executor.look(ID)).toMatchObject({ state: "failed", seconds: 90, cost_usd: 90 });
	});

	test("of one that was killed ends with its last sign of life", async () => {
		await leave(ID, { "job.json": ticket, "process.json": processOf(4_000_000) });
		const [{ seconds }] = [await executor.look(ID)];
		await new Promise((resolve) => setTimeout(resolve, 300));
		expect((await executor.look(ID)).seconds).toBe(seconds);
	});
});

test("a log of three gigabytes is read at its end alone", async () => {
	await leave(ID, { "job.json": ticket, "process.json": processOf(4_000_000), "log.txt": "" });
	await truncate(path.join(jobs, ID, "log.txt"), 3 * 1024 ** 3);
	await writeFile(path.join(jobs, ID, "log.txt"), "\nthe last words\n", { flag: "a" });
	expect((await executor.look(ID)).diagnosis).toMatch(/the log's last line: the last words$/);
});

async function startOf(pid: number): Promise<number> {
	const text = await readFile(`/proc/${pid}/stat`, "utf8");
	return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[19]);
}
