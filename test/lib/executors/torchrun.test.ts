// A job under torchrun itself
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { local } from "../../../actions/lib/executors/local.ts";
import { exampleRun, until } from "../../fixtures/jobs.ts";

const root = path.resolve(import.meta.dirname, "../../..");
const SAVE_SECONDS = 3;
/** What torchrun would take of its own accord, if nobody told it: less than the save takes. */
const OWN_SECONDS = "1";

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "torchrun-"));
});
afterEach(() => rm(temporary, { recursive: true, force: true, maxRetries: 5 }));

test("has all of its machine's grace to save a checkpoint, on every rank", async () => {
	const folder = path.join(temporary, "trainer");
	await mkdir(path.join(folder, "proving_ground"), { recursive: true });
	for (const file of ["launch.py", "masking.py", "__init__.py"])
		await cp(path.join(root, "trainer/proving_ground", file), path.join(folder, "proving_ground", file));
	await writeFile(
		path.join(folder, "proving_ground/__main__.py"),
		`import json, os, signal, sys, time
from pathlib import Path
work = Path(sys.argv[sys.argv.index("--work") + 1])
def save(*_):
    time.sleep(${SAVE_SECONDS})
    (work / f"saved-{os.environ['RANK']}").write_text("")
    (work / "failure.json").write_text(json.dumps({"kind": "stopped", "message": "Stopped after saving a checkpoint."}))
    sys.exit(75)
signal.signal(signal.SIGTERM, save)
(work / f"ready-{os.environ['RANK']}").write_text("")
time.sleep(60)
`,
	);
	const jobs = path.join(temporary, "jobs");
	const trainer = { python: path.join(root, ".venv/bin/python"), folder };
	const executor = local({ jobs, trainer, copyTrainer: false });
	const run = exampleRun(path.join(temporary, "store"));
	run.document.processes = 2;
	const environment = { TORCH_ELASTIC_SHUTDOWN_TIMEOUT: OWN_SECONDS };
	run.machine = { ...run.machine, processes: 2, grace_seconds: 20, environment };
	await executor.start(run);
	const left = (name: string) => readFile(path.join(jobs, run.document.id, name), "utf8").catch(() => null);
	for (const name of ["ready-0", "ready-1"]) await expect.poll(() => left(name), { timeout: 60_000 }).toBe("");
	await executor.stop(run.document.id);
	const job = await until(executor, run.document.id, ({ state }) => state !== "running");
	expect(job).toMatchObject({ state: "stopped", diagnosis: "Stopped after saving a checkpoint." });
	expect([await left("saved-0"), await left("saved-1")]).toEqual(["", ""]);
}, 120_000);
