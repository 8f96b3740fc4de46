// A policy that asks for less becomes nobody's way into production: the gates of before the merge decide, for ever
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { InvalidFile } from "../../actions/lib/errors.ts";
import { loadExperiment } from "../../actions/lib/experiment/experiment.ts";
import { commitTree, headTree } from "../../actions/lib/experiment/tree.ts";
import { follow } from "../../actions/lib/follow/follow.ts";
import { openGit } from "../../actions/lib/git/git.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import { commitIn, gitIn } from "../git.ts";
import { experiment, fileOf, gates, makeTemplate, Repository } from "../lib/follow/merged/repository.ts";
import { writeCommit } from "../system/github/git.ts";

const GATE = "recipes/gates/gate.yaml";
const WAIVERS = "recipes/gates/waivers.yaml";
const loose = gates.replace("min: 0.1", "min: 0.01");
const waiver = (reason: string) =>
	`  - { check: { metric: map }, model: line, who: mia, until: 9999-12-31, reason: ${reason} }\n`;

describe("a merge", () => {
	let template: string;
	let at: Repository;
	beforeAll(async () => {
		template = await makeTemplate();
	});
	afterAll(() => rm(template, { recursive: true }));
	beforeEach(async () => {
		at = await Repository.copy(template);
		at.executor.map.set("poor", 0.05);
	});
	afterEach(() => at.remove());

	/** A model that fails, merged with these files of its own. */
	async function mergeWith(files: Record<string, string>): Promise<number> {
		const number = at.open({ [fileOf("poor")]: experiment(), ...files });
		await at.judge(number, "poor");
		at.merge(number);
		return number;
	}

	const refused = async () => {
		expect(await at.settle()).toMatchObject([{ is: "refused", why: expect.stringContaining("`poor` failed") }]);
		expect(await at.approvals()).toEqual([]);
	};

	test("that loosens its own policy is judged by that of before, whatever is merged to it later", async () => {
		await mergeWith({ [GATE]: loose });
		await refused();
		at.push({ [GATE]: `# a word\n${loose}` });
		await refused();
		at.merge(at.open({ [GATE]: loose.replace("see something", "see anything") }));
		await refused();
	});

	test("that brings its own waiver is not let by, also among waivers that are merged later", async () => {
		await mergeWith({ [WAIVERS]: `waivers:\n${waiver("its own")}` });
		await refused();
		const later = at.open({ [WAIVERS]: `waivers:\n${waiver("its own")}${waiver("another").replace("line", "other")}` });
		at.merge(later);
		await refused();
		at.merge(at.open({ [WAIVERS]: `waivers:\n${waiver("granted apart")}` }));
		expect(await at.settle()).toMatchObject([{ is: "promoted" }]);
	});

	test("whose own waivers nobody can read is not let by once somebody has mended them", async () => {
		await mergeWith({ [WAIVERS]: `waivers:\n${waiver("its own")}  - {\n` });
		at.merge(at.open({ [WAIVERS]: `waivers:\n${waiver("its own")}` }));
		await refused();
	});

	test("is let by only where whom the waiver names has approved or merged what brought it", async () => {
		await mergeWith({});
		const grant = (who: string, more = "") => ({ [WAIVERS]: `waivers:\n${waiver("r").replace("mia", who)}${more}` });
		at.push(grant("mia"));
		await refused();
		expect(at.server.comments.get(1)).toContain("It came without a pull request that somebody could have approved.");
		const forged = at.open(grant("zoe"));
		at.server.approvals.set(forged, ["ann"]);
		at.merge(forged);
		await refused();
		expect(at.server.comments.get(1)).toContain(`zoe has neither approved nor merged #${forged}, which brought it.`);
		// What zoe approves of beside it is not it.
		const beside = at.open(grant("zoe", waiver("another").replace("line", "other")));
		at.server.approvals.set(beside, ["zoe"]);
		at.merge(beside);
		await refused();
		at.merge(at.open({ [WAIVERS]: "waivers: []\n" }));
		const granted = at.open(grant("Zoe"));
		at.server.approvals.set(granted, ["zoe"]);
		at.merge(granted);
		expect(await at.settle()).toMatchObject([{ is: "promoted" }]);
	});

	test("is not let by where one of its authors can't be told: a private address may be anybody's", async () => {
		const base = at.sha();
		const written = writeCommit(at.git, base, { [fileOf("poor")]: experiment() }, "Propose", "bob");
		const mia = { GIT_AUTHOR_NAME: "Mia", GIT_AUTHOR_EMAIL: "mia@home.example" };
		const bob = { GIT_COMMITTER_NAME: "bob", GIT_COMMITTER_EMAIL: "bob@users.noreply.github.com" };
		const commit = ["commit-tree", `${written}^{tree}`, "-p", base];
		const head = at.git(commit, { input: "Propose\n", env: { ...mia, ...bob } }).trim();
		const { number } = at.server.open(head, base, "proposed");
		await at.judge(number, "poor");
		at.merge(number);
		at.merge(at.open({ [WAIVERS]: `waivers:\n${waiver("r")}` }));
		await refused();
		expect(at.server.comments.get(number)).toContain("The author's GitHub login is not known");
		const github = at.server.connect();
		await at.settle({ ...github, authorOf: async (sha) => (sha === head ? "mia" : null) });
		expect(at.server.comments.get(number)).toContain("An author of the experiment granted it");
		expect(await at.settle({ ...github, authorOf: async () => "carl" })).toMatchObject([{ is: "promoted" }]);
	});

	test("neither counts what a job has left uncommitted in the runner's checkout", async () => {
		const number = at.open({ [fileOf("poor")]: experiment() });
		await at.judge(number, "poor");
		at.merge(number);
		await writeFile(path.join(at.home, GATE), loose);
		await writeFile(path.join(at.home, WAIVERS), `waivers:\n${waiver("left there")}`);
		await refused();
	});

	test("is shown by the gates of before as well", async () => {
		const number = await mergeWith({ [GATE]: loose });
		const github: GitHub = {
			...at.server.connect(),
			checkRuns: async () => [],
			commentsOf: async () => [],
			setLabels: async () => "unchanged",
		};
		const ports = { project: at.project, git: openGit(at.home), github };
		await follow(number, ports, { stop: false, question: "", say: () => {} });
		expect(at.server.comments.get(number)).toContain("❌ `poor` failed");
		expect((await at.project.registry.history("line")).versions).toEqual([]);
	});
});

describe("an experiment", () => {
	const repository = path.resolve(import.meta.dirname, "../..");
	let root: string;
	const lenient = "description: Anything\nrules: [{ metric: miou, min: 0, reason: it was measured }]\n";
	const asking = (policy: string) =>
		`model: line\nrecipe: hydranet-small\ndata: scenes\nmachine: laptop\ngates: ${policy}\nwhy: a test\n`;
	beforeEach(async () => {
		root = await mkdtemp(path.join(tmpdir(), "lines-"));
		gitIn(root, "init", "--quiet");
		const files: Record<string, string> = { "recipes/gates/lenient.yaml": lenient };
		for (const file of [
			"recipes/models/hydranet-small.yaml",
			"recipes/data/scenes.yaml",
			"recipes/machines/laptop.yaml",
			"recipes/gates/perception.yaml",
		])
			files[file] = gitIn(repository, "show", `HEAD:${file}`);
		await commitIn(root, { ...files, "recipes/lines/line.yaml": "gates: [perception]\n" });
		await mkdir(path.join(root, "experiments"));
	});
	afterEach(() => rm(root, { recursive: true }));

	async function load(policy: string, files: Record<string, string> = {}) {
		for (const [file, text] of Object.entries({ ...files, "experiments/mine.yaml": asking(policy) }))
			await writeFile(path.join(root, file), text);
		return loadExperiment("experiments/mine.yaml", { root, gates: await headTree(root) });
	}
	const messageOf = async (...asked: Parameters<typeof load>) => {
		const error = await load(...asked).catch((reason: unknown) => reason);
		expect(error).toBeInstanceOf(InvalidFile);
		return (error as InvalidFile).message;
	};

	test("can't name a lenient policy that its line doesn't allow, and is told which it does", async () => {
		expect((await load("perception")).policy.name).toBe("perception");
		expect(await messageOf("lenient")).toBe(
			"experiments/mine.yaml:5:8 gates: found lenient; recipes/lines/line.yaml lets this line be judged only by perception",
		);
	});

	test("can't allow itself one in a line's file of its own", async () => {
		const own = { "recipes/lines/line.yaml": "gates: [perception, lenient]\n" };
		expect(await messageOf("lenient", own)).toContain("judged only by perception");
		await rm(path.join(root, "recipes/lines"), { recursive: true });
		expect(await messageOf("lenient")).toContain("judged only by perception");
	});

	test("may name any policy that the base has where its line has no file", async () => {
		gitIn(root, "rm", "--quiet", "--cached", "recipes/lines/line.yaml");
		gitIn(root, "commit", "--quiet", "--message", "no lines");
		expect((await load("lenient")).policy.name).toBe("lenient");
	});

	test("is judged by the policy of the last commit, not by what was edited since", async () => {
		const edited = gitIn(root, "show", "HEAD:recipes/gates/perception.yaml").replaceAll(
			"max_drop: 0.0",
			"max_drop: 0.9",
		);
		const { policy } = await load("perception", { "recipes/gates/perception.yaml": edited });
		expect(policy.rules[0]).toMatchObject({ bound: "max_drop", value: 0.03 });
		expect(await messageOf("mine", { "recipes/gates/mine.yaml": lenient })).toContain(
			"recipes/gates/mine.yaml isn't in the base, whose gates apply: merge it first (on your own machine, commit it)",
		);
	});

	test("is told which policy of its line's file there isn't", async () => {
		await commitIn(root, { "recipes/lines/line.yaml": "gates: [perception, lenent]\n" });
		expect(await messageOf("perception")).toBe(
			"recipes/lines/line.yaml:1:21 gates.1: recipes/gates/lenent.yaml doesn't exist; available: lenient, perception. Did you mean lenient?",
		);
		await commitIn(root, { "recipes/lines/line.yaml": "gates: perception\nagainst: other\n" });
		const message = await messageOf("perception");
		expect(message).toContain("recipes/lines/line.yaml:1:8 gates: found ");
		expect(message).toContain("recipes/lines/line.yaml:2:1 unknown key against; allowed: gates");
	});

	test("finds no link in a commit, wherever it leads", async () => {
		await rm(path.join(root, "recipes/gates/lenient.yaml"));
		await symlink("/etc/hostname", path.join(root, "recipes/gates/lenient.yaml"));
		gitIn(root, "add", "--all");
		gitIn(root, "commit", "--quiet", "--message", "a link");
		const tree = commitTree(openGit(root), "HEAD");
		await expect(tree.read("recipes/gates/lenient.yaml")).rejects.toThrow("found a link or a folder");
		await expect(tree.read("recipes/gates")).rejects.toThrow("found a link or a folder");
		await expect(tree.read("recipes/gates/none.yaml")).rejects.toThrow("has no such file");
	});
});
