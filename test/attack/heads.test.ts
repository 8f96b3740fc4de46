// What a pull request's head brings beside its experiment, on the runner that has the store
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { runAction } from "../../actions/lib/action.ts";
import { checkOut } from "../../actions/lib/git/checkouts.ts";
import { openGit } from "../../actions/lib/git/git.ts";
import { planExperiment } from "../../actions/lib/plan/plan_files.ts";
import { openProject, type Project } from "../../actions/lib/project.ts";
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

	test("isn't started to import data, although it names the run", async () => {
		const there = await head(own);
		await expect(planExperiment(there, "experiments/mine.yaml")).rejects.toThrow("python -m proving_ground import");
		expect(await started()).toEqual([path.join(home, "trainer")]);
		expect(there.code.folder).toBe(path.join(there.root, "trainer"));
	});

	test("isn't started to make shards either", async () => {
		const data = (await readFile(path.join(home, "recipes/data/mini.yaml"), "utf8")).split("importer:")[0]!;
		const there = await head({ ...own, "recipes/data/mini.yaml": `${data}shards: { megabytes: 64 }\n` });
		const frame = `${JSON.stringify({ "source-ref": "frame.jpg", width: 96, height: 64, detection: [] })}\n`;
		await mkdir(state("data/mini"), { recursive: true });
		for (const split of ["train", "val", "test"]) await writeFile(state(`data/mini/golden_${split}.manifest`), frame);
		for (const [name, text] of Object.entries({ "slices.yaml": "slices: []\n", "frame.jpg": "x" }))
			await writeFile(state("data/mini", name), text);
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
