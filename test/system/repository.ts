// The repositories that the workflow files are tried on: a GitHub, and a machine whose store outlives a runner's workspace.
import { execFileSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { digestTrainer } from "../../actions/lib/trainer/trainer.ts";
import { type Order, type Run, runWorkflow } from "./act.ts";
import { TRAINING } from "./github/actions.ts";
import type { Event } from "./github/events.ts";
import { createOrigin, type Origin } from "./github/origin.ts";
import { type GitHubServer, startGitHub } from "./github-server.ts";
import { files, repository } from "./project.ts";
import { firstProject } from "./trained.ts";

export interface Place {
	/** Every run so far. */
	runs: Run[];
	github: GitHubServer;
	origin: Origin;
	/** Where jobs, store, registry and data lie. */
	home: string;
	/** Runs one of the project's workflow files on an event. */
	run(workflow: string, event: Event, more?: Partial<Order>): Promise<Run>;
	close(): Promise<void>;
}

/** The project's workflow files by their path, but those of its own development. */
export async function workflowFiles(): Promise<Record<string, string>> {
	const folder = ".github/workflows";
	const names = (await readdir(path.join(repository, folder))).filter(
		(name) => !["ci.yml", "pages.yml"].includes(name),
	);
	const texts = await Promise.all(names.map((name) => readFile(path.join(repository, folder, name), "utf8")));
	return Object.fromEntries(names.map((name, place) => [`${folder}/${name}`, texts[place]!]));
}

/** What act copies for each step that uses an action of ours: what a runner would have of them, without this checkout's packages. */
export async function copyActions(to: string): Promise<void> {
	const listed = execFileSync("git", ["-C", repository, "ls-files", "-z", "--", "actions", "trainer"], {
		encoding: "utf8",
	});
	const wanted = listed
		.split("\0")
		.filter((file) => /^(trainer\/|actions\/(build\/start\.mjs$|dist\/|\w+\/action\.yml$))/.test(file));
	for (const file of wanted) {
		await mkdir(path.dirname(path.join(to, file)), { recursive: true });
		await cp(path.join(repository, file), path.join(to, file));
	}
}

/** Where a repository's jobs run, and where the copy of this project is that they take its actions from. */
export interface Machine {
	home: string;
	self: string;
}

/** A GitHub with this project's workflows over a small project in it, and the machine that its jobs run on. */
export async function openPlace(more: Record<string, string> = {}): Promise<Place> {
	const { "experiments/first.yaml": _first, "experiments/second.yaml": _second, ...recipes } = files;
	return openRepository(async ({ home }) => ({
		...(await workflowFiles()),
		...recipes,
		".gitignore": ".proving-ground/\n",
		".github/proving-ground.yaml": `state: ${home}
python: ${path.join(repository, ".venv/bin/python")}
tracking: { mode: "off" }
`,
		...more,
	}));
}

/** A GitHub with a repository of just these files, and the machine that its jobs run on; each run is ordered with what `options` says. */
export async function openRepository(
	filesFor: (machine: Machine) => Promise<Record<string, string>>,
	options: (machine: Machine) => Partial<Order> = () => ({}),
): Promise<Place> {
	const home = await mkdtemp(path.join(tmpdir(), "machine-"));
	await mkdir(path.join(home, "data"));
	const machine = { home, self: path.join(home, "self") };
	await copyActions(machine.self);
	const github = await startGitHub({ opened: false });
	// The guide's settings; a test of a repository that can't have them takes it out.
	github.actions.environments.push(TRAINING);
	const origin = await createOrigin(github, await filesFor(machine));
	await warmUp(home);
	const runs: Run[] = [];
	return {
		runs,
		github,
		origin,
		home,
		async run(workflow, event, more = {}) {
			const self = machine.self;
			const vars = { PROVING_GROUND_RUNNER: '["self-hosted"]' };
			const ran = await runWorkflow({ github, origin, workflow, event, self, vars, ...options(machine), ...more });
			runs.push(ran);
			return ran;
		},
		async close() {
			await origin.close();
			await github.close();
			await rm(home, { recursive: true, force: true, maxRetries: 5 });
		},
	};
}

/** Leaves on the machine what its first job would: a copy of the trainer, here with what numba has compiled for this checkout. */
async function warmUp(home: string): Promise<void> {
	// After it numba has compiled all of the trainer.
	await firstProject();
	const folder = path.join(repository, "trainer");
	const digest = (await digestTrainer({ python: "", folder })).replace("sha256:", "");
	const copy = path.join(home, "jobs/.trainers", digest);
	await mkdir(copy, { recursive: true });
	// With the time of each file to the nanosecond, by which numba knows it.
	execFileSync("cp", ["-a", path.join(folder, "proving_ground"), path.join(folder, "requirements.txt"), copy]);
}
