// Every executor
import { fork } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { local } from "../../../actions/lib/executors/local.ts";
import type { RunTrain } from "../../../actions/lib/generated/documents.d.ts";
import type { Executor, Run } from "../../../actions/lib/train/executor.ts";
import { digestTrainer, type Trainer } from "../../../actions/lib/trainer/trainer.ts";
import { exampleRun, standIn, until } from "../../fixtures/jobs.ts";

const root = path.resolve(import.meta.dirname, "../../..");

interface Bench {
	executor: Executor;
	output: string;
	/** How many times the job's program was started. */
	starts(id: string): Promise<number>;
	/** Ends the job as a lost machine would. */
	kill(id: string): Promise<void>;
}

/** The conformance suite: called once for each adapter. */
function conforms(name: string, open: () => Promise<Bench>): void {
	describe(name, () => {
		let bench: Bench;
		let executor: Executor;
		const ids: string[] = [];
		const makeRun = (experiment: string) => {
			const run = exampleRun(bench.output, experiment);
			ids.push(run.document.id);
			return run;
		};
		beforeEach(async () => {
			bench = await open();
			executor = bench.executor;
		});
		afterEach(async () => {
			for (const id of ids.splice(0)) await bench.kill(id);
		});

		test("knows nothing of a run that was never started", async () => {
			expect((await executor.look("never-0123456789abcdef")).state).toBe("absent");
			expect(await executor.list()).toEqual([]);
		});

		test("starts a run and sees it through", async () => {
			const run = makeRun("short");
			await executor.start(run);
			expect((await executor.look(run.document.id)).state).toBe("running");
			const done = await until(executor, run.document.id, (job) => job.state !== "running");
			expect(done).toMatchObject({ state: "succeeded", attempt: 1, kind: "train", diagnosis: null });
			expect(done.seconds).toBeGreaterThan(0.9);
			expect(done.cost_usd).toBeCloseTo(done.seconds!, 6);
		});

		test("tells how far a running job is, and lists it", async () => {
			const run = makeRun("long");
			await executor.start(run);
			const job = await until(executor, run.document.id, ({ progress }) => progress !== null);
			expect(job.progress).toMatchObject({ stage: "train", step: 3, steps: 9 });
			expect((await executor.list()).map(({ id }) => id)).toEqual([run.document.id]);
		});

		test("starts a run once, however often it is asked", async () => {
			const run = makeRun("long");
			await Promise.all(Array.from({ length: 8 }, () => executor.start(run)));
			await executor.start(run);
			await until(executor, run.document.id, ({ progress }) => progress !== null);
			expect(await bench.starts(run.document.id)).toBe(1);
		});

		test("does not start again what has succeeded", async () => {
			const run = makeRun("short");
			await executor.start(run);
			await until(executor, run.document.id, ({ state }) => state === "succeeded");
			await executor.start(run);
			expect((await executor.look(run.document.id)).state).toBe("succeeded");
			expect(await bench.starts(run.document.id)).toBe(1);
		});

		test("refuses another document under the same id, and starts nothing", async () => {
			const run = makeRun("long");
			await executor.start(run);
			const other = { ...run, document: { ...run.document, seed: 1 } };
			await expect(executor.start(other)).rejects.toThrow("already holds a different document");
			await until(executor, run.document.id, ({ progress }) => progress !== null);
			expect(await bench.starts(run.document.id)).toBe(1);
		});

		test("stops a job with its checkpoint, and starts it again", async () => {
			const run = makeRun("long");
			await executor.start(run);
			await until(executor, run.document.id, ({ progress }) => progress !== null);
			await executor.stop(run.document.id);
			const stopped = await until(executor, run.document.id, ({ state }) => state !== "running");
			expect(stopped).toMatchObject({ state: "stopped", diagnosis: "Stopped after saving a checkpoint." });
			await executor.start(run);
			expect(await until(executor, run.document.id, ({ progress }) => progress !== null)).toMatchObject({
				state: "running",
				attempt: 2,
			});
		});

		test("kills a job that doesn't stop within the grace", async () => {
			const run = makeRun("stubborn");
			run.machine = { ...run.machine, grace_seconds: 0.5 };
			await executor.start(run);
			await until(executor, run.document.id, ({ progress }) => progress !== null);
			await executor.stop(run.document.id);
			expect((await until(executor, run.document.id, ({ state }) => state !== "running")).state).toBe("stopped");
		});

		test("says why a job failed", async () => {
			const run = makeRun("fails");
			await executor.start(run);
			const failed = await until(executor, run.document.id, ({ state }) => state !== "running");
			expect(failed.state).toBe("failed");
			expect(failed.diagnosis).toBe("It ended with exit code 3; the log's last line: the last words");
		});

		test("sees that a job's processes are gone", async () => {
			const run = makeRun("long");
			await executor.start(run);
			await until(executor, run.document.id, ({ progress }) => progress !== null);
			await bench.kill(run.document.id);
			expect((await until(executor, run.document.id, ({ state }) => state !== "running")).state).toBe("failed");
			await executor.start(run);
			expect((await executor.look(run.document.id)).state).toBe("running");
		});

		test("stops nothing where nothing runs", async () => {
			await executor.stop("never-0123456789abcdef");
		});
	});
}

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "executor-"));
});
afterEach(() => rm(temporary, { recursive: true, force: true, maxRetries: 5 }));

async function openLocal(): Promise<Bench> {
	const jobs = path.join(temporary, "jobs");
	const read = (id: string, file: string) => readFile(path.join(jobs, id, file), "utf8");
	return {
		executor: local({ jobs, trainer: await standIn(temporary), copyTrainer: false }),
		output: path.join(temporary, "store"),
		starts: async (id) => (await read(id, "starts.txt")).trim().split("\n").length,
		kill: async (id) => {
			const { pgid } = JSON.parse(await read(id, "process.json").catch(() => '{"pgid":null}'));
			try {
				if (pgid) process.kill(-pgid, "SIGKILL");
			} catch {
				// It has ended by itself.
			}
		},
	};
}

conforms("local", openLocal);

describe("local", () => {
	/** An action of its own process that starts the run and then waits to be killed. */
	async function otherProcess(run: Run, trainer: Trainer): Promise<ReturnType<typeof fork>> {
		const script = path.join(temporary, "start.ts");
		await writeFile(
			script,
			`import { local } from ${JSON.stringify(path.join(root, "actions/lib/executors/local.ts"))};
const { jobs, trainer, run } = JSON.parse(process.argv[2]);
process.send("ready");
await new Promise((resolve) => process.once("message", resolve));
await local({ jobs, trainer, copyTrainer: false }).start(run);
process.send("started");
setInterval(() => {}, 1000);`,
		);
		const child = fork(script, [JSON.stringify({ jobs: path.join(temporary, "jobs"), trainer, run })]);
		await new Promise((resolve) => child.once("message", resolve));
		return child;
	}
	const message = (child: ReturnType<typeof fork>) => new Promise((resolve) => child.once("message", resolve));

	test("starts once from two processes at the same instant", async () => {
		const { executor, output, starts, kill } = await openLocal();
		const run = exampleRun(output, "long");
		const trainer = { python: path.join(root, ".venv/bin/python"), folder: path.join(temporary, "trainer") };
		const children = await Promise.all([otherProcess(run, trainer), otherProcess(run, trainer)]);
		const started = children.map(message);
		for (const child of children) child.send("go");
		await Promise.all(started);
		await until(executor, run.document.id, ({ progress }) => progress !== null);
		expect(await starts(run.document.id)).toBe(1);
		for (const child of children) child.kill("SIGKILL");
		await kill(run.document.id);
	});

	test("leaves the job running when the action is killed, and adopts it", async () => {
		const { executor, output, starts, kill } = await openLocal();
		const run = exampleRun(output, "short");
		const trainer = { python: path.join(root, ".venv/bin/python"), folder: path.join(temporary, "trainer") };
		const child = await otherProcess(run, trainer);
		const started = message(child);
		child.send("go");
		await started;
		child.kill("SIGKILL");
		await executor.start(run);
		expect((await until(executor, run.document.id, ({ state }) => state !== "running")).state).toBe("succeeded");
		expect(await starts(run.document.id)).toBe(1);
		await kill(run.document.id);
	});

	test("gives the job none of the action's secrets", async () => {
		const { executor, output } = await openLocal();
		process.env["GITHUB_TOKEN"] = "a-secret-token";
		try {
			const run = exampleRun(output, "short");
			await executor.start(run);
			await until(executor, run.document.id, ({ state }) => state !== "running");
			const environment = await readFile(path.join(temporary, "jobs", run.document.id, "environment.json"), "utf8");
			expect(environment).not.toContain("a-secret-token");
		} finally {
			delete process.env["GITHUB_TOKEN"];
		}
	});

	test("says that the environment is not set up where there is no Python", async () => {
		const executor = local({
			jobs: path.join(temporary, "jobs"),
			trainer: { python: path.join(temporary, "python"), folder: temporary },
			copyTrainer: false,
		});
		await expect(executor.start(exampleRun(temporary, "short"))).rejects.toThrow(
			"Set up its environment: run npm start",
		);
	});
});

describe("local, with a copy of the trainer", () => {
	let trainer: Trainer;
	let jobs: string;
	let executor: Executor;
	let run: Run;
	const copies = () => readdir(path.join(jobs, ".trainers"));
	const ended = () => until(executor, run.document.id, ({ state }) => state !== "running");
	/** What the job writes at its very end, after the manifest by which it is known to have succeeded. */
	const lateWords = () => readFile(path.join(jobs, run.document.id, "late.txt"), "utf8").catch(() => "");

	beforeEach(async () => {
		jobs = path.join(temporary, "jobs");
		trainer = await standIn(temporary);
		const job = path.join(trainer.folder, "torch/distributed/run.py");
		// The package is what is copied: the job's program must come from it, and say so with the parts that it loads late.
		await cp(job, path.join(trainer.folder, "proving_ground/__main__.py"));
		await writeFile(path.join(trainer.folder, "proving_ground/late.py"), 'WORDS = "as planned"\n');
		await writeFile(path.join(trainer.folder, "requirements.txt"), "");
		const site = path.join(temporary, "site");
		await cp(path.join(trainer.folder, "torch"), path.join(site, "torch"), { recursive: true });
		await rm(path.join(trainer.folder, "torch"), { recursive: true });
		await writeFile(
			path.join(site, "torch/distributed/run.py"),
			`import runpy, sys
sys.argv = ["proving_ground", *sys.argv[sys.argv.index("proving_ground") + 1:]]
runpy.run_module("proving_ground", run_name="__main__")
from proving_ground.late import WORDS
from pathlib import Path
Path(sys.argv[sys.argv.index("--work") + 1], "late.txt").write_text(WORDS)
`,
		);
		const python = path.join(temporary, "python");
		await writeFile(python, `#!/bin/sh\nPYTHONPATH="$PYTHONPATH:${site}" exec ${trainer.python} "$@"\n`, {
			mode: 0o755,
		});
		trainer = { ...trainer, python };
		executor = local({ jobs, trainer, copyTrainer: true });
		run = exampleRun(path.join(temporary, "store"), "short");
		run = { ...run, document: { ...run.document, code: await digestTrainer(trainer) } as RunTrain };
	});

	test("goes on with the code it was started with when the checkout changes", async () => {
		await executor.start(run);
		await writeFile(path.join(trainer.folder, "proving_ground/late.py"), 'WORDS = "as pushed since"\n');
		await rm(path.join(trainer.folder, "proving_ground/__main__.py"));
		expect((await ended()).state).toBe("succeeded");
		await expect.poll(lateWords).toBe("as planned");
	});

	test("starts what was planned again after the checkout has changed, from the copy that is there", async () => {
		await executor.start(run);
		await until(executor, run.document.id, ({ progress }) => progress !== null);
		await executor.stop(run.document.id);
		expect((await ended()).state).toBe("stopped");
		await writeFile(path.join(trainer.folder, "proving_ground/late.py"), 'WORDS = "as pushed since"\n');
		await executor.start(run);
		expect(await ended()).toMatchObject({ state: "succeeded", attempt: 2 });
		await expect.poll(lateWords).toBe("as planned");
	});

	test("refuses a trainer that isn't the planned one, and leaves nothing of it", async () => {
		await writeFile(path.join(trainer.folder, "proving_ground/late.py"), 'WORDS = "as pushed since"\n');
		await expect(executor.start(run)).rejects.toThrow("isn't the trainer that was planned (sha256:");
		expect(await copies()).toEqual([]);
		expect((await executor.look(run.document.id)).state).toBe("absent");
	});

	test("makes one copy where two start at once, and lists it as no job", async () => {
		const other = { ...run, document: { ...run.document, id: "short-1111111111111111" } };
		other.output = path.join(temporary, "store", other.document.id);
		await Promise.all([executor.start(run), executor.start(other)]);
		expect(await copies()).toEqual([run.document.code.replace("sha256:", "")]);
		// One of them may have ended by now.
		for (const { id } of await executor.list()) expect([run.document.id, other.document.id]).toContain(id);
		for (const { document } of [run, other])
			expect((await until(executor, document.id, ({ state }) => state !== "running")).state).toBe("succeeded");
	});
});
