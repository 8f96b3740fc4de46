// A data recipe has nothing written but where data belong
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { prepareDataset } from "../../actions/lib/data/dataset.ts";
import { InvalidFile } from "../../actions/lib/errors.ts";
import { openRegular } from "../../actions/lib/files.ts";
import type { Data } from "../../actions/lib/generated/documents.d.ts";
import { openState } from "../../actions/lib/state.ts";
import { parseYaml } from "../../actions/lib/text/yaml.ts";

let temporary: string;
let root: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "places-"));
	root = path.join(temporary, "repository");
	for (const folder of ["outside", "repository/data", "repository/.proving-ground/data"])
		await mkdir(path.join(temporary, folder), { recursive: true });
});
afterEach(() => rm(temporary, { recursive: true }));

/** Why a recipe is refused; its programs are ones that would leave a trace. */
async function refusalOf(location: string, more: string): Promise<string> {
	const text = `description: x\nlocation: ${JSON.stringify(location)}\ncategories: { detection: [car], segmentation: [] }\n${more}\n`;
	const source = parseYaml("recipes/data/x.yaml", text);
	const python = path.join(temporary, "python");
	await writeFile(python, `#!/bin/sh\ntouch ${temporary}/started\n`, { mode: 0o755 });
	const data = { value: source.value as Data, source };
	const error = await prepareDataset(
		{
			root,
			home: root,
			isApproved: true,
			state: openState(root, ".proving-ground"),
			trainer: { python, folder: temporary },
		},
		"x",
		data,
	).catch((thrown: unknown) => thrown);
	expect(await readdir(temporary)).not.toContain("started");
	expect(await readdir(path.join(temporary, "outside"))).toEqual([]);
	expect(error).toBeInstanceOf(InvalidFile);
	return (error as Error).message;
}

const WRITERS = {
	"an importer": "importer: { name: scenes, frames: 1 }",
	"DVC from elsewhere": "dvc: { repository: https://127.0.0.1:1/x, path: data/x, revision: v1 }",
	"DVC's own": "dvc: { file: data/x.dvc }",
};
const each = Object.keys(WRITERS) as (keyof typeof WRITERS)[];

test.each(each)("by %s, whatever the recipe says", async (name) => {
	await writeFile(path.join(root, "data/x.dvc"), `outs: [{ path: ../../outside/x, md5: ${"0".repeat(32)}.dir }]\n`);
	for (const location of [
		"../../outside/x",
		path.join(temporary, "outside/x"),
		"data/../../../outside/x",
		"../data/..",
		"../..",
	])
		expect(await refusalOf(location, WRITERS[name])).toMatch(
			/, which lies elsewhere; an importer and DVC write only to /,
		);
});

test.each(["an importer", "DVC from elsewhere"] as const)("by %s over what is kept beside the data", async (name) => {
	for (const location of ["registry/line/v9", "store/x", "jobs/x", "venv/lib/x", "data", ".", "data/../registry/x"])
		expect(await refusalOf(location, WRITERS[name])).toContain(
			`location: found ${location}, which lies elsewhere; an importer and DVC write only to a folder of data/ in the state folder`,
		);
});

test("and none is read from what is kept beside the data", async () => {
	for (const location of ["registry/line/v1", "checkouts/x/data", "jobs", ".", "data", "data/../store"])
		expect(await refusalOf(location, "")).toContain(
			`location: found ${location}, which is no folder of data/ in the state folder; data lie there, or outside of it`,
		);
});

test("by DVC's own over programs or what is kept", async () => {
	for (const location of [
		".git/hooks",
		".venv/lib/x",
		"node_modules/x",
		".github/workflows",
		".proving-ground/registry/x",
	])
		expect(await refusalOf(location, WRITERS["DVC's own"])).toContain(
			"which is a place of programs or of this machine's state; an importer and DVC write only to a folder of the repository",
		);
});

test.each(each)("by %s through a link", async (name) => {
	for (const folder of ["data", ".proving-ground/data"])
		await symlink(path.join(temporary, "outside"), path.join(root, folder, "link"));
	for (const location of ["data/link", "data/link/x", "data/link/a/b"])
		expect(await refusalOf(location, WRITERS[name])).toContain("where a link leads out of it");
});

test("and no name with dots, or with a line break before them, opens a file outside of a folder", async () => {
	await writeFile(path.join(temporary, "outside.bin"), "secret");
	await mkdir(path.join(root, "a\n"));
	for (const name of ["../outside.bin", "a\n/../../outside.bin", "data/../../outside.bin", "..", "."])
		await expect(openRegular(root, name)).rejects.toThrow(/link or a special file|this is a folder/);
});
