// The setup action
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Ran, runAction } from "./runner.ts";

const root = path.resolve(import.meta.dirname, "../..");
const SMALL = "trainer/requirements-data.txt";
const DVC = "trainer/requirements-dvc.txt";

let folder: string;
let workspace: string;
const asked = () => path.join(folder, "asked");
/** The lock files that were installed, in the order in which pip was asked. */
const installed = async () => (await readFile(asked(), "utf8").catch(() => "")).split("\n").filter(Boolean);

beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "setup-"));
	workspace = path.join(folder, "workspace");
	const state = path.join(folder, "state");
	for (const place of [".github", "recipes/data", "head/recipes/data"])
		await mkdir(path.join(workspace, place), { recursive: true });
	await writeFile(path.join(workspace, ".github/proving-ground.yaml"), `state: ${state}\n`);
	execFileSync(path.join(root, ".venv/bin/python"), ["-m", "venv", "--without-pip", path.join(state, "venv")]);
	const where = ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"];
	const packages = execFileSync(path.join(state, "venv/bin/python"), where, { encoding: "utf8" }).trim();
	const pip = `import sys\nopen(${JSON.stringify(asked())}, "a").write(sys.argv[-1] + "\\n")\n`;
	await writeFile(path.join(packages, "pip.py"), pip);
});
afterEach(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));

const setUp = (inputs: Record<string, string>): Promise<Ran> => runAction("setup", { workspace, inputs });

test("installs for a plan what that needs, and says where the interpreter is", async () => {
	const ran = await setUp({ for: "plan" });
	expect(ran, ran.log).toMatchObject({ code: 0, outputs: { python: path.join(folder, "state/venv/bin/python") } });
	expect(await installed()).toEqual([SMALL]);
});

test("installs everything where nothing else is asked for", async () => {
	expect((await setUp({})).code).toBe(0);
	expect(await installed()).toEqual([expect.stringMatching(/^trainer\/requirements(-cuda)?\.txt$/)]);
});

test.each(["recipes/data", "head/recipes/data"])(
	"installs DVC once where a recipe in %s asks for it",
	async (place) => {
		await writeFile(
			path.join(workspace, place, "scenes.yaml"),
			"location: data/scenes\ndvc: { file: data/scenes.dvc }\n",
		);
		for (let time = 0; time < 2; time += 1) expect((await setUp({ for: "plan", head: "head" })).code).toBe(0);
		expect(await installed()).toEqual([SMALL, DVC]);
	},
);

test("installs once what reads Parquet where a recipe names such a file", async () => {
	await writeFile(
		path.join(workspace, "recipes/data/fleet.yaml"),
		"importer: { name: index, file: /data/fleet/frames.parquet }\n",
	);
	for (let time = 0; time < 2; time += 1) expect((await setUp({ for: "plan" })).code).toBe(0);
	expect(await installed()).toEqual([SMALL, "trainer/requirements-parquet.txt"]);
});

test("leaves it to the plan to say what is wrong with a recipe", async () => {
	await mkdir(path.join(workspace, "recipes/data/folder.yaml"));
	await writeFile(path.join(workspace, "recipes/data/broken.yaml"), "description: no dvc: here\n  - {");
	expect((await setUp({ for: "plan" })).code).toBe(0);
	expect(await installed()).toEqual([SMALL]);
});

test("says which stages there are", async () => {
	expect((await setUp({ for: "training" })).annotations).toEqual([
		'::error::The input for: found "training"; it must be plan or train.',
	]);
});
