// Data that DVC pins
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { NotMadeYet, prepareDataset } from "../../../actions/lib/data/dataset.ts";
import { readPinned } from "../../../actions/lib/data/dvc_pin.ts";
import { writeDocument } from "../../../actions/lib/documents.ts";
import { InvalidFile, type Problem } from "../../../actions/lib/errors.ts";
import { fileKinds, type Loaded, loadFile } from "../../../actions/lib/experiment/files.ts";
import type { Data, Entry } from "../../../actions/lib/generated/documents.d.ts";
import { entryData } from "../../../actions/lib/plan/changes.ts";
import { planExperiment } from "../../../actions/lib/plan/plan_files.ts";
import type { Approval, Registry } from "../../../actions/lib/plan/registry.ts";
import type { Project } from "../../../actions/lib/project.ts";
import { openState, type State } from "../../../actions/lib/state.ts";
import { hasDvc, makeDvcRepository, python, run, startS3 } from "../../dvc.ts";

let base: string;
let root: string;
let state: State;
let repository: string;
let server: ChildProcess;
/** A Python that may not be called, and leaves a mark where it was. */
let forbidden: string;

const trainerFolder = path.resolve(import.meta.dirname, "../../../trainer");

/** A data recipe whose `dvc` has these keys. */
async function recipe(dvc: Record<string, string>, more = "location: data/fetched\n"): Promise<Loaded<Data>> {
	const keys = Object.entries(dvc).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}\n`);
	const text = `description: Pinned\n${more}categories: { detection: [vehicle, pedestrian, rider], segmentation: [road] }\ndvc:\n${keys.join("")}`;
	await mkdir(path.join(root, "recipes/data"), { recursive: true });
	await writeFile(path.join(root, "recipes/data/pinned.yaml"), text);
	const problems: Problem[] = [];
	const loaded = await loadFile<Data>(root, "recipes/data/pinned.yaml", fileKinds.data, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	return loaded;
}

const tracking = { mode: "off", entity: null, images: 0, histograms: false } as const;
const at = (revision: string, more: Record<string, string> = {}) =>
	recipe({ repository, path: "data/mini", revision, ...more });
const prepare = (data: Loaded<Data>, interpreter = python) =>
	prepareDataset(
		{ root, home: root, isApproved: true, state, trainer: { python: interpreter, folder: trainerFolder } },
		"pinned",
		data,
	);
/** As a head is planned that nobody has approved, of a recipe that its base doesn't have. */
const look = (data: Loaded<Data>) =>
	prepareDataset(
		{ root, home: base, isApproved: false, state, trainer: { python: forbidden, folder: trainerFolder } },
		"pinned",
		data,
	);

async function messageOf(promise: Promise<unknown>): Promise<string> {
	const error = await promise.then(
		() => new Error("nothing was refused"),
		(reason: Error) => reason,
	);
	return `${error.name}: ${error.message
		.replaceAll(root, "ROOT")
		.replaceAll(base, "BASE")
		.replace(/[0-9a-f]{32}\.dir/g, "PIN")}`;
}

describe.skipIf(!hasDvc())("(skipped where trainer/requirements-dev.txt is not installed)", () => {
	beforeAll(async () => {
		base = await mkdtemp(path.join(tmpdir(), "dvc-"));
		vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
		vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
		vi.stubEnv("AWS_DEFAULT_REGION", "us-east-1");
		vi.stubEnv("AWS_MAX_ATTEMPTS", "1");
		const s3 = await startS3("driving-data");
		server = s3.process;
		repository = await makeDvcRepository(base, s3.url);
		forbidden = path.join(base, "forbidden-python");
		await writeFile(forbidden, `#!/bin/sh\ntouch ${path.join(base, "called")}\nexit 1\n`);
		await chmod(forbidden, 0o755);
	});
	afterAll(async () => {
		server?.kill();
		vi.unstubAllEnvs();
		await rm(base, { recursive: true, force: true });
	});
	beforeEach(async () => {
		root = await mkdtemp(path.join(base, "project-"));
		state = openState(root, ".proving-ground");
	});
	afterEach(() => expect(existsSync(path.join(base, "called"))).toBe(false));

	describe("is named by its pin", () => {
		const committed = (revision: string) => run(repository, "git", "rev-parse", `${revision}^{commit}`);
		const pinned = (revision: string) =>
			/md5: (\S+)/.exec(run(repository, "git", "show", `${revision}:data/mini.dvc`))![1]!;

		test("by tag, branch or commit of another repository, without DVC", async () => {
			for (const revision of ["v1", "v2", "next", committed("v1")]) {
				expect(await readPinned(root, state.folder, await at(revision))).toEqual({
					repository,
					path: "data/mini",
					revision,
					commit: committed(revision),
					md5: pinned(revision),
				});
			}
			expect(pinned("v1")).not.toBe(pinned("v2"));
		});

		test("by dvc.lock, where a pipeline makes the data", async () => {
			const { md5 } = await readPinned(root, state.folder, await at("v2", { path: "data/made/" }));
			expect(md5).toBe(pinned("v2"));
		});

		test("by a .dvc file of this repository", async () => {
			await mkdir(path.join(root, "data"));
			await writeFile(path.join(root, "data/mini.dvc"), run(repository, "git", "show", "v1:data/mini.dvc"));
			const source = await readPinned(
				root,
				state.folder,
				await recipe({ file: "data/mini.dvc" }, "location: data/mini\n"),
			);
			expect(source).toEqual({
				repository: null,
				path: "data/mini.dvc",
				revision: null,
				commit: null,
				md5: pinned("v1"),
			});
		});

		test("where a branch moved on", async () => {
			run(repository, "git", "branch", "--force", "moving", "v1");
			const before = await readPinned(root, state.folder, await at("moving"));
			run(repository, "git", "branch", "--force", "moving", "v2");
			const after = await readPinned(root, state.folder, await at("moving"));
			expect([before.md5, after.md5]).toEqual([pinned("v1"), pinned("v2")]);
		});
	});

	describe("is fetched", () => {
		const pins = async () => (await readdir(path.join(state.folder, "data/fetched"))).sort();

		test("once for each pin, from a folder, and lies beside that of another", async () => {
			const first = await prepare(await at("v1"));
			expect(first.splits.train.frames).toBe(1);
			expect(first.run.dvc).toBe(first.source?.md5);
			expect(first.location).toBe(path.join(state.folder, "data/fetched", first.source!.md5));
			const again = await prepare(await at("v1"), forbidden);
			expect(again.run).toEqual(first.run);

			const second = await prepare(await at("v2"));
			expect(second.splits.train.frames).toBe(3);
			expect(second.run.version).not.toBe(first.run.version);
			// A job that reads the first goes on reading it.
			expect(await prepare(await at("v1"), forbidden)).toEqual(first);
			expect(await pins()).toEqual([first.source!.md5, second.source!.md5].sort());
		});

		test("once by two plans at the same time", async () => {
			const both = await Promise.all([prepare(await at("v1")), prepare(await at("v1"))]);
			expect(both[0]).toEqual(both[1]);
			expect(await pins()).toEqual([both[0].source!.md5]);
		});

		test("into the folder of its recipe, also where that is named by its whole path", async () => {
			const dvc = { repository, path: "data/mini", revision: "v1" };
			const { location, source } = await prepare(
				await recipe(dvc, `location: ${path.join(state.folder, "data/whole")}\n`),
			);
			expect(location).toBe(path.join(state.folder, "data/whole", source!.md5));
		});

		test("from inside of a folder that is tracked, each part beside the other", async () => {
			const part = (name: string) => at("v2", { path: `sets/${name}` });
			const [small, smaller] = [await prepare(await part("small")), await prepare(await part("smaller"))];
			expect([small, smaller].map(({ splits }) => splits.train.frames)).toEqual([3, 2]);
			const { md5 } = await readPinned(root, state.folder, await at("v2", { path: "sets" }));
			expect(small.run.dvc).toBe(`${md5}/small`);
			expect(await prepare(await part("small"), forbidden)).toEqual(small);
			expect(await look(await part("smaller"))).toEqual(smaller);
			expect((await pins()).every((name) => name.startsWith(`${md5}-`))).toBe(true);
		});

		test("to where the .dvc file has it, of which the recipe takes a part", async () => {
			run(base, "git", "clone", "--quiet", repository, root);
			const data = await recipe({ file: "sets.dvc", remote: "storage" }, "location: sets/smaller\n");
			expect((await prepare(data)).splits.train.frames).toBe(2);
			expect((await prepare(data, forbidden)).splits.train.frames).toBe(2);
			state = openState(root, path.join(base, `part-${path.basename(root)}`));
			await rm(path.join(root, "sets"), { recursive: true });
			expect((await prepare(data)).splits.train.frames).toBe(2);
			expect((await look(data)).splits.train.frames).toBe(2);
		});

		test("from S3", async () => {
			const dataset = await prepare(await at("v2", { remote: "cloud" }));
			expect(dataset.splits.train.frames).toBe(3);
			expect(await readFile(path.join(dataset.location, "images/t3.jpg"), "utf8")).toBe("pixels of t3");
		});

		test("to where the .dvc file has it", async () => {
			run(base, "git", "clone", "--quiet", repository, root);
			const data = await recipe({ file: "data/mini.dvc", remote: "storage" }, "location: data/mini\n");
			expect((await prepare(data)).splits.train.frames).toBe(3);
			expect((await prepare(data, forbidden)).splits.train.frames).toBe(3);
			// DVC finds nothing of ours in the folder that it tracks.
			expect(run(root, python, "-m", "dvc", "status", "--quiet", "data/mini.dvc")).toBe("");
			run(root, "git", "checkout", "--quiet", "v1", "--", "data/mini.dvc");
			expect((await prepare(data)).splits.train.frames).toBe(1);
		});

		test("once for each pin, where checkouts come and go", async () => {
			const kept = path.join(base, "kept");
			state = openState(root, kept);
			const checkOut = async (revision: string) => {
				root = await mkdtemp(path.join(base, "checkout-"));
				run(base, "git", "clone", "--quiet", repository, root);
				run(root, "git", "checkout", "--quiet", revision);
				return recipe({ file: "data/mini.dvc", remote: "storage" }, "location: data/mini\n");
			};
			const first = await prepare(await checkOut("v1"));
			expect(first.splits.train.frames).toBe(1);
			expect(first.location).toBe(path.join(kept, "dvc", first.source!.md5));
			const second = await prepare(await checkOut("v2"));
			expect(second.splits.train.frames).toBe(3);
			expect(await prepare(await checkOut("v1"), forbidden)).toEqual(first);
			// Nothing is left in the checkout, nor taken from one.
			expect(existsSync(path.join(root, "data/mini"))).toBe(false);
		});

		test("and stays as it was where the new can't be had", async () => {
			const first = await prepare(await at("v1"));
			await expect(prepare(await at("v2", { remote: "gone" }))).rejects.toThrow("DVC can't fetch the data");
			expect(await pins()).toEqual([first.source!.md5]);
			expect((await prepare(await at("v1"), forbidden)).splits.train.frames).toBe(1);
		});

		test("by a process that is given the credentials of S3, and no other secret", async () => {
			const spy = path.join(root, "spy");
			await writeFile(spy, `#!/bin/sh\nenv > ${spy}.env\nexit 1\n`);
			await chmod(spy, 0o755);
			vi.stubEnv("GITHUB_TOKEN", "secret");
			await expect(prepare(await at("v1"), spy)).rejects.toThrow("DVC can't fetch the data");
			vi.stubEnv("GITHUB_TOKEN", undefined);
			const seen = await readFile(`${spy}.env`, "utf8");
			expect(seen).toContain("AWS_SECRET_ACCESS_KEY=test\n");
			expect(seen).toContain("DVC_NO_ANALYTICS=1\n");
			expect(seen).not.toMatch(/secret/);
		});

		test("but never over a folder that somebody else made, and not used where it was changed", async () => {
			const { location } = await prepare(await at("v1"));
			const record = path.join(location, ".dvc-pin.json");
			const kept = await readFile(record);
			await rm(record);
			expect(await messageOf(prepare(await at("v1"), forbidden))).toMatchInlineSnapshot(
				`"InvalidInput: ROOT/.proving-ground/data/fetched/PIN is there, but DVC didn't fetch it: delete it to have it fetched."`,
			);
			await writeFile(record, kept);
			await writeFile(path.join(location, "images/t1.jpg"), "other pixels");
			expect(await messageOf(prepare(await at("v1"), forbidden))).toMatchInlineSnapshot(
				`"InvalidInput: ROOT/.proving-ground/data/fetched/PIN doesn't match DVC's pin PIN: it was changed after it was fetched; delete it to fetch it again."`,
			);
		});
	});

	describe("is read for a head that nobody has approved, without git and without DVC", () => {
		const notYet = (data: Loaded<Data>) => expect(look(data)).rejects.toThrow(NotMadeYet);

		test("once an approved plan has fetched it from another repository", async () => {
			await notYet(await at("v1"));
			const approved = await prepare(await at("v1"));
			expect(await look(await at("v1"))).toEqual(approved);
			await notYet(await at("v2"));
			await notYet(await at("v1", { path: "data/made" }));
			await notYet(await recipe({ repository, path: "data/mini", revision: "v1" }, "location: data/elsewhere\n"));
		});

		test("with the commit that was approved, wherever its branch is now", async () => {
			run(repository, "git", "branch", "--force", "moving", "v1");
			const approved = await prepare(await at("moving"));
			run(repository, "git", "branch", "--force", "moving", "v2");
			expect(await look(await at("moving"))).toEqual(approved);
			const moved = await prepare(await at("moving"));
			expect(moved.source!.md5).not.toBe(approved.source!.md5);
			expect(await look(await at("moving"))).toEqual(moved);
		});

		test("once it was fetched for this repository's own pin", async () => {
			state = openState(root, path.join(base, `kept-${path.basename(root)}`));
			run(base, "git", "clone", "--quiet", repository, root);
			const data = await recipe({ file: "data/mini.dvc", remote: "storage" }, "location: data/mini\n");
			await notYet(data);
			expect(await prepare(data)).toEqual(await look(data));
			run(root, "git", "checkout", "--quiet", "v1", "--", "data/mini.dvc");
			await notYet(data);
		});

		test("but not where its digest was never taken, nor where the note of the pin is damaged", async () => {
			const { location, source } = await prepare(await at("v1"));
			const record = path.join(location, ".dvc-pin.json");
			await writeFile(record, JSON.stringify({ source, version: null }));
			await notYet(await at("v1"));
			await prepare(await at("v1"));
			const notes = path.join(state.folder, "dvc/pins");
			const [note] = await readdir(notes);
			const other = { ...source, md5: "../../../../etc" };
			for (const damaged of [
				"{",
				"null",
				"[]",
				{ source: { md5: 5 } },
				{ source: other },
				{ source: { ...source, path: "x" } },
			]) {
				await writeFile(path.join(notes, note!), typeof damaged === "string" ? damaged : JSON.stringify(damaged));
				await notYet(await at("v1"));
			}
		});
	});

	describe("is refused with one clear sentence", () => {
		test("where the repository has no such revision, or DVC tracks no such path there", async () => {
			const commit = "0123456789012345678901234567890123456789";
			const messages = [
				await messageOf(readPinned(root, state.folder, await at("v3"))),
				await messageOf(readPinned(root, state.folder, await at(commit))),
				await messageOf(readPinned(root, state.folder, await at("v1", { path: "data/mni" }))),
				await messageOf(readPinned(root, state.folder, await at("v1", { path: "../data/mini" }))),
				await messageOf(readPinned(root, state.folder, await recipe({ file: "data/mini.dvc" }))),
			];
			expect(messages.join("\n")).toMatchInlineSnapshot(`
				"InvalidFile: recipes/data/pinned.yaml:7:13 dvc.revision: BASE/driving-data has no branch or tag v3; it has: main, moving, next, v1, v2. Did you mean v1?
				InvalidFile: recipes/data/pinned.yaml:7:13 dvc.revision: BASE/driving-data has no commit 0123456789012345678901234567890123456789; it has: main, moving, next, v1, v2
				InvalidFile: recipes/data/pinned.yaml:6:9 dvc.path: DVC tracks nothing at data/mni in BASE/driving-data at v1; tracked: data/mini. Did you mean data/mini?
				InvalidFile: recipes/data/pinned.yaml:6:9 dvc.path: found ../data/mini; it must be a path inside that repository
				InvalidFile: recipes/data/pinned.yaml:5:9 data/mini.dvc: the file can't be read (ENOENT)."
			`);
		});

		test("where a .dvc file isn't one of the folder that the recipe names", async () => {
			await mkdir(path.join(root, "data"));
			const md5 = "d41d8cd98f00b204e9800998ecf8427e";
			const messages: string[] = [];
			for (const [text, location] of [
				[`outs:\n- md5: ${md5}.dir\n  path: mini\n`, "data/other"],
				[`wdir: ..\nouts:\n- md5: ${md5}.dir\n  path: mini\n`, "data/mini"],
				[`outs:\n- md5: ${md5}\n  path: mini\n`, "data/mini"],
				[`outs:\n- hash: md5\n  path: mini\n`, "data/mini"],
				[`outs:\n- { md5: ${md5}.dir, path: mini }\n- { md5: ${md5}.dir, path: maxi }\n`, "data/mini"],
				["outs: [\n", "data/mini"],
			]) {
				await writeFile(path.join(root, "data/mini.dvc"), text!);
				messages.push(
					await messageOf(
						readPinned(root, state.folder, await recipe({ file: "data/mini.dvc" }, `location: ${location}\n`)),
					),
				);
			}
			messages.push(await messageOf(readPinned(root, state.folder, await recipe({ file: "../data/mini.dvc" }))));
			expect(messages.join("\n")).toMatchInlineSnapshot(`
				"InvalidFile: recipes/data/pinned.yaml:2:11 location: found data/other; it must be data/mini, which data/mini.dvc tracks, or a folder inside it
				InvalidFile: recipes/data/pinned.yaml:2:11 location: found data/mini; it must be mini, which data/mini.dvc tracks, or a folder inside it
				InvalidFile: data/mini.dvc:1:1 md5: found d41d8cd98f00b204e9800998ecf8427e; it must be 32 hexadecimal digits and .dir, the pin of a folder
				InvalidFile: data/mini.dvc:1:1 md5: found nothing; it must be 32 hexadecimal digits and .dir, the pin of a folder
				InvalidFile: data/mini.dvc:1:1 this isn't the .dvc file of one folder: it must have exactly one item in outs
				InvalidFile: data/mini.dvc:2:1 not YAML: flow sequence in block collection must be sufficiently indented and end with a ]
				InvalidFile: recipes/data/pinned.yaml:5:9 ../data/mini.dvc leads out of the repository"
			`);
		});

		test("where the repository is nothing that git may be given", async () => {
			const messages: string[] = [];
			for (const bad of [
				"ext::sh -c touch% called",
				"--upload-pack=touch called",
				"ssh://-oProxyCommand=touch/called",
				"http://example.com/data.git",
				"file:///etc",
				"https://user:password@example.com/data.git",
				"no/such/folder",
			])
				messages.push(
					await messageOf(
						readPinned(root, state.folder, await recipe({ repository: bad, path: "data", revision: "v1" })),
					),
				);
			expect(messages.join("\n")).toMatchInlineSnapshot(`
				"InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: found "ext::sh -c touch% called"; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: found "--upload-pack=touch called"; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: found "ssh://-oProxyCommand=touch/called"; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: found "http://example.com/data.git"; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: found "file:///etc"; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: it contains a user name or a password, which don't belong in a recipe: remove them and set up a Git credential helper
				InvalidFile: recipes/data/pinned.yaml:5:15 dvc.repository: the folder no/such/folder doesn't exist"
			`);
		});

		test("where the repository or the remote can't be reached", async () => {
			const away = await recipe({ repository: "https://127.0.0.1:1/data.git", path: "data", revision: "v1" });
			expect(await messageOf(readPinned(root, state.folder, away))).toMatch(
				/^ServiceError: https:\/\/127\.0\.0\.1:1\/data\.git can't be reached: fatal: unable to access /,
			);
			const messages = [
				await messageOf(prepare(await at("v1", { remote: "gone" }))),
				await messageOf(prepare(await at("v1", { remote: "down" }))),
				await messageOf(prepare(await at("v1", { remote: "unknown" }))),
			];
			// Which of the files DVC asks for first is chance, and so is whether a port where nobody listens refuses or is silent.
			const known = messages.map((message) =>
				message
					.replace(/files\/md5\/[0-9a-f/]+|'data\/mini\/[^']+'/, "FILE")
					.replace("Connect timeout on endpoint URL", "Could not connect to the endpoint URL"),
			);
			expect(known.join("\n")).toMatchInlineSnapshot(`
				"ServiceError: recipes/data/pinned.yaml: DVC can't fetch the data from the remote gone: [Errno 2] No storage files available: FILE
				ServiceError: recipes/data/pinned.yaml: DVC can't fetch the data from the remote down: Could not connect to the endpoint URL: "http://127.0.0.1:1/driving-data/FILE"
				InvalidFile: recipes/data/pinned.yaml:8:11 dvc.remote: found unknown; the repository has no DVC remote of that name"
			`);
		});

		test("where DVC isn't installed", async () => {
			run(root, python, "-I", "-m", "venv", "--without-pip", ".venv");
			const bare = path.join(root, ".venv/bin/python");
			const locked = path.join(trainerFolder, "requirements-dvc.txt");
			expect(await messageOf(prepare(await at("v1"), bare))).toBe(
				`InvalidInput: recipes/data/pinned.yaml gets its data from DVC, which isn't installed. To install it: .venv/bin/python -m pip install --no-deps --require-hashes -r ${locked}`,
			);
		});
	});

	test("is compared in the plan with the version that production was trained on", async () => {
		const recipes = path.resolve(import.meta.dirname, "../../../recipes");
		for (const folder of ["models", "machines"])
			await cp(path.join(recipes, folder), path.join(root, "recipes", folder), { recursive: true });
		await mkdir(path.join(root, "recipes/gates"));
		await writeFile(
			path.join(root, "recipes/gates/lenient.yaml"),
			"description: d\nrules:\n  - { metric: map, min: 0, reason: r }\n",
		);
		await mkdir(path.join(root, "experiments"));
		await writeFile(
			path.join(root, "experiments/mine.yaml"),
			"model: line\nrecipe: hydranet-small\ndata: pinned\nmachine: laptop\ngates: lenient\nwhy: a test\n",
		);
		const history: Awaited<ReturnType<Registry["history"]>> = { versions: [], approvals: [] };
		const project = {
			root,
			home: root,
			isApproved: true,
			state,
			trainer: { python, folder: trainerFolder },
			code: { python, folder: trainerFolder },
			registry: { history: async () => history, verify: async () => {} },
		};
		const planned = () => planExperiment({ ...project, tracking } as unknown as Project, "experiments/mine.yaml");
		await at("v1");
		const before = await planned();
		expect(before.data.source).toMatchObject({
			repository,
			path: "data/mini",
			revision: "v1",
			md5: before.run.data.dvc,
		});
		expect(before.data.difference).toBeNull();

		const data = entryData(before.run, before.data.splits, before.data);
		const { architecture, train, seed, processes, code } = before.run;
		const took = { seconds: 60, frames_trained: 1 };
		const entry = {
			version: 1,
			run: "other",
			manifest: code,
			architecture,
			train,
			data,
			seed,
			processes,
			code,
			...took,
		};
		history.versions.push({ entry: entry as unknown as Entry, location: "/registry/v1" });
		history.approvals.push({ version: 1, replaced: null } as Approval);
		expect((await planned()).data.difference).toBeNull();

		const gates = path.join(root, "recipes/gates/lenient.yaml");
		await appendFile(gates, "  - { metric: map, slice: day, min: 0, reason: r }\n");
		expect(await messageOf(planned())).toBe(
			"InvalidFile: recipes/gates/lenient.yaml:4:27 the data has no slice day; its slices: *, night",
		);
		await at("v2");
		const after = await planned();
		expect(after.data.difference).toEqual({
			from: { name: "pinned", version: before.run.data.version, dvc: before.run.data.dvc },
			splits: {
				train: { frames: [1, 3], objects: { vehicle: [2, 2], pedestrian: [1, 4], rider: [0, 1] } },
				val: { frames: [1, 1], objects: { vehicle: [1, 1] } },
				test: { frames: [1, 2], objects: { vehicle: [1, 2] } },
			},
			slices: { night: { frames: [1, 1] }, day: { frames: [null, 1] } },
		});
		await writeDocument("plan", after, path.join(root, "plan.json"));

		// Versions that were registered before slices were counted have none.
		const { slices: _, ...older } = data;
		history.versions[0]!.entry.data = older;
		const slices = { night: { frames: [null, 1] }, day: { frames: [null, 1] } };
		expect((await planned()).data.difference?.slices).toEqual(slices);
	});
});
