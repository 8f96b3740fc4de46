// What was merged

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { sha256 } from "../../../actions/lib/documents.ts";
import { ServiceError } from "../../../actions/lib/errors.ts";
import { evaluationKey, modelKey } from "../../../actions/lib/plan/store.ts";
import { createGit, writeCommit } from "../../system/github/git.ts";
import { experiment, fileOf, gates, makeTemplate, Repository } from "./merged/repository.ts";

let template: string;
let at: Repository;
beforeAll(async () => {
	template = await makeTemplate();
});
afterAll(() => rm(template, { recursive: true }));
beforeEach(async () => {
	at = await Repository.copy(template);
});
afterEach(() => at.remove());

const promoted = (name: string, version: number, model = "line") => ({
	...{ file: fileOf(name), is: "promoted", model, version },
});
const there = (name: string, version: number, model = "line") => ({
	...{ file: fileOf(name), is: "there", model, version },
});
const modelTags = () => [...at.server.tags].filter(([name]) => name.startsWith("model/"));

describe("becomes production", () => {
	test("once, as it was judged, by who merged it, with tags, an event and a word on its pull request", async () => {
		const plan = await at.bring("first");
		const trained = at.executor.started.length;
		expect(await at.settle()).toEqual([promoted("first", 1)]);
		expect(at.said).toEqual(["experiments/first.yaml: promoted as line v1"]);
		expect(await at.approvals()).toMatchObject([{ version: 1, replaced: null, approved_by: "mia" }]);
		expect((await at.project.registry.current("line"))?.entry.run).toBe(plan.run.id);
		expect(modelTags()).toEqual([["model/line/v1", at.sha()]]);
		expect(at.server.branches.get("proving-ground/record/line-v1")?.base).toBe("main");
		const payload = { model: "line", version: 1, pull_request: 1 };
		expect(at.server.events).toMatchObject([{ type: "model.promoted", payload }]);
		expect(at.server.comments.get(1)).toContain("Promoted as v1.");
		expect(at.executor.started).toHaveLength(trained);
		// Another run writes nothing.
		const writes = at.server.writes.splice(0);
		expect(writes).toContain("createTag");
		expect(await at.settle()).toEqual([there("first", 1)]);
		expect(at.said.at(-1)).toBe("experiments/first.yaml: already promoted as line v1");
		expect(at.server.writes).toEqual([]);
		expect(await at.approvals()).toHaveLength(1);
	});

	test("in the order of the merges, also where a run was stopped after it had approved the first", async () => {
		await at.bring("zebra");
		await at.bring("ant", experiment({ seed: 1 }));
		const github = at.server.connect();
		const createTag = async (name: string, sha: string) => {
			if (name === "model/line/v1") throw new ServiceError("GitHub", "no answer");
			return github.createTag(name, sha);
		};
		await expect(at.settle({ ...github, createTag })).rejects.toThrow("no answer");
		expect(await at.settle()).toEqual([promoted("zebra", 1), there("ant", 2)]);
		expect(await at.approvals()).toMatchObject([
			{ version: 1, replaced: null },
			{ version: 2, replaced: 1 },
		]);
		expect(modelTags().map(([name]) => name)).toEqual(["model/line/v2", "model/line/v1"]);
	});

	test("and its mark is left by the next run, where one was stopped after the tag", async () => {
		await at.bring("first");
		await at.settle();
		const [mark, ...others] = await at.project.store.list("settled/");
		expect(others).toEqual([]);
		const left = await readFile(at.project.store.locate(mark!), "utf8");
		await rm(at.project.store.locate(mark!));
		expect(await at.settle()).toEqual([there("first", 1)]);
		expect(await readFile(at.project.store.locate(mark!), "utf8")).toBe(left);
	});

	test("with a word on its pull request also where that could not be left at first", async () => {
		await at.bring("first");
		const upsertCheckRun = () => Promise.reject(new ServiceError("GitHub", "no answer"));
		await expect(at.settle({ ...at.server.connect(), upsertCheckRun })).rejects.toThrow("no answer");
		expect(await at.settle()).toEqual([promoted("first", 1)]);
		expect(at.server.writes.filter((name) => name === "upsertCheckRun")).toHaveLength(1);
		expect(await at.approvals()).toHaveLength(1);
	});

	test("where production has moved on, after it was judged again from what was measured of both", async () => {
		const late = at.open({ [fileOf("late")]: experiment({ seed: 1 }) });
		const judged = await at.judge(late, "late", true);
		const first = await at.bring("first");
		await at.settle();
		at.merge(late);
		const before = at.executor.started.length;
		expect(await at.settle()).toEqual([there("first", 2), promoted("late", 3)]);
		const started = at.executor.started.slice(before);
		expect(started.map(({ document }) => document.kind)).toEqual(["evaluate"]);
		const measured = async (run: string) => {
			const keys = await at.project.store.list(evaluationKey("line", run, ""));
			return keys
				.filter((key) => key.endsWith("/manifest.json"))
				.map((key) => path.dirname(at.project.store.locate(key)));
		};
		const { inputs } = started[0]!;
		expect(await measured(judged.run.id)).toContain(inputs["measured-candidate"]);
		expect(await measured(first.run.id)).toContain(inputs["measured-production"]);
		expect((await at.approvals()).at(-1)).toMatchObject({ version: 3, replaced: 2 });
	});

	test("by who merged it also while GitHub doesn't know yet which pull request its commit is of", async () => {
		await at.bring("late");
		const late = { ...at.server.connect(), pullRequestsOf: async () => [] };
		expect(await at.settle(late)).toMatchObject([{ is: "promoted", version: 1 }]);
		expect(await at.approvals()).toMatchObject([{ version: 1, approved_by: "mia" }]);
	});

	test("of a direct push by its author, with nothing to show it on", async () => {
		await at.judge(at.open({ [fileOf("first")]: experiment() }), "first");
		at.push({ [fileOf("first")]: experiment() }, "bob");
		expect(await at.settle()).toEqual([promoted("first", 1)]);
		expect(await at.approvals()).toMatchObject([{ approved_by: "bob" }]);
		expect(at.server.events).toMatchObject([{ payload: { pull_request: null } }]);
		expect(at.server.comments.size).toBe(0);
	});

	test("of each commit of a rebase, whose pull request's head only GitHub has", async () => {
		const github = await mkdtemp(path.join(tmpdir(), "origin-"));
		const origin = createGit(github);
		origin(["clone", "--quiet", "--bare", "--template=", at.home, "."]);
		at.git(["remote", "add", "origin", github]);
		const file = (name: string) => ({ [fileOf(name)]: experiment({ model: `line-${name}` }) });
		const base = at.sha();
		const head = writeCommit(origin, base, { ...file("a"), ...file("b") }, "Propose", "bob");
		const { number } = at.server.open(head, base, "proposed");
		origin(["update-ref", `refs/pull/${number}/head`, head]);
		for (const name of ["a", "b"]) await at.judge(number, name);
		// The checkout has brought the head here; the next runner's clone is without it.
		await rm(path.join(at.home, ".proving-ground/checkouts"), { recursive: true });
		at.git(["worktree", "prune"]);
		at.git(["prune", "--expire=now"]);
		at.server.merged(number, at.push(file("a")), at.push(file("b")));
		expect(await at.settle()).toEqual([promoted("a", 1, "line-a"), promoted("b", 1, "line-b")]);
		expect(at.server.events.map(({ payload }) => payload["pull_request"])).toEqual([number, number]);
		await rm(github, { recursive: true });
	});

	test("although its machine has become another in the merge, by the plan of before", async () => {
		const machine = "recipes/machines/here.yaml";
		const other = at.git(["show", `HEAD:${machine}`]).replace("processes: 1", "processes: 2");
		const number = at.open({ [fileOf("first")]: experiment(), [machine]: other });
		await at.judge(number, "first");
		at.merge(number);
		expect(await at.settle()).toEqual([promoted("first", 1)]);
	});

	test("once more where it is merged once more, against what is production by then", async () => {
		const plan = await at.bring("first");
		await at.settle();
		await at.bring("second", experiment({ seed: 1 }));
		await at.settle();
		at.push({ [fileOf("first")]: null });
		at.merge(at.open({ [fileOf("first")]: experiment() }));
		expect(await at.settle()).toEqual([there("second", 2), promoted("first", 3)]);
		const { entry } = (await at.project.registry.current("line"))!;
		expect(entry).toMatchObject({ run: plan.run.id, baseline: 2 });
		expect(await at.settle()).toEqual([there("second", 2), there("first", 3)]);
		// Nothing is merged once more by a comment, not even before the merge was settled.
		const tags = modelTags();
		at.push({ [fileOf("first")]: `# why\n${experiment()}` });
		expect(await at.settle()).toEqual([there("second", 2), there("first", 3)]);
		expect([modelTags(), (await at.approvals()).length]).toEqual([tags, 3]);
		at.push({ [fileOf("second")]: null });
		at.push({ [fileOf("second")]: experiment({ seed: 1 }) });
		at.push({ [fileOf("second")]: `# why\n${experiment({ seed: 1 })}` });
		expect(await at.settle()).toEqual([there("first", 3), promoted("second", 4)]);
	});

	test("never by a new comment in its file, nor by its format: neither what was replaced nor what is production", async () => {
		await at.bring("first");
		await at.settle();
		await at.bring("second", experiment({ seed: 1 }));
		await at.settle();
		const tags = modelTags();
		const tidied = (seed: number) => `# tidied\n${experiment({ seed }).replace("model: line", 'model: "line"')}`;
		at.merge(at.open({ [fileOf("first")]: tidied(0) }));
		at.merge(at.open({ [fileOf("second")]: tidied(1) }));
		at.push({ [fileOf("first")]: `${tidied(0)}# twice\n` });
		// From before others changed the recipe.
		const stale = at.open({ [fileOf("second")]: `${tidied(1)}# twice\n` });
		const recipe = "recipes/models/mini.yaml";
		at.push({ [recipe]: at.git(["show", `HEAD:${recipe}`]).replace(/epochs: (\d+)/, "epochs: 1$1") });
		at.merge(stale);
		expect(await at.settle()).toEqual([there("first", 1), there("second", 2)]);
		expect([modelTags(), (await at.approvals()).length]).toEqual([tags, 2]);
		expect(at.server.events).toHaveLength(2);
	});
});

describe("is refused, once, by an issue", () => {
	/** Settles twice: each of these files is refused, and has one issue that says why. */
	async function expectRefused(whys: Record<string, RegExp>): Promise<void> {
		const expected = Object.entries(whys).map(([name, why], place) => {
			return { file: fileOf(name), is: "refused", why: expect.stringMatching(why), issue: place + 1 };
		});
		for (let run = 0; run < 2; run += 1)
			expect((await at.settle()).filter(({ file }) => expected.some((one) => one.file === file))).toEqual(expected);
		expect(at.server.issues.map(({ title }) => title)).toEqual(
			Object.keys(whys).map((name) => `${name} was merged but not promoted`),
		);
	}

	test("where the merge has changed the file that was judged", async () => {
		const lines = (top: string, end: string) => `# ${top}\n${experiment()}${"#\n".repeat(9)}# ${end}\n`;
		at.push({ [fileOf("night")]: lines("top", "end") });
		const number = at.open({ [fileOf("night")]: lines("other", "end") });
		await at.judge(number, "night");
		at.push({ [fileOf("night")]: lines("top", "another") });
		const merged = at.merge(number);
		await expectRefused({ night: /The merge of #1 changed/ });
		expect(await at.approvals()).toEqual([]);
		expect(at.said.at(-1)).toMatch(/^experiments\/night\.yaml: refused: .*was judged\.` \(#1\)$/);
		const { marker, body } = at.server.issues[0]!;
		expect(marker).toBe(`<!-- proving-ground: refused ${sha256(fileOf("night"))} ${merged} -->`);
		expect(body).toMatchInlineSnapshot(`
			"\`experiments/night.yaml\`, merged with #1, was not promoted. Production is unchanged.

			**Why:** \`The merge of #1 changed experiments/night.yaml: it isn't the file that was judged.\`

			**What to do**

			- Revert the merge, or change the experiment in a new pull request. It is trained and judged there.
			- To let a check by for a while, merge a waiver into \`recipes/gates/waivers.yaml\` by itself. Then run the workflow \`promote\` by hand, or \`follow\` if that promotes.
			- If the training was stopped or never ran, open a new pull request with the same experiment. Training resumes from its checkpoint.

			This issue is closed when the model is promoted."
		`);
	});

	test("where what lies in the store is not what was judged, or was never made; others become production", async () => {
		const { run } = await at.bring("bytes");
		await writeFile(at.project.store.locate(`${modelKey("line", run.id)}/weights.safetensors`), "others");
		const other = await at.bring("document", experiment({ seed: 1 }));
		const document = at.project.store.locate(`documents/${other.run.id}.json`);
		await writeFile(document, JSON.stringify({ ...other.run, seed: 7 }));
		await at.bring("failed", experiment({ seed: 2 }));
		at.executor.seen.set("failed", { state: "failed", diagnosis: "the loss is @none" });
		at.merge(at.open({ [fileOf("untrained")]: experiment({ seed: 3 }) }));
		const fork = at.open({ [fileOf("fork")]: experiment({ seed: 4 }) });
		at.server.of(fork).head.fork = true;
		at.merge(fork);
		const pushed = at.push({ [fileOf("unplanned")]: `${experiment()}epochs: 3\n` });
		const good = await at.bring("good", experiment({ seed: 5 }));
		await expectRefused({
			bytes: /weights\.safetensors is not the file that was judged/,
			document: /with another document: it isn't adopted/,
			failed: /^its training failed: `the loss is @none`$/,
			untrained: /^its training was never run$/,
			fork: /^its training was never run$/,
			unplanned: /experiments\/unplanned\.yaml:8:1 .*epochs/,
		});
		expect(await at.approvals()).toMatchObject([{ version: 1, replaced: null }]);
		expect((await at.project.registry.current("line"))?.entry.run).toBe(good.run.id);
		const trained = at.executor.started.flatMap(({ document: { kind, experiment } }) =>
			kind === "train" ? experiment : [],
		);
		expect(trained).toEqual(["bytes", "document", "failed", "good"]);
		const brought = at.server.issues.map(({ body }) => /, (\w+ with .+), was not/.exec(body)?.[1]);
		expect(brought.slice(3)).toEqual(["merged with #4", expect.stringMatching(/^pushed/), `pushed with \`${pushed}\``]);
	});

	test("of its own for each experiment that a commit has brought", async () => {
		const bad = `${experiment()}epochs: 3\n`;
		at.push({ [fileOf("one")]: bad, [fileOf("two")]: bad });
		await expectRefused({ two: /two\.yaml:8:1 /, one: /one\.yaml:8:1 / });
	});

	test("that is closed once it is promoted after all", async () => {
		await at.bring("failed");
		at.executor.seen.set("failed", { state: "failed", diagnosis: "no disk" });
		await expectRefused({ failed: /no disk/ });
		expect([...at.server.closed]).toEqual([]);
		at.executor.seen.delete("failed");
		expect(await at.settle()).toEqual([promoted("failed", 1)]);
		expect([...at.server.closed]).toEqual([[at.server.issues[0]!.marker, "**Update:** it was promoted as `line` v1."]]);
	});

	test("where it passed, and loses against what is production now", async () => {
		const worse = at.open({ [fileOf("worse")]: experiment({ seed: 1 }) });
		await at.judge(worse, "worse");
		await at.bring("best", experiment({ seed: 2 }), 0.5);
		await at.settle();
		at.merge(worse);
		expect(at.server.comments.has(worse)).toBe(false);
		await expectRefused({ worse: /`worse` failed/ });
		expect(await at.approvals()).toHaveLength(1);
		expect(at.server.comments.get(worse)).toMatch(/❌ `worse` failed \d+ of \d+ checks?: /);
	});

	const gate = "recipes/gates/gate.yaml";
	const waivers = "recipes/gates/waivers.yaml";
	const loose = gates.replace("min: 0.1", "min: 0.01");
	const until = new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, "YYYY-MM-DD".length);
	const waiver = `waivers:
  - { check: { metric: map }, model: line, who: mia, until: ${until}, reason: a test of waivers }
`;

	test.each([
		["policy", gate, loose],
		["waiver", waivers, waiver],
	])(
		"where it brings a %s of its own that would let it by, also once another merge touches that",
		async (_, file, text) => {
			at.executor.map.set("poor", 0.05);
			const number = at.open({ [fileOf("poor")]: experiment(), [file]: text });
			await at.judge(number, "poor");
			at.merge(number);
			await expectRefused({ poor: /`poor` failed/ });
			at.push({ "recipes/gates/other.yaml": gates });
			await expectRefused({ poor: /`poor` failed/ });
			at.push({ [file]: `# seen\n${text}` });
			await expectRefused({ poor: /`poor` failed/ });
			expect(await at.approvals()).toEqual([]);
		},
	);

	test("where a policy came with it by a rebase, in a commit before", async () => {
		at.executor.map.set("poor", 0.05);
		const number = at.open({ [fileOf("poor")]: experiment(), [gate]: loose });
		await at.judge(number, "poor");
		at.server.merged(number, at.push({ [gate]: loose }), at.push({ [fileOf("poor")]: experiment() }));
		await expectRefused({ poor: /`poor` failed/ });
	});

	test("where a policy was pushed with it", async () => {
		at.executor.map.set("poor", 0.05);
		const files = { [fileOf("poor")]: experiment(), [gate]: loose };
		await at.judge(at.open(files), "poor");
		at.push(files);
		await expectRefused({ poor: /`poor` failed/ });
	});

	test("unless a waiver is merged for it after", async () => {
		await at.bring("poor", experiment(), 0.05);
		await expectRefused({ poor: /`poor` failed/ });
		at.merge(at.open({ [waivers]: waiver }));
		expect(await at.settle()).toEqual([promoted("poor", 1)]);
	});
});

describe("is left", () => {
	test("where its file doesn't stand any more, where a rollback has brought it back, and to who changed it last", async () => {
		await at.bring("gone");
		at.push({ [fileOf("gone")]: null });
		await at.bring("back");
		at.merge(at.open({ [fileOf("back")]: null }));
		at.rollBack(3, { [fileOf("back")]: experiment() });
		await at.bring("first");
		await at.bring("first", experiment({ seed: 1 }));
		expect(await at.settle()).toEqual([promoted("first", 1)]);
		expect((await at.project.registry.current("line"))?.entry.seed).toBe(1);
		expect(at.server.events).toMatchObject([{ payload: { pull_request: 6 } }]);
	});

	test("while its training runs or a service fails for it: others are not, and the step fails in the end", async () => {
		await at.bring("broken", experiment({ model: "broken" }));
		await at.bring("slow", experiment({ model: "slow" }));
		await at.bring("first");
		at.executor.seen.set("broken", new ServiceError("executor", "no answer"));
		at.executor.seen.set("slow", { state: "running" });
		await expect(at.settle()).rejects.toThrow("no answer");
		expect(at.said).toEqual([
			"experiments/broken.yaml: could not be settled: executor: no answer",
			"experiments/slow.yaml: waiting: its training is still running",
			"experiments/first.yaml: promoted as line v1",
		]);
		at.executor.seen.clear();
		expect(await at.settle()).toEqual([
			promoted("broken", 1, "broken"),
			promoted("slow", 1, "slow"),
			there("first", 1),
		]);
		expect(at.server.issues).toEqual([]);
	});

	test("to an issue of its own where it trips a bug of ours: others go on, and the step fails in the end", async () => {
		await at.bring("odd", experiment({ model: "odd" }));
		await at.bring("first");
		at.executor.seen.set("odd", new TypeError("x is undefined"));
		for (const _ of [1, 2]) await expect(at.settle()).rejects.toThrow("x is undefined");
		expect(at.said.slice(0, 2)).toEqual([
			"experiments/odd.yaml: could not be settled: A bug in Proving Ground: x is undefined",
			"experiments/first.yaml: promoted as line v1",
		]);
		expect(at.server.issues.map(({ title }) => title)).toEqual(["odd was merged but not promoted"]);
		expect(at.server.issues[0]!.body).toContain("`A bug in Proving Ground: x is undefined`");
	});

	test("to what goes on where a service fails for a rollback, which is recorded by the next run", async () => {
		await at.bring("first");
		await at.bring("second", experiment({ seed: 1 }));
		await at.settle();
		at.rollBack(2, { [fileOf("second")]: null });
		await at.bring("other", experiment({ model: "other" }));
		const github = at.server.connect();
		const commitFiles: typeof github.commitFiles = async (commit) => {
			if (commit.branch.includes("again")) throw new ServiceError("GitHub", "no answer");
			return github.commitFiles(commit);
		};
		await expect(at.settle({ ...github, commitFiles })).rejects.toThrow("no answer");
		expect(at.said.slice(-3)).toEqual([
			"line: could not be rolled back: GitHub: no answer",
			"experiments/first.yaml: already promoted as line v1",
			"experiments/other.yaml: promoted as other v1",
		]);
		expect((await at.project.registry.current("line"))?.entry.version).toBe(1);
		await at.settle();
		expect(at.said).toContain("line: rolled back from v2 to v1");
		await at.settle();
		const events = at.server.events.filter(({ type }) => type === "model.rolled_back");
		expect(events).toMatchObject([{ payload: { model: "line", version: 1, replaced: 2 } }]);
	});
});
