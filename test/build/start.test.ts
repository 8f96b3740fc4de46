// The set-up of the trainer's packages
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

let environment: string;
/** Where the environment's packages lie. */
let packages: string;

const setUp = (env: Record<string, string> = {}, ...stage: string[]) =>
	run(process.execPath, [path.join(root, "actions/build/start.mjs"), "python", environment, ...stage], {
		env: { PATH: process.env["PATH"] ?? "", ...env },
	});
const compiled = () => globSync("__pycache__/*.pyc", { cwd: packages }).length;
const isDone = () => existsSync(path.join(environment, ".compiled"));

// An environment that has what the lock files ask for, as its stamp says, and three modules.
beforeEach(async () => {
	environment = await mkdtemp(path.join(tmpdir(), "setup-"));
	const python = path.join(environment, "bin/python");
	await run(path.join(root, ".venv/bin/python"), ["-m", "venv", "--without-pip", environment]);
	const { stdout } = await run(python, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
	packages = stdout.trim();
	for (const name of ["one", "two"]) await writeFile(path.join(packages, `${name}.py`), "value = 1\n");
	await writeFile(path.join(packages, "for_another_python.py"), "print 1\n");
	const gpu = existsSync("/proc/driver/nvidia/version");
	const locks = gpu ? ["requirements-cuda.txt"] : ["requirements.txt", "requirements-cuda.txt"];
	const digest = createHash("sha256");
	for (const lock of locks) digest.update(await readFile(path.join(root, "trainer", lock)));
	await writeFile(path.join(environment, ".lock"), digest.digest("hex"));
});
// The compilation behind the last command may still write there.
afterEach(() => rm(environment, { recursive: true, maxRetries: 20, retryDelay: 50 }));

test("compiles them behind the command, where every process looks, whatever the user's environment says of bytecode", async () => {
	const elsewhere = path.join(environment, "elsewhere");
	await setUp({ PYTHONDONTWRITEBYTECODE: "1", PYTHONPYCACHEPREFIX: elsewhere });
	await expect.poll(isDone).toBe(true);
	expect(compiled()).toBe(2);
	expect(existsSync(elsewhere)).toBe(false);
});

test("does nothing where it was done", async () => {
	await setUp();
	await expect.poll(isDone).toBe(true);
	await rm(path.join(packages, "__pycache__"), { recursive: true });
	await setUp();
	await sleep(500);
	expect(compiled()).toBe(0);
});

test("takes up a compilation that was killed, which leaves every module whole", async () => {
	const names = Array.from({ length: 400 }, (_, place) => `module_${place}`);
	const lines = Array.from({ length: 300 }, (_, place) => `value_${place} = [${place}, "${place}"]\n`).join("");
	for (const name of names) await writeFile(path.join(packages, `${name}.py`), lines);
	await setUp();
	await expect.poll(compiled, { interval: 20 }).toBeGreaterThan(0);
	// It leads a process group of its own, with its workers.
	const { stdout } = await run("ps", ["-eo", "pgid,args"]);
	process.kill(-Number.parseInt(stdout.split("\n").find((line) => line.includes(environment))!, 10), "SIGKILL");
	expect(isDone()).toBe(false);
	await run(path.join(environment, "bin/python"), ["-B", "-c", `import ${names.join(", ")}`]);

	await setUp();
	await expect.poll(isDone).toBe(true);
	expect(compiled()).toBe(402);
});

describe("for a plan", () => {
	const at = (stamp: string) => path.join(environment, stamp);
	/** The lock files that were installed, in the order in which pip was asked. */
	const installed = async () => (await readFile(at("asked"), "utf8").catch(() => "")).split("\n").filter(Boolean);

	beforeEach(async () => {
		const pip = `import sys\nopen(${JSON.stringify(at("asked"))}, "a").write(sys.argv[-1] + "\\n")\n`;
		await writeFile(path.join(packages, "pip.py"), pip);
	});

	test("takes the small lock file once, until a training needs everything", async () => {
		await rm(at(".lock"));
		expect((await setUp({}, "plan")).stdout).toContain("Packages to plan with: installed");
		expect((await setUp({}, "plan")).stdout).toBe("Packages to plan with: already there\n");
		expect(await installed()).toEqual(["trainer/requirements-data.txt"]);
		expect((await setUp({}, "train")).stdout).toContain("Trainer's packages: installed");
		expect((await setUp({}, "plan")).stdout).toBe("Trainer's packages: already there\n");
		expect(await installed()).toHaveLength(2);
	});

	test("leaves none that a training takes for its own, where the versions have changed since", async () => {
		await writeFile(at(".lock"), "of other versions");
		await setUp({}, "plan");
		await setUp({}, "train");
		expect(await installed()).toHaveLength(2);
		await writeFile(at(".lock"), "of other versions");
		await setUp({}, "plan");
		expect(existsSync(at(".lock"))).toBe(false);
	});
});
