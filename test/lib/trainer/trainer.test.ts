// Which trainer a repository runs
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openProject } from "../../../actions/lib/project.ts";

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
