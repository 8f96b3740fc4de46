// What a pull request's head brings beside its experiment, on the runner that has the store
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { runAction } from "../../actions/lib/action.ts";
import { NotMadeYet } from "../../actions/lib/data/dataset.ts";
import { checkOut } from "../../actions/lib/git/checkouts.ts";
import { openGit } from "../../actions/lib/git/git.ts";
import { planExperiment } from "../../actions/lib/plan/plan_files.ts";
import { openProject, type Project } from "../../actions/lib/project.ts";
import { keepCopy } from "../../actions/lib/trainer/copy.ts";
import { digestTrainer } from "../../actions/lib/trainer/trainer.ts";
import { commitIn, gitIn } from "../git.ts";
import { experiment, writeProject } from "../system/project.ts";

let machine: string;
let home: string;
let project: Project;
const git = (...args: string[]) => gitIn(home, ...args);
const state = (...parts: string[]) => path.join(machine, "state", ...parts);

beforeEach(async () => {
	machine = await mkdtemp(path.join(tmpdir(), "heads-"));
	home = path.join(machine, "workspace");
	// A Python that says whose trainer it was started for, with what it was given.
	const python = path.join(machine, "python");
	const mark = path.join(machine, "started");
	await writeFile(python, `#!/bin/sh\necho "$PYTHONPATH" >> ${mark}\nenv >> ${mark}.env\necho stopped >&2\nexit 1\n`);
	await chmod(python, 0o755);
	await writeProject(home, {
		".github/proving-ground.yaml": `state: ../state\npython: ${python}\n`,
		"trainer/proving_ground/__main__.py": "# the default branch's\n",
		"trainer/requirements.txt": "",
	});
	git("init", "--quiet", "--initial-branch=main");
	git("add", ".");
	git("commit", "--quiet", "--message", "the default branch");
	project = await openProject(home);
	await mkdir(state("registry/line/v1"), { recursive: true });
	await writeFile(state("registry/line/v1/entry.json"), "production");
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await rm(machine, { recursive: true, force: true });
});

/** The head of a branch with these files, checked out as follow and settle do it; main stays where it is. */
async function head(files: Record<string, string>): Promise<Project> {
	git("checkout", "--quiet", "-b", "head");
	await commitIn(home, files);
	const sha = git("rev-parse", "HEAD").trim();
	git("checkout", "--quiet", "main");
	return project.at(await checkOut(project, openGit(home), sha, null), "digested");
}
const started = async () => (await readFile(path.join(machine, "started"), "utf8")).trim().split("\n");

describe("a trainer that nobody has approved", () => {
	const own = { "trainer/proving_ground/__main__.py": "# the head's\n", "experiments/mine.yaml": experiment({}) };

	test("isn't started to import data as the base says, although it names the run", async () => {
		const there = await head(own);
		await expect(planExperiment(there, "experiments/mine.yaml")).rejects.toThrow("python -m proving_ground import");
		expect(await started()).toEqual([path.join(home, "trainer")]);
		expect(there.code.folder).toBe(path.join(there.root, "trainer"));
	});

	test("is copied without what its digest doesn't name, and would run in its place", async () => {
		const folder = path.join(home, "trainer");
		const honest = await digestTrainer({ python: "", folder });
		const planted = [
			"proving_ground/__pycache__/__main__.cpython-311.pyc",
			"proving_ground/config.abi3.so",
			"dvc/__main__.py",
		];
		for (const file of planted) {
			await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
			await writeFile(path.join(folder, file), "planted");
		}
		expect(await digestTrainer({ python: "", folder })).toBe(honest);
		const copy = await keepCopy(state("jobs"), { python: "", folder }, honest);
		expect((await readdir(copy.folder, { recursive: true })).sort()).toEqual([
			"proving_ground",
			"proving_ground/__main__.py",
			"requirements.txt",
		]);
	});

	test("isn't started to make shards either", async () => {
		const data = (await readFile(path.join(home, "recipes/data/mini.yaml"), "utf8")).split("importer:")[0]!;
		const there = await head({ ...own, "recipes/data/mini.yaml": `${data}shards: { megabytes: 64 }\n` });
		const frameOf = (split: string) =>
			`${JSON.stringify({ "source-ref": `${split}.jpg`, width: 96, height: 64, detection: [] })}\n`;
		await mkdir(state("data/mini"), { recursive: true });
		for (const split of ["train", "val", "test"]) {
			await writeFile(state(`data/mini/golden_${split}.manifest`), frameOf(split));
			await writeFile(state(`data/mini/${split}.jpg`), split);
		}
		await writeFile(state("data/mini/slices.yaml"), "slices: []\n");
		await expect(planExperiment(there, "experiments/mine.yaml")).rejects.toThrow("python -m proving_ground shards");
		expect(await started()).toEqual([path.join(home, "trainer")]);
	});

	test.each(["/etc/hostname", "/dev/zero"])(
		"whose code is a link to %s tells nothing of it and keeps nobody",
		async (to) => {
			git("checkout", "--quiet", "-b", "linked");
			await commitIn(home, own);
			await rm(path.join(home, "trainer/proving_ground/__main__.py"));
			await symlink(to, path.join(home, "trainer/proving_ground/__main__.py"));
			await expect(digestTrainer({ python: "", folder: path.join(home, "trainer") })).rejects.toThrow(
				"found a link or a special file; only regular files are read.",
			);
		},
	);
});

test.each([".proving-ground/registry/line/v1/entry.json", ".venv/bin/python", "node_modules/yaml/index.js"])(
	"a head that commits %s is not checked out at all",
	async (file) => {
		await expect(head({ [file]: "the head's" })).rejects.toThrow(
			`has ${file.split("/")[0]}, where a machine keeps its own state and packages: nobody may commit that.`,
		);
		expect(existsSync(state("checkouts"))).toBe(false);
		expect(await readFile(state("registry/line/v1/entry.json"), "utf8")).toBe("production");
	},
);

describe("a data recipe that nobody has approved", () => {
	const recipe = async (from: string, to: string) =>
		(await readFile(path.join(home, "recipes/data/mini.yaml"), "utf8")).replace(from, to);
	const mine = { "experiments/mine.yaml": experiment({}) };

	test("has no importer started, which may be told to read any file", async () => {
		const there = await head({ ...mine, "recipes/data/mini.yaml": await recipe("seed: 3", "seed: 4") });
		await expect(planExperiment(there, "experiments/mine.yaml")).rejects.toThrow(
			"recipes/data/mini.yaml differs from the base branch's: its data are made or fetched once the training is approved.",
		);
		expect(existsSync(path.join(machine, "started"))).toBe(false);
	});

	test("has no DVC started, whose configuration may name a program", async () => {
		const pins = {
			repository: "dvc: { repository: https://127.0.0.1:1/x, path: data/x, revision: v1 }",
			file: "dvc: { file: data/mini.dvc }",
		};
		const pin = `outs:\n- md5: ${"0".repeat(32)}.dir\n  path: mini\n`;
		const planted = {
			"dvc/__init__.py": "",
			"dvc/__main__.py": "planted",
			".dvc/config": "[core]\n",
			"data/mini.dvc": pin,
		};
		for (const named of Object.values(pins)) {
			const text = (await readFile(path.join(home, "recipes/data/mini.yaml"), "utf8")).split("importer:")[0]!;
			const there = await head({ ...mine, ...planted, "recipes/data/mini.yaml": `${text}${named}\n` });
			await expect(planExperiment(there, "experiments/mine.yaml")).rejects.toThrow(NotMadeYet);
			git("branch", "--quiet", "-D", "head");
		}
		expect(existsSync(path.join(machine, "started"))).toBe(false);
	});

	test("but is planned with the data that are there, which are read alone", async () => {
		const frameOf = (split: string) =>
			`${JSON.stringify({ "source-ref": `${split}.jpg`, "segmentation-ref": "mask.png", width: 96, height: 64, detection: [], lanes: [] })}\n`;
		await mkdir(state("data/other"), { recursive: true });
		for (const split of ["train", "val", "test"]) {
			await writeFile(state(`data/other/golden_${split}.manifest`), frameOf(split));
			await writeFile(state(`data/other/${split}.jpg`), split);
		}
		for (const [name, text] of Object.entries({ "slices.yaml": "slices: []\n", "mask.png": "y" }))
			await writeFile(state("data/other", name), text);
		const there = await head({ ...mine, "recipes/data/mini.yaml": await recipe("data/mini", "data/other") });
		expect((await planExperiment(there, "experiments/mine.yaml")).data.splits.test.frames).toBe(1);
	});
});

test("a head can't say where production is: that is the default branch's to say", async () => {
	const mine = { ".github/proving-ground.yaml": `state: ${machine}/mine\npython: /bin/true\n` };
	const there = await head({ ...mine, "experiments/mine.yaml": experiment({}) });
	expect(there.state).toEqual(project.state);
	expect(there.trainer).toEqual(project.trainer);
	expect(there.store.locate("x")).toBe(project.store.locate("x"));
});

test("no process that an action starts is given its token", async () => {
	vi.stubEnv("INPUT_TOKEN", "a-secret-token");
	vi.stubEnv("GITHUB_TOKEN", "a-secret-token");
	await runAction(async () => {
		expect(process.env["INPUT_TOKEN"]).toBeUndefined();
		await planExperiment(project, "experiments/first.yaml").catch(() => {});
	});
	const given = await readFile(path.join(machine, "started.env"), "utf8");
	expect(given).toContain("PYTHONPATH=");
	expect(given).not.toContain("a-secret-token");
});
