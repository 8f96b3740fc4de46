// Finding and reading the one experiment that changed among 10,000, against git alone and against reading them all.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { loadExperiment } from "../../actions/lib/experiment/experiment.ts";
import { changedExperiments } from "../../actions/lib/git/changed_files.ts";
import { printRatios, timeInTurn } from "./times.ts";

const COUNT = 10_000;
const root = path.resolve(import.meta.dirname, "../..");

export async function benchPlan(): Promise<void> {
	const folder = mkdtempSync(path.join(tmpdir(), "bench-plan-"));
	const git = (...args: string[]) =>
		execFileSync("git", ["-C", folder, "-c", "user.name=bench", "-c", "user.email=bench@example.com", ...args]);
	try {
		cpSync(path.join(root, "recipes"), path.join(folder, "recipes"), { recursive: true });
		mkdirSync(path.join(folder, "experiments"));
		const text = readFileSync(path.join(root, "experiments/baseline.yaml"), "utf8");
		for (let n = 0; n < COUNT; n++) writeFileSync(path.join(folder, `experiments/e${n}.yaml`), `${text}seed: ${n}\n`);
		git("init", "--quiet", "--initial-branch=main");
		git("add", ".");
		git("commit", "--quiet", "--message", "all");
		writeFileSync(path.join(folder, "experiments/e5000.yaml"), `${text}seed: 77777\n`);
		git("commit", "--quiet", "--all", "--message", "one");
		const before = git("rev-parse", "HEAD~1").toString().trim();
		const times = await timeInTurn(
			{
				"git diff --name-only": () => git("diff", "--name-only", `${before}...HEAD`),
				"ours: find, read and check the one": async () => {
					for (const file of await changedExperiments(folder, before)) await loadExperiment(file, { root: folder });
				},
				"yaml: parse all of them": () => {
					for (const file of readdirSync(path.join(folder, "experiments")))
						parse(readFileSync(path.join(folder, "experiments", file), "utf8"));
				},
			},
			7,
		);
		printRatios(`The plan of one changed file among ${COUNT.toLocaleString("en-US")}`, times, "git diff --name-only");
	} finally {
		rmSync(folder, { recursive: true });
	}
}
