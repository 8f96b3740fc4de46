// The actions, one after the other as a workflow runs them
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readDocument } from "../../actions/lib/documents.ts";
import type { Plan } from "../../actions/lib/generated/documents.d.ts";
import { type RunOptions, runAction as runOn } from "../actions/runner.ts";
import { BOT, type GitHubServer, startGitHub } from "./github-server.ts";
import { files, writeProject } from "./project.ts";
import { EXPERIMENTS, giveTrained } from "./trained.ts";

let github: GitHubServer;
/** What outlives a checkout lies beside the runner's workspace. */
let machine: string;
let workspace: string;
const git = (...args: string[]) =>
	execFileSync("git", ["-C", workspace, "-c", "user.name=test", "-c", "user.email=test@example.com", ...args], {
		encoding: "utf8",
	}).trim();

beforeAll(async () => {
	github = await startGitHub();
	machine = await mkdtemp(path.join(tmpdir(), "machine-"));
	workspace = path.join(machine, "workspace");
	await writeProject(workspace, {
		".github/proving-ground.yaml": files[".github/proving-ground.yaml"]!.replace(".proving-ground", "../state"),
	});
	git("init", "--quiet", "--initial-branch=main");
	git("add", ".");
	git("commit", "--quiet", "--message", "base");
});
afterAll(async () => {
	await github.close();
	await rm(machine, { recursive: true, force: true });
});

const documentOf = (experiment: string, name: string) =>
	path.join(machine, "temporary/proving-ground-documents", experiment, `${name}.json`);
const runAction = (name: string, { environment = {}, ...options }: RunOptions) =>
	runOn(name, { ...options, environment: { RUNNER_TEMP: path.join(machine, "temporary"), ...environment } });

test("take a committed experiment to a comment, a check run and a production model", async () => {
	const since = git("rev-parse", "HEAD");
	await writeFile(path.join(workspace, "experiments/third.yaml"), EXPERIMENTS.third);
	await giveTrained("third", path.join(machine, "state/store"));
	git("add", ".");
	git("commit", "--quiet", "--message", "a third experiment");

	const planned = await runAction("plan", { workspace, inputs: { experiments: "", since, image: "" } });
	expect(planned).toMatchObject({ code: 0, annotations: [], outputs: { count: "1" } });
	const [plan] = JSON.parse(planned.outputs["plans"]!) as string[];

	const trained = await runAction("train", { workspace, inputs: { plan: plan!, "follow-minutes": "10" } });
	expect(trained).toMatchObject({ code: 0, annotations: [], outputs: { evaluated: "true" } });

	const reported = await runAction("report", { workspace, inputs: { plan: plan!, jobs: trained.outputs["jobs"]! } });
	expect(reported.code).toBe(0);

	const judged = await runAction("gate", { workspace, inputs: { report: reported.outputs["report"]! } });
	expect(judged).toMatchObject({ code: 0, outputs: { passed: "true", outcome: "pass" } });

	const documents = { plan: plan!, report: reported.outputs["report"]!, verdict: judged.outputs["verdict"]! };
	const edited = path.join(path.dirname(plan!), "edited.json");
	const lenient = JSON.parse(await readFile(plan!, "utf8")) as Plan;
	lenient.policy.rules[0]!.value = -1;
	await writeFile(edited, JSON.stringify(lenient));
	const refused = await runAction("promote", {
		workspace,
		inputs: { ...documents, plan: edited, approve: "true", by: "eve" },
	});
	expect(refused).toMatchObject({ code: 1, outputs: {} });
	expect(refused.log).toContain("has changed since the plan");

	const promoted = await runAction("promote", { workspace, inputs: { ...documents, approve: "true", by: "ann" } });
	expect(promoted).toMatchObject({ code: 0, outputs: { version: "1", status: "approved" } });
	expect(await readDocument("promotion", promoted.outputs["promotion"]!)).toMatchObject({
		approved_by: "ann",
		replaced: null,
	});

	const inputs = {
		...documents,
		jobs: trained.outputs["jobs"]!,
		promotion: promoted.outputs["promotion"]!,
		"pull-request": String(github.pullRequest),
		sha: github.sha,
		token: "bot-token",
		author: BOT,
	};
	const environment = { GITHUB_API_URL: github.url, GITHUB_REPOSITORY: github.repository };
	const shown = await runAction("comment", { workspace, inputs, environment });
	expect(shown.outputs).toMatchObject({ comment: "created", "check-run": "created" });
	expect(shown.summary).toContain("Promoted as v1");
	expect((await runAction("comment", { workspace, inputs, environment })).outputs).toMatchObject({
		comment: "unchanged",
		"check-run": "unchanged",
	});
});

test("annotate every problem of an experiment on its line, and plan the others", async () => {
	await writeFile(
		path.join(workspace, "experiments/bad.yaml"),
		"model: small-line\nrecipe: mni\ndata: mini\nmachine: here\ngates: lenient\nwhy: x\nepochs: 3\n",
	);
	const ran = await runAction("plan", {
		workspace,
		inputs: { experiments: "experiments/bad.yaml\nexperiments/first.yaml", since: "", image: "" },
	});
	expect(ran.code).toBe(1);
	expect(ran.annotations).toEqual([
		"::error file=experiments/bad.yaml,line=7,col=1::unknown key epochs; allowed: model, recipe, data, machine, gates, why, seed, weights, replay, window, train",
		"::error file=experiments/bad.yaml,line=2,col=9::recipes/models/mni.yaml doesn't exist; available: mini. Did you mean mini?",
	]);
	expect(ran.log).not.toMatch(/\n\s+at /);
	expect(ran.outputs).toMatchObject({ count: "1", refused: expect.stringContaining("unknown key epochs") });
});

test.each(["train", "promote"])("%s refuses to run what a fork's pull request brings", async (action) => {
	const event = path.join(workspace, "event.json");
	await mkdir(workspace, { recursive: true });
	await writeFile(
		event,
		JSON.stringify({ repository: { id: 1 }, pull_request: { number: 1, head: { repo: { id: 2 } } } }),
	);
	const inputs = { plan: "plan.json", report: "r", verdict: "v", approve: "true", "follow-minutes": "10" };
	const ran = await runAction(action, { workspace, inputs, environment: { GITHUB_EVENT_PATH: event } });
	expect(ran).toMatchObject({ code: 1, outputs: {} });
	expect(ran.annotations[0]).toContain("Pull requests from forks are planned but never run");
});

test.each(["train", "report", "gate", "comment", "promote"])(
	"%s says in one error which document is missing",
	async (action) => {
		const inputs = {
			plan: "none/plan.json",
			jobs: "none/jobs.json",
			report: "none/report.json",
			verdict: "none/verdict.json",
			promotion: "",
			"follow-minutes": "10",
			approve: "false",
		};
		const ran = await runAction(action, { workspace, inputs });
		expect(ran.code).toBe(1);
		expect(ran.annotations).toHaveLength(1);
		expect(ran.annotations[0]).toMatch(/^::error::none\/\w+\.json: there is no \w+\.json here \(ENOENT\)\.$/);
	},
);

test.each([
	["train", {}, "The input plan is required but was not given."],
	[
		"train",
		{ plan: "plan.json", "follow-minutes": "1201" },
		'The input follow-minutes: found "1201"; it must be a whole number from 0 to 1200: a job\'s token expires after 24 hours.',
	],
	["comment", {}, "The input plan is required but was not given."],
] as [string, Record<string, string>, string][])(
	"%s names an input that is missing or wrong, without a stack",
	async (action, inputs, message) => {
		await writeFile(
			path.join(workspace, "plan.json"),
			JSON.stringify(await readDocument("plan", documentOf("third", "plan"))),
		);
		const ran = await runAction(action, { workspace, inputs });
		expect(ran).toMatchObject({ code: 1, annotations: [`::error::${message}`] });
		expect(ran.log).not.toMatch(/\n\s+at /);
	},
);

test("plan takes the gates from a pull request's base, and after a push from the commit before it", async () => {
	const event = path.join(workspace, "event.json");
	const before = git("rev-parse", "HEAD");
	const gates = path.join(workspace, "recipes/gates/lenient.yaml");
	const text = await readFile(gates, "utf8");
	await writeFile(gates, text.replace("min: 0", "min: -1"));
	git("commit", "--quiet", "--all", "--message", "looser");
	const inputs = { experiments: "experiments/first.yaml", since: "", image: "", token: "", author: BOT };
	const environment = { GITHUB_EVENT_PATH: event };
	await writeFile(event, JSON.stringify({ before }));
	const pushed = await runAction("plan", { workspace, inputs, environment });
	const [file] = JSON.parse(pushed.outputs["plans"]!) as string[];
	expect((await readDocument("plan", file!)).policy.rules).toMatchObject([{ bound: "min", value: 0 }]);
	await writeFile(event, JSON.stringify({ before: "f".repeat(40) }));
	expect((await runAction("plan", { workspace, inputs, environment })).log).toContain("check out with fetch-depth: 0");
	await writeFile(event, JSON.stringify({ pull_request: { user: { login: "ann" } } }));
	const refused = await runAction("plan", { workspace, inputs, environment });
	expect(refused).toMatchObject({ code: 1, outputs: {} });
	expect(refused.log).toContain("The input head is empty, but a pull request is judged by the gates of its base");
	await writeFile(gates, text);
	git("commit", "--quiet", "--all", "--message", "as before");
});

const opened = () => ({ pull_request: { user: { login: "ann" } } });
const PRIVATE = "bob@example.com";
const GIVEN = "bob@users.noreply.github.com";
test.each<[string, string, (commit: string) => object, string[] | undefined]>([
	["a pull request's author and whoever has committed", GIVEN, opened, ["ann", "bob"]],
	["nobody where somebody else's address tells no login", PRIVATE, opened, undefined],
	["the logins of a push", PRIVATE, (id) => ({ commits: [{ id, author: { username: "bob" } }] }), ["bob"]],
	[
		"nobody where the event names no login",
		PRIVATE,
		(id) => ({ commits: [{ id, author: { name: "Bob" } }] }),
		undefined,
	],
	["whom GitHub names, where a workflow was started for a pull request", GIVEN, () => ({ inputs: {} }), ["ann", "bob"]],
])("plan knows %s, where the base branch has waivers", async (_, email, payload, authors) => {
	const file = `experiments/of-${email.length}-${Date.now()}.yaml`;
	await writeFile(path.join(workspace, file), EXPERIMENTS.third);
	git("add", file);
	git("commit", "--quiet", "--message", "another", "--author", `Bob <${email}>`);
	const head = path.join(workspace, "head");
	await rm(head, { recursive: true, force: true });
	git("clone", "--quiet", workspace, head);
	const waiver = "{ check: { metric: miou }, model: small-line, reason: r, who: carol, until: 2026-12-31 }";
	await writeFile(path.join(workspace, "recipes/gates/waivers.yaml"), `waivers:\n  - ${waiver}\n`);
	const event = path.join(workspace, "event.json");
	await writeFile(event, JSON.stringify(payload(git("log", "-1", "--format=%H", "--", file))));
	const dispatched = "inputs" in payload("") ? { "pull-request": String(github.pullRequest), token: "bot-token" } : {};
	const inputs = { experiments: file, since: "", head: "head", image: "", author: BOT, ...dispatched };
	const environment = {
		GITHUB_EVENT_PATH: event,
		GITHUB_SHA: github.sha,
		GITHUB_API_URL: github.url,
		GITHUB_REPOSITORY: github.repository,
	};
	const planned = await runAction("plan", { workspace, inputs, environment });
	expect(planned).toMatchObject({ code: 0, annotations: [] });
	const [planFile] = JSON.parse(planned.outputs["plans"]!) as string[];
	const { experiment, policy } = await readDocument("plan", planFile!);
	expect(experiment.authors).toEqual(authors);
	expect(policy.waivers?.entries).toMatchObject([{ who: "carol", slice: null, line: 2 }]);
});

test("plan refuses a head that brings what a machine keeps, before anything of it is read", async () => {
	const head = path.join(workspace, "head");
	await rm(head, { recursive: true, force: true });
	git("clone", "--quiet", workspace, head);
	for (const name of [".proving-ground/registry/small-line/v1/entry.json", ".venv/bin/python"]) {
		await mkdir(path.dirname(path.join(head, name)), { recursive: true });
		await writeFile(path.join(head, name), "mine");
	}
	execFileSync("git", ["-C", head, "add", "--force", "."]);
	const author = ["-c", "user.name=eve", "-c", "user.email=eve@example.com"];
	execFileSync("git", ["-C", head, ...author, "commit", "--quiet", "--message", "state"]);
	const inputs = { experiments: "experiments/third.yaml", since: "", head: "head" };
	const ran = await runAction("plan", { workspace, inputs });
	expect(ran).toMatchObject({ code: 1, outputs: {} });
	expect(ran.annotations).toEqual([
		expect.stringContaining("::error::The commit HEAD has .proving-ground, .venv, where a machine keeps its own state"),
	]);
});

test("a runner that would keep its state in the checkout is refused, and a hosted one keeps none", async () => {
	const config = path.join(workspace, ".github/proving-ground.yaml");
	const text = await readFile(config, "utf8");
	const inputs = { experiments: "experiments/first.yaml", since: "", "from-reports": "true" };
	const states = { ".proving-ground": "state", "../workspace/kept": "state", "~/workspace/.pg": "state" };
	for (const [state, key] of Object.entries(states)) {
		await writeFile(config, text.replace("../state", state));
		const ran = await runAction("plan", { workspace, inputs, environment: { HOME: machine } });
		expect(ran.annotations).toEqual([
			`::error::.github/proving-ground.yaml: ${key}: found ${state}, which lies in the runner's checkout, where a pull request's files could replace what is kept. Name a folder outside of it, such as ~/proving-ground.`,
		]);
	}
	await writeFile(config, `${text}store: { folder: ../workspace/store }\n`);
	expect((await runAction("plan", { workspace, inputs })).annotations[0]).toContain("store.folder: found ../workspace");
	await writeFile(config, text.replace("../state", ".proving-ground"));
	const hosted = await runAction("plan", { workspace, inputs, environment: { RUNNER_ENVIRONMENT: "github-hosted" } });
	expect(hosted).toMatchObject({ code: 0, annotations: [] });
	expect(existsSync(path.join(machine, "temporary/proving-ground/data/mini/slices.yaml"))).toBe(true);
	expect(existsSync(path.join(workspace, ".proving-ground"))).toBe(false);
	await writeFile(config, text);
});
