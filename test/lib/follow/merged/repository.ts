// A repository whose experiments are judged in no time, for tests to merge.
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { judgeEvaluation } from "../../../../actions/lib/follow/follow.ts";
import { ROLLBACKS } from "../../../../actions/lib/follow/rollback.ts";
import { type Settled, settleMerged } from "../../../../actions/lib/follow/settle.ts";
import type { Plan } from "../../../../actions/lib/generated/documents.d.ts";
import { checkOut } from "../../../../actions/lib/git/checkouts.ts";
import { openGit } from "../../../../actions/lib/git/git.ts";
import { planExperiment } from "../../../../actions/lib/plan/plan_files.ts";
import type { Approval } from "../../../../actions/lib/plan/registry.ts";
import { openProject, type Project } from "../../../../actions/lib/project.ts";
import { followJobs } from "../../../../actions/lib/train/train.ts";
import { createGit, type Files, mergeCommit, writeCommit } from "../../../system/github/git.ts";
import { files as recipes } from "../../../system/project.ts";
import { type InstantExecutor, instantExecutor } from "./executor.ts";
import { BOT, Server } from "./github.ts";

/** A policy that asks for some quality, and for no less than production has. */
export const gates = `description: As good as production
rules:
  - { metric: map, min: 0.1, reason: it must see something }
  - { metric: map, max_drop: 0.03, reason: it must not get worse }
`;

/** An experiment file; the seed tells one training from another. */
export function experiment({ model = "line", seed = 0 } = {}): string {
	return `model: ${model}\nrecipe: mini\ndata: mini\nmachine: here\ngates: gate\nseed: ${seed}\nwhy: a test\n`;
}

export const fileOf = (name: string) => `experiments/${name}.yaml`;

/** Makes the repository with one commit on main and its dataset; returns its folder. */
export async function makeTemplate(): Promise<string> {
	const root = await mkdtemp(path.join(tmpdir(), "merged-"));
	const kept = ["recipes/models/mini.yaml", "recipes/machines/here.yaml", ".github/proving-ground.yaml"];
	const git = createGit(root);
	git(["init", "--quiet", "--template=", "--initial-branch=main"]);
	const first = writeCommit(
		git,
		null,
		{
			...Object.fromEntries(kept.map((file) => [file, recipes[file]!])),
			".gitignore": ".proving-ground/\n",
			"recipes/data/mini.yaml": recipes["recipes/data/mini.yaml"]!.split("importer:")[0]!,
			"recipes/gates/gate.yaml": gates,
		},
		"The repository",
		"ann",
	);
	git(["reset", "--quiet", "--hard", first]);
	await writeDataset(path.join(root, ".proving-ground/data/mini"));
	return root;
}

/** One frame with every label in each split. */
async function writeDataset(folder: string): Promise<void> {
	await mkdir(folder, { recursive: true });
	const frameOf = (split: string) => ({
		"source-ref": `${split}.jpg`,
		"segmentation-ref": "classes.png",
		width: 96,
		height: 64,
		detection: [{ category: "vehicle", box: [1, 2, 30, 40] }],
		lanes: [],
	});
	const splits = ["train", "val", "test"];
	for (const split of splits)
		await writeFile(path.join(folder, `golden_${split}.manifest`), `${JSON.stringify(frameOf(split))}\n`);
	for (const file of [...splits.map((split) => `${split}.jpg`), "classes.png"])
		await writeFile(path.join(folder, file), file);
	await writeFile(path.join(folder, "slices.yaml"), "slices: []\n");
}

/** A copy of the template, with the GitHub that knows its pull requests. */
export class Repository {
	readonly server = new Server();
	/** What was said by the runs of `settle`. */
	readonly said: string[] = [];
	readonly git;
	readonly home: string;
	readonly project: Project;
	readonly executor: InstantExecutor;

	private constructor(home: string, opened: Project) {
		this.home = home;
		this.git = createGit(home);
		this.executor = instantExecutor(opened.store);
		this.project = ranBy(opened, this.executor);
	}

	static async copy(template: string): Promise<Repository> {
		const home = await mkdtemp(path.join(tmpdir(), "settle-"));
		execFileSync("cp", ["-R", `${template}/.`, home]);
		return new Repository(home, await openProject(home));
	}

	remove(): Promise<void> {
		return rm(this.home, { recursive: true, force: true });
	}

	/** The commit of a ref. */
	sha(ref = "HEAD"): string {
		return this.git(["rev-parse", ref]).trim();
	}

	/** Commits to main, and checks it out. */
	push(files: Files, by = "ann"): string {
		return this.#move(writeCommit(this.git, this.sha(), files, "Push", by));
	}

	/** Opens a pull request with these files; gives its number. */
	open(files: Files, ref = "proposed", author = "bob"): number {
		const base = this.sha();
		return this.server.open(writeCommit(this.git, base, files, "Propose", "bob"), base, ref, author).number;
	}

	/** Merges what `/rollback` opens for a pull request, with the files as they were before it. */
	rollBack(number: number, files: Files): void {
		this.merge(this.open(files, `${ROLLBACKS}${number}`, BOT));
	}

	/** Plans, trains and evaluates an experiment of a pull request, as its workflow does, and registers it as pending where that is asked for. */
	async judge(number: number, name: string, register = false): Promise<Plan> {
		const { head, author } = this.server.of(number);
		const root = await checkOut(this.project, openGit(this.home), head.sha, number);
		const plan = await planExperiment(this.project.at(root, "started"), fileOf(name), { known: { author } });
		const { store, registry } = this.project;
		const jobs = await followJobs(plan, { executor: this.executor, store, registry });
		const pull = { github: this.server.connect(), place: { number, head } };
		if (register) await judgeEvaluation(plan, jobs, this.project, pull);
		return plan;
	}

	/** Merges a pull request, and checks main out. */
	merge(number: number): string {
		const { head } = this.server.of(number);
		const merged = this.#move(mergeCommit(this.git, this.sha(), head.sha, `Merge #${number}\n`)!);
		this.server.merged(number, merged);
		return merged;
	}

	/** Opens, judges and merges an experiment of some quality; gives the plan that was judged. */
	async bring(name: string, text = experiment(), quality = 0.3): Promise<Plan> {
		this.executor.map.set(name, quality);
		const number = this.open({ [fileOf(name)]: text });
		const plan = await this.judge(number, name);
		this.merge(number);
		return plan;
	}

	settle(github = this.server.connect()): Promise<Settled[]> {
		const ports = { project: this.project, git: openGit(this.home), github };
		return settleMerged(ports, { branch: "main", days: 30, say: (line) => this.said.push(line) });
	}

	async approvals(model = "line"): Promise<Approval[]> {
		return (await this.project.registry.history(model)).approvals;
	}

	/** Checks a commit out as main. */
	#move(commit: string): string {
		this.git(["reset", "--quiet", "--hard", commit]);
		return commit;
	}
}

/** The project, and each other checkout of it, with its jobs run by the executor. */
function ranBy(project: Project, executor: InstantExecutor): Project {
	return {
		...project,
		executorFor: () => executor,
		executors: () => [executor],
		at: (root, trainer) => ranBy(project.at(root, trainer), executor),
	};
}
