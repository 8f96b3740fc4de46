// Which trainer a repository runs
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { openProject } from "../../../actions/lib/project.ts";
import { findTrainer, runTrainer } from "../../../actions/lib/trainer/trainer.ts";

let root: string;
beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "project-"));
	await mkdir(path.join(root, ".github"));
	await writeFile(path.join(root, ".github/proving-ground.yaml"), "state: .proving-ground\n");
});
afterEach(() => rm(root, { recursive: true, force: true }));

test("the trainer is the one that is checked out, as for any other checkout of it, and else the action's own", async () => {
	const before = await openProject(root);
	expect(before.trainer.folder).toBe(path.resolve("trainer"));
	await mkdir(path.join(root, "trainer/proving_ground"), { recursive: true });
	await writeFile(path.join(root, "trainer/proving_ground/__main__.py"), "");
	const { trainer, at } = await openProject(root);
	expect(trainer.folder).toBe(path.join(root, "trainer"));
	expect(at(root, "started").trainer).toEqual(trainer);
});

test.each([
	["import", ["scenes", "--spec", "-", "--out", "nowhere"], "jsonschema", ""],
	["describe", ["--document", "run.json", "--weights", "nowhere"], "jsonschema", ", with `for: train`"],
])("what lacks a package for `%s` says which, and how it comes there", async (command, args, lacking, how) => {
	const environment = path.join(root, "env");
	execFileSync(path.resolve(".venv/bin/python"), ["-m", "venv", "--without-pip", environment]);
	const python = path.join(environment, "bin/python");
	const error = await runTrainer(findTrainer(python), [command, ...args], "{}").catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(InvalidInput);
	expect((error as Error).message).toBe(
		`${python} lacks the Python package ${lacking}, which \`${command}\` needs. Run npm start, or the setup action in a workflow${how}.`,
	);
});
