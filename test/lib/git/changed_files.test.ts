import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { changedExperiments, changedFiles, isCommitted } from "../../../actions/lib/git/changed_files.ts";
import { commitIn, gitIn } from "../../git.ts";

let root: string;
const git = (...args: string[]) => gitIn(root, ...args);

const commit = (files: Record<string, string | null>) => commitIn(root, files);
const experiment = (name: string) => `experiments/${name}.yaml`;
const long = Array.from({ length: 50 }, (_, line) => `# line ${line}\n`).join("");

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "changes-"));
	git("init", "--quiet", "--initial-branch=main");
	await commit({ [experiment("old")]: long, [experiment("gone")]: "gone", "recipes/gates/g.yaml": "g" });
	git("checkout", "--quiet", "-b", "night");
});
afterEach(() => rm(root, { recursive: true }));

describe("is found", () => {
	test("where files were added or changed, and not where they were removed", async () => {
		await commit({ [experiment("new")]: "new", [experiment("old")]: "other", [experiment("gone")]: null });
		expect(await changedExperiments(root, "main")).toEqual([experiment("new"), experiment("old")]);
	});

	test("under its new name where a file was renamed, also into the folder and out of it", async () => {
		await commit({ "drafts/draft.yaml": `${long}draft` });
		git("branch", "drafted");
		await mkdir(path.join(root, "kept"));
		git("mv", experiment("old"), experiment("renamed"));
		git("mv", "drafts/draft.yaml", experiment("draft"));
		git("mv", experiment("gone"), "kept/gone.yaml");
		git("commit", "--quiet", "--message", "moved");
		for (const renames of ["true", "false", "copies"]) {
			git("config", "diff.renames", renames);
			expect([renames, await changedExperiments(root, "drafted")]).toEqual([
				renames,
				[experiment("draft"), experiment("renamed")],
			]);
		}
	});

	test("whatever characters a file's name has", async () => {
		const names = [
			"a space",
			"ümlaut",
			"日本",
			'quo"te',
			"new\nline",
			"tab\t",
			"back\\slash",
			"-dash",
			"$(id)",
			":(top)x",
		];
		await commit(Object.fromEntries(names.map((name) => [experiment(name), name])));
		expect(new Set(await changedExperiments(root, "main"))).toEqual(new Set(names.map(experiment)));
	});

	test("in the folder itself alone, and in YAML files alone", async () => {
		await commit({
			[experiment("deep/er")]: "x",
			"experiments/notes.md": "x",
			"experiments/short.yml": "x",
			"other/experiments/x.yaml": "x",
			"experiments.yaml": "x",
		});
		expect(await changedExperiments(root, "main")).toEqual([]);
	});

	test("since the branch left, whatever the other has become meanwhile", async () => {
		await commit({ [experiment("own")]: "x" });
		git("checkout", "--quiet", "main");
		await commit({ [experiment("theirs")]: "x", [experiment("old")]: "theirs" });
		git("checkout", "--quiet", "night");
		expect(await changedExperiments(root, "main")).toEqual([experiment("own")]);
	});

	test("in what is committed, not in what lies there", async () => {
		await writeFile(path.join(root, experiment("draft")), "x");
		git("add", "--all");
		expect(await changedExperiments(root, "main")).toEqual([]);
	});

	test("of the patterns that are asked for", async () => {
		await commit({ [experiment("new")]: "x", "recipes/gates/g.yaml": "other", "data/deep/slices.yaml": "x" });
		expect(await changedFiles(root, "main", [":(glob)recipes/gates/*.yaml", ":(glob)**/slices.yaml"])).toEqual([
			"data/deep/slices.yaml",
			"recipes/gates/g.yaml",
		]);
	});

	test("by its path from the project where that is a folder of the repository", async () => {
		await commit({ "road/experiments/new.yaml": "x", [experiment("above")]: "x" });
		expect(await changedExperiments(path.join(root, "road"), "main")).toEqual([experiment("new")]);
	});
});

describe("is refused", () => {
	const refusalOf = async (base: string) => {
		const error = await changedExperiments(root, base).catch((reason: unknown) => reason);
		if (!(error instanceof InvalidInput)) throw new Error(`no InvalidInput: ${error}`);
		return error.message;
	};

	test("of what is no name of a revision, and would be an option", async () => {
		for (const base of ["", "--output=x", "-", "main HEAD", "main\n", ":/some", "^main"])
			expect(await refusalOf(base)).toBe(`${JSON.stringify(base)} is not the name of a revision.`);
	});

	test("where git doesn't know the revision, with what it says and how to mend it", async () => {
		expect(await refusalOf("origin/main")).toMatch(
			/^git can't tell what changed since origin\/main: fatal: .*origin\/main\.\.\.HEAD.*\. Was the repository checked out with fetch-depth: 0\?$/,
		);
	});

	test("where the history is cut off before the branch left", async () => {
		await commit({ [experiment("own")]: "x" });
		const shallow = path.join(root, "shallow");
		git("clone", "--quiet", "--depth=1", "--no-single-branch", `file://${root}`, shallow);
		const error = await changedExperiments(shallow, "origin/main").catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(InvalidInput);
		expect(String(error)).toContain("no merge base");
	});
});

describe("is committed as it is", () => {
	const old = experiment("old");
	const change = (file: string) => writeFile(path.join(root, file), "other");

	test("until it is changed, staged or not, and never before it was committed", async () => {
		expect(await isCommitted(root, old)).toBe(true);
		await change(old);
		expect(await isCommitted(root, old)).toBe(false);
		git("add", "--all");
		expect(await isCommitted(root, old)).toBe(false);
		await change(experiment("new"));
		expect(await isCommitted(root, experiment("new"))).toBe(false);
		expect(await isCommitted(root, experiment("gone"))).toBe(true);
	});

	test("where git ignores it only once it is committed", async () => {
		await writeFile(path.join(root, ".gitignore"), "experiments/*\n");
		await change(experiment("ignored"));
		expect(await isCommitted(root, experiment("ignored"))).toBe(false);
		expect(await isCommitted(root, old)).toBe(true);
	});

	test("by its own name, whatever that would be as a pattern, and by its path from the project", async () => {
		await commit({ [experiment("[x]")]: "x", "road/experiments/a.yaml": "x" });
		await change(experiment("x"));
		expect(await isCommitted(root, experiment("[x]"))).toBe(true);
		expect(await isCommitted(path.join(root, "road"), experiment("a"))).toBe(true);
		await change("road/experiments/a.yaml");
		expect(await isCommitted(path.join(root, "road"), experiment("a"))).toBe(false);
	});

	test("or not known to be outside of a repository", async () => {
		const outside = await mkdtemp(path.join(tmpdir(), "outside-"));
		expect(await isCommitted(outside, old)).toBeNull();
		await rm(outside, { recursive: true });
	});
});
