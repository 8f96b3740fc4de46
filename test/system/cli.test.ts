// The command line
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { EvalReport, Jobs, Report } from "../../actions/lib/generated/documents.d.ts";
import { SOAK } from "../soak.ts";
import { experiment, makeProject, writeProject } from "./project.ts";
import { copyFolder, EXPERIMENTS, firstProject, giveTrained, type Ran, startCli } from "./trained.ts";

/** What trains or starts the command line many times: in the soak. */
const rarely = test.runIf(SOAK);

let root: string;
let first: Ran;
beforeAll(async () => {
	root = path.join(await mkdtemp(path.join(tmpdir(), "cli-")), "project");
	const made = await firstProject();
	first = made.ran;
	await copyFolder(made.root, root);
	await writeProject(root);
});
afterAll(() => rm(path.dirname(root), { recursive: true, force: true }));

const start = (...args: string[]) => startCli(root, ...args);
const run = (...args: string[]) => start(...args).ended;
/** Lets the next start of the experiment adopt what was trained for all test files. */
const give = (name: keyof typeof EXPERIMENTS) => giveTrained(name, path.join(root, ".proving-ground/store"));

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
	const deadline = Date.now() + 200_000;
	while (!(await condition())) {
		if (Date.now() > deadline) throw new Error("waited in vain");
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
}

test("takes an experiment through every stage, and a second time adopts what is there", async () => {
	expect(first).toMatchObject({ code: 0, out: "first: promoted: small-line v1 is its first production model\n" });
	expect(first.err).toContain("making the dataset mini");
	// Nothing but our own words: no warning of a library reaches the person.
	expect(first.err).not.toMatch(/warn/i);

	const again = await run("run", "experiments/first.yaml");
	expect(again).toMatchObject({ code: 0, out: "first: small-line v1 is already production\n" });
	expect(again.err).toContain("was promoted as v1");
	expect(again.err).toContain("train succeeded (adopted: already there), evaluate succeeded (adopted: already there)");
	for (const file of ["report.json", "model_card.md", "promotion.json"])
		await readFile(path.join(root, "reports/first", file));
	const card = await readFile(path.join(root, "reports/first/model_card.md"), "utf8");
	expect(card).toContain("## Splits\n\n0 frames of test are also in train");
});

test("stage by stage does the same, prints documents with --json, and ends in 1 where the gate fails", async () => {
	const file = "experiments/second.yaml";
	const plan = JSON.parse((await run("--json", "plan", file)).out);
	expect(plan).toMatchObject({
		schema: 1,
		baseline: { version: 1 },
		changes: [{ path: "seed", production: 0, candidate: 1 }],
		weights: { from: "version 1", transfer: { left: [], fresh: [] } },
	});

	const begun = JSON.parse((await run("--json", "train", file, "--no-follow")).out) as Jobs;
	expect(begun.jobs[0]).toMatchObject({ kind: "train", state: "running", adopted: false });
	const done = JSON.parse((await run("--json", "train", file)).out) as Jobs;
	expect(done.jobs.map(({ kind, state, adopted }) => [kind, state, adopted])).toEqual([
		["train", "succeeded", true],
		["evaluate", "succeeded", false],
	]);
	expect((await run("report", file)).code).toBe(0);
	const judged = await run("--json", "gate", file);
	expect(judged.code).toBe(1);
	expect(JSON.parse(judged.out)).toMatchObject({ outcome: "fail", baseline: 1 });
	expect((await run("comment", file)).out).toContain("`second` failed 1 of 1 check: mIoU ");
	const refused = await run("promote", file);
	expect(refused).toMatchObject({ code: 1, out: expect.stringContaining("not promoted: fail") });
	expect((await run("history", "small-line")).out).toMatch(/^small-line v1 {2}production {2}first {2}mAP/);
});

test("lets a model through whose failed check somebody else waived, and says so from the verdict to the history", async () => {
	const file = "experiments/second.yaml";
	const waiver =
		"{ check: { metric: miou }, model: small-line, reason: nobody is that good, who: ann, until: 9999-12-31 }";
	const waivers = path.join(root, "recipes/gates/waivers.yaml");
	await writeFile(waivers, `waivers:\n  - ${waiver}\n`);
	const gate = async (...author: string[]) => {
		for (const stage of ["plan", "train", "report"]) expect((await run(...author, stage, file)).code).toBe(0);
		return run("gate", file);
	};
	const card = () => readFile(path.join(root, "reports/second/model_card.md"), "utf8");
	// Outside a repository of git nobody is known to be the author.
	expect(await gate()).toMatchObject({ code: 1, out: expect.stringContaining("fail (0 checks passed, 1 failed") });
	expect((await run("comment", file)).out).toContain("author's GitHub login is not known");
	expect(await gate("--author", "Ann")).toMatchObject({ code: 1 });
	expect(await card()).not.toContain("## Waived checks");

	expect(await gate("--author", "bob")).toMatchObject({ code: 0, out: expect.stringContaining("pass with 1 waived") });
	expect(await card()).toContain("waived by `ann` until `9999-12-31` (line 2): `nobody is that good`");
	expect((await run("comment", file)).out).toContain("`second` passed with 1 waived check: mIoU ");
	const promoted = await run("promote", file);
	expect(promoted).toMatchObject({ code: 0, out: "promoted: small-line v2 replaced v1 with 1 waived check\n" });
	const history = (await run("history", "small-line")).out.split("\n");
	expect(history[0]).not.toContain("waived");
	expect(history[1]).toMatch(/^small-line v2 {2}production {2}second {2}.* {2}waived 1 {2}approved by/);
	await rm(waivers);
	expect((await run("promote", "experiments/first.yaml")).out).toBe(
		"small-line v1 was promoted and replaced since: production is v2\n",
	);
});

rarely(
	"judges against what is production by now, from stored statistics, where that has moved on since the report",
	async () => {
		const file = "experiments/third.yaml";
		const written = EXPERIMENTS.third;
		await writeFile(path.join(root, file), written);
		await give("third");
		for (const stage of ["plan", "train", "report"]) expect((await run(stage, file)).code).toBe(0);
		expect(JSON.parse((await run("--json", "gate", file)).out)).toMatchObject({ outcome: "pass", baseline: 2 });
		await writeFile(path.join(root, "experiments/moving.yaml"), EXPERIMENTS.moving);
		await give("moving");
		expect((await run("run", "experiments/moving.yaml")).out).toContain("promoted: small-line v3 replaced v2");
		expect(await run("promote", file)).toMatchObject({
			code: 2,
			err: expect.stringContaining("production is version 3"),
		});

		await writeFile(path.join(root, file), experiment({ more: "seed: 9\n" }));
		const edited = await run("gate", file);
		const changed = `${file} (seed: 2, now 9) has changed since the plan`;
		const err = `${changed}. Plan again: npx proving-ground plan ${file}\n`;
		expect(edited).toMatchObject({ code: 2, out: "", err });
		for (const stage of ["train", "report", "comment", "promote"])
			expect(await run(stage, file)).toMatchObject({ code: 2, err });
		await writeFile(path.join(root, file), written);
		const judged = await run("--json", "gate", file);
		expect(judged.err).toContain("production changed: comparing again with production v3");
		expect(JSON.parse(judged.out)).toMatchObject({ outcome: "pass", baseline: 3 });
		const report = JSON.parse(await readFile(path.join(root, "reports/third/report.json"), "utf8")) as Report;
		// Three experiments have been the same training with other seeds; the second has started from weights.
		const told = [
			{ seed: 0, run: expect.stringMatching(/^first-/) },
			{ seed: 2, run: report.run },
			{ seed: 4, run: expect.stringMatching(/^moving-/) },
		];
		expect(report.seeds).toMatchObject({ candidate: { runs: told, next: 1 }, production: { runs: told, next: 1 } });
		expect(report.seeds!.candidate.scores).toContainEqual(
			expect.objectContaining({ metric: "miou", slice: null, seeds: 3 }),
		);
		expect(JSON.parse(judged.out).checks[0].noise).toMatchObject({ candidate: 3, production: null });
		const folder = path.join(
			root,
			".proving-ground/store/models/small-line",
			report.run,
			"evaluations",
			report.evaluation,
		);
		const { statistics } = JSON.parse(await readFile(path.join(folder, "eval_report.json"), "utf8")) as EvalReport;
		expect(statistics.map(({ of }) => of)).toEqual(["candidate", "production"]);
		expect(statistics.map(({ evaluation }) => evaluation)).not.toContain(report.evaluation);
		expect((await run("gate", file)).err).not.toContain("comparing again");
		expect((await run("promote", file)).out).toBe("promoted: small-line v4 replaced v3\n");
		// What has been promoted was judged, even where another model has replaced it.
		for (const promoted of [file, "experiments/moving.yaml"])
			expect((await run("gate", promoted)).err).not.toContain("comparing again");
	},
);

test("backtests a policy on slices that nobody has measured, from stored statistics", async () => {
	const [policy, slices] = ["recipes/gates/lenient.yaml", "slices.yaml"];
	const before = await readFile(path.join(root, policy), "utf8");
	const git = (...args: string[]) =>
		promisify(execFile)("git", ["-C", root, "-c", "user.name=ann", "-c", "user.email=ann@localhost", ...args]);
	await git("init", "-q");
	await git("add", policy);
	await git("commit", "-qm", "the policy");
	await writeFile(
		path.join(root, policy),
		`${before}  - { metric: miou, slice: by-day, min: 0, reason: it was measured }\n`,
	);
	await writeFile(path.join(root, slices), "slices:\n  - { name: by-day, where: { timeofday: day } }\n");
	const promoted = SOAK ? 4 : 2;
	const stopped = `${promoted} of ${promoted} promoted models would have been stopped`;
	expect((await run("backtest", policy)).out).toContain(stopped);
	const ran = await run("backtest", policy, "--slices", slices);
	expect(ran.out).toContain("### Backtest of `recipes/gates/lenient.yaml` on the slices of `slices.yaml`");
	// What is measured on a handful of frames may well be inconclusive; what isn't measured fails.
	expect(ran.out.match(/mIoU on `by-day`: no rule → (pass|inconclusive)/g)).toHaveLength(promoted);
	await writeFile(path.join(root, slices), "slices:\n  - { name: by-day, where: { timeofday: [] } }\n");
	const wrong = await run("backtest", policy, "--slices", slices);
	expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining("slices.yaml") });
	await writeFile(path.join(root, policy), before);
	for (const left of [".git", slices]) await rm(path.join(root, left), { recursive: true });
});

rarely(
	"leaves a job running when it is killed, adopts it, and stops it with a checkpoint that the next start resumes from",
	async () => {
		const long = (await readFile(path.join(root, "experiments/first.yaml"), "utf8")).replace(
			"why",
			"train: { epochs: 400 }\nwhy",
		);
		await writeFile(path.join(root, "experiments/long.yaml"), long);
		await run("plan", "experiments/long.yaml");
		const { child, ran, ended } = start("train", "experiments/long.yaml");
		await until(() => ran.err.includes("epoch"));
		child.kill("SIGKILL");
		await ended;
		const jobs = JSON.parse((await run("--json", "train", "experiments/long.yaml", "--no-follow")).out) as Jobs;
		expect(jobs.jobs[0]).toMatchObject({ state: "running", adopted: true, attempt: 1 });

		expect((await run("train", "experiments/long.yaml", "--stop")).out).toContain("asked to stop");
		const job = path.join(root, ".proving-ground/jobs", jobs.run);
		await until(async () => (await readFile(path.join(job, "exit.json"), "utf8").catch(() => "")) !== "");
		expect((await run("comment", "experiments/long.yaml")).out).toContain("`long`: the training was stopped");
		const resumed = JSON.parse((await run("--json", "train", "experiments/long.yaml", "--no-follow")).out) as Jobs;
		expect(resumed.jobs[0]).toMatchObject({ state: "running", attempt: 2 });
		await until(async () => (await readFile(path.join(job, "log.txt"), "utf8")).includes("resumed at step"));
		await run("train", "experiments/long.yaml", "--stop");
		await until(async () => (await readFile(path.join(job, "exit.json"), "utf8").catch(() => "")) !== "");
	},
);

test.each([
	["a stage that isn't there", ["trian", "experiments/first.yaml"], 2, "unknown command 'trian'"],
	["a flag that isn't there", ["plan", "experiments/first.yaml", "--fast"], 2, "unknown option '--fast'"],
	["no experiment", ["plan"], 2, "missing required argument 'experiment'"],
	[
		"a file that isn't there",
		["plan", "experiments/none.yaml"],
		2,
		"experiments/none.yaml: the file can't be read (ENOENT)",
	],
	[
		"a stage before the one it needs",
		["report", "experiments/nothing.yaml"],
		2,
		"there is no plan.json here. To make it: npx proving-ground plan experiments/nothing.yaml",
	],
	[
		"a gate before its report",
		["gate", "experiments/nothing.yaml"],
		2,
		"npx proving-ground report experiments/nothing.yaml",
	],
	[
		"a base that isn't there",
		["--base", "/none", "plan", "experiments/first.yaml"],
		2,
		"--base /none: there is no such",
	],
	["a line of models that isn't there", ["history", "no-line"], 2, "The registry has no line of models no-line"],
	["help", ["--help"], 0, ""],
])("ends with %s in the code that says who can act", async (_, args, code, message) => {
	const ran = await run(...(args as string[]));
	expect(ran.code).toBe(code);
	expect(ran.err).toContain(message);
	expect(ran.err).not.toMatch(/\n\s+at /);
});

test("validates every experiment, and ends in 2 with all problems where there are some", async () => {
	expect(await run("validate")).toMatchObject({ code: 0, out: expect.stringMatching(/^\d experiments valid\n$/) });
	await writeFile(path.join(root, "experiments/wrong.yaml"), "model: Small\nrecipe: mini\n");
	await writeFile(path.join(root, "experiments/third.yml"), experiment({}));
	await writeFile(path.join(root, "experiments/cut.yaml"), experiment({}).replace("a test", "see #42"));
	const ran = await run("validate");
	expect(ran.code).toBe(2);
	expect(ran.err).toContain("experiments/third.yml:1:1 an experiment's file ends in .yaml; rename it to third.yaml");
	expect(ran.err).toContain("warning: experiments/cut.yaml:6:9 why: # begins a comment");
	expect(ran.err.trim().split("\n").length).toBeGreaterThan(3);
});

test("ends in 3 where a service failed", async () => {
	const broken = await makeProject({
		".github/proving-ground.yaml": "state: s\npython: /bin/false\n",
	});
	const { code } = await startCli(broken, "plan", "experiments/first.yaml").ended;
	await rm(broken, { recursive: true });
	expect(code).toBe(3);
});
