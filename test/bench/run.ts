// Prints performance against named peers in the same run, as ratios. Run: npm run bench [-- startup | files | plan | evaluation | trainer | verdicts]
import { spawnSync } from "node:child_process";
import path from "node:path";
import { benchFiles } from "./files.ts";
import { benchPlan } from "./plan.ts";
import { benchStartup } from "./startup.ts";
import { benchVerdicts } from "./verdicts.ts";

const root = path.resolve(import.meta.dirname, "../..");

/** Runs a bench that is written in Python. */
function benchPython(file: string): () => void {
	return () => {
		const env = { ...process.env, OMP_NUM_THREADS: "1", PYTHONPATH: path.join(root, "trainer") };
		const script = path.join(root, "test/bench", file);
		const { status } = spawnSync(path.join(root, ".venv/bin/python"), [script], { stdio: "inherit", env });
		if (status !== 0) process.exitCode = 1;
	};
}

const benches: Record<string, () => void | Promise<void>> = {
	startup: benchStartup,
	files: benchFiles,
	plan: benchPlan,
	evaluation: benchPython("evaluation.py"),
	trainer: benchPython("trainer.py"),
	verdicts: benchVerdicts,
};
const chosen = process.argv.slice(2);
for (const name of chosen) {
	if (!benches[name]) {
		console.error(`There is no bench ${name}; there are: ${Object.keys(benches).join(", ")}`);
		process.exit(2);
	}
}
for (const name of chosen.length > 0 ? chosen : Object.keys(benches)) await benches[name]!();
