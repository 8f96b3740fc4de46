// Experiments of the small repository become models that are trained once for all test files.
import { execFile, spawn } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { planExperiment } from "../../actions/lib/plan/plan_files.ts";
import { openProject } from "../../actions/lib/project.ts";
import { startJobs } from "../../actions/lib/train/train.ts";
import { shared } from "../shared.ts";
import { experiment, repository, tracked, writeProject } from "./project.ts";

/** What a process of the command line did. */
export interface Ran {
	code: number | null;
	out: string;
	err: string;
}

/** The experiments that are trained here; others of the same name and seed adopt what was trained. */
export const EXPERIMENTS = {
	first: experiment({}),
	third: experiment({ more: "seed: 2\n" }),
	moving: experiment({ more: "seed: 4\n" }),
} as const;

/** Starts the command line in a process of its own. */
export function startCli(root: string, ...args: string[]) {
	const child = spawn(process.execPath, [path.join(repository, "actions/cli/cli.ts"), "--root", root, ...args]);
	const ran: Ran = { code: null, out: "", err: "" };
	child.stdout.on("data", (chunk) => (ran.out += chunk));
	child.stderr.on("data", (chunk) => (ran.err += chunk));
	const ended = new Promise<Ran>((resolve) => child.once("close", (code) => resolve({ ...ran, code })));
	return { child, ran, ended };
}

/** The small repository after the command line has taken its first experiment through every stage, and what that said. */
export async function firstProject(): Promise<{ root: string; ran: Ran }> {
	const folder = await shared("first", async (place) => {
		const root = path.join(place, "project");
		await writeProject(root, tracked);
		const ran = await startCli(root, "run", "experiments/first.yaml").ended;
		await writeFile(path.join(place, "ran.json"), JSON.stringify(ran));
	});
	const ran = JSON.parse(await readFile(path.join(folder, "ran.json"), "utf8")) as Ran;
	return { root: path.join(folder, "project"), ran };
}

/** A copy of a folder, with the times of its files. */
export async function copyFolder(from: string, to: string): Promise<void> {
	await promisify(execFile)("cp", ["-a", "--reflink=auto", from, to]);
}

/** The store in which an experiment of these is trained; first is evaluated there, too, against nothing. */
async function storeOf(name: keyof typeof EXPERIMENTS): Promise<string> {
	const { root: first } = await firstProject();
	const store = ".proving-ground/store";
	if (name === "first") return path.join(first, store);
	const folder = await shared(name, async (place) => {
		const root = path.join(place, "project");
		await writeProject(root, { [`experiments/${name}.yaml`]: EXPERIMENTS[name] });
		await mkdir(path.join(root, ".proving-ground"));
		await copyFolder(path.join(first, ".proving-ground/data"), path.join(root, ".proving-ground/data"));
		const project = await openProject(root);
		const plan = await planExperiment(project, `experiments/${name}.yaml`);
		const ports = { executor: project.executorFor(plan.machine), store: project.store, registry: project.registry };
		await startJobs(plan, ports);
		let state = "running";
		while (state === "running") {
			await new Promise((resolve) => setTimeout(resolve, 200));
			({ state } = await ports.executor.look(plan.run.id));
		}
		if (state !== "succeeded") throw new Error(`${root}: the training ${state}`);
	});
	return path.join(folder, "project", store);
}

/** Puts a trained model into another store, whose runs adopt it. */
export async function giveTrained(name: keyof typeof EXPERIMENTS, store: string): Promise<void> {
	const line = "models/small-line";
	const from = path.join(await storeOf(name), line);
	const [run, ...more] = (await readdir(from)).filter((other) => other.startsWith(`${name}-`));
	if (!run || more.length > 0) throw new Error(`${from}: not one model of ${name}`);
	await mkdir(path.join(store, line), { recursive: true });
	await copyFolder(path.join(from, run), path.join(store, line, run));
}
