// Another repository, made of exactly the files that the guide to actions names, from a pull request to production
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { runAction } from "../actions/runner.ts";
import { checkRequest } from "../contract/github/operations.ts";
import type { Run } from "./act.ts";
import { commentEvent, dispatchEvent, formEvent, pullRequestEvent, pushEvent, scheduleEvent } from "./github/events.ts";
import { BOT } from "./github-server.ts";
import { repository } from "./project.ts";
import { openRepository, type Place, workflowFiles } from "./repository.ts";

const guide = readFileSync(path.join(repository, "actions/README.md"), "utf8");
const section = /^## Start in your own repository.*?(?=^## |(?![\s\S]))/ms.exec(guide)![0];
/** The files by their path: each block's first line is its name. */
const files = Object.fromEntries(
	[...section.matchAll(/^```yaml\n(# (\S+)\n.*?)^```$/gms)].map(([, text, name]) => [name!, text!]),
);
const runner = /`PROVING_GROUND_RUNNER` = `([^`]+)`/.exec(section)![1]!;
const { version } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as { version: string };
const project = `OWNER/proving-ground@v${version}`;
const EXPERIMENT = "experiments/first.yaml";

/** The files with the state folder of a machine. */
function filesOn(home: string): Record<string, string> {
	const python = path.join(repository, ".venv/bin/python");
	const places: [from: string, to: string][] = [["state: ~/proving-ground", `python: ${python}\nstate: ${home}`]];
	const swap = (text: string) => places.reduce((swapped, [from, to]) => swapped.replaceAll(from, to), text);
	return Object.fromEntries(Object.entries(files).map(([name, text]) => [name, swap(text)]));
}

async function writeFiles(folder: string, written: Record<string, string>): Promise<void> {
	for (const [name, text] of Object.entries(written)) {
		await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
		await writeFile(path.join(folder, name), text);
	}
}

let place: Place;
beforeAll(async () => {
	place = await openRepository(
		async ({ home, self }) => {
			await writeFiles(self, await workflowFiles());
			const { [EXPERIMENT]: _, ...rest } = filesOn(home);
			return rest;
		},
		({ self }) => ({ repositories: { [project]: self }, vars: { PROVING_GROUND_RUNNER: runner } }),
	);
});
afterAll(() => place.close());

const get = <T>(route: string) => place.github.call<T>("GET", `/repos/ann/road/${route}`);
const conclusions = (ran: Run) => Object.fromEntries(ran.jobs.map(({ id, conclusion }) => [id, conclusion]));
const comments = async () =>
	(await get<{ body: string; user: { login: string } }[]>(`issues/${first.number}/comments`)).filter(
		({ user }) => user.login === BOT,
	);

let first: { number: number; sha: string };

test("has experiments, recipes and two workflow files, and neither trainer nor actions", () => {
	const listed = place.origin.git("ls-tree", "-r", "--name-only", "main").split("\n");
	expect(new Set(listed.map((file) => file.split("/")[0]))).toEqual(new Set([".github", "recipes"]));
	expect(listed.filter((file) => file.startsWith(".github/"))).toEqual([
		".github/proving-ground.yaml",
		".github/workflows/experiment.yml",
		".github/workflows/follow.yml",
	]);
});

test("plans, trains, judges and shows the experiment of its pull request", async () => {
	const sha = await place.origin.commit("first", { [EXPERIMENT]: filesOn(place.home)[EXPERIMENT]! });
	first = { sha, number: (await place.origin.open("first")).number };
	const ran = await place.run("experiment.yml", await pullRequestEvent(place.github, first.number, "opened"));
	expect(conclusions(ran), ran.log).toEqual({
		plan: "success",
		approval: "success",
		show: "success",
		lost: "skipped",
		refuse: "skipped",
		train: "success",
		tidy: "skipped",
	});
	const [only, ...more] = await comments();
	expect(more).toEqual([]);
	expect(only!.body).toContain("✅ `first` passed 1 of 1 check; there is no production model yet");
	expect((await get<{ check_runs: object[] }>(`commits/${sha}/check-runs`)).check_runs).toMatchObject([
		{ name: "proving-ground / first", status: "completed", conclusion: "success" },
	]);
	expect((await get<{ name: string }[]>(`issues/${first.number}/labels`)).map(({ name }) => name).sort()).toEqual([
		"line:perception",
		"model:passed",
	]);
});

/** What GitHub sends of a form in which nothing was filled in. */
const UNTOUCHED = { "pull-request": "", stop: "false", explain: "" };

const others = { follow: "skipped", settle: "skipped", propose: "skipped", command: "skipped" };

test("promotes it when it is merged, with a tag, a record and an event", async () => {
	const before = place.origin.sha("main");
	const after = await place.origin.merge(first.number);
	const ran = await place.run("follow.yml", await pushEvent(place.github, place.origin, before, after));
	expect(conclusions(ran), ran.log).toEqual({ ...others, follow: "success", settle: "success" });
	expect(place.origin.git("tag", "--list", "model/*", "--format=%(refname:short) %(objectname)")).toBe(
		`model/perception/v1 ${after}`,
	);
	expect((await comments())[0]!.body).toContain("Promoted as v1.");
	expect(place.github.actions.dispatches).toMatchObject([{ event_type: "model.promoted" }]);
	expect(await get<object[]>("pulls?state=open")).toMatchObject([{ title: "Record perception v1" }]);
});

test("runs of its second file on each event what the event is for", async () => {
	const scheduled = async (cron: string) =>
		conclusions(await place.run("follow.yml", await scheduleEvent(place.github, cron)));
	const crons = (parse(files[".github/workflows/follow.yml"]!) as { on: { schedule: { cron: string }[] } }).on.schedule;
	expect(await scheduled(crons[0]!.cron)).toEqual({ ...others, follow: "success" });
	const promoted = await dispatchEvent(place.github, "model.promoted", { model: "perception", version: 1 }, BOT);
	expect(conclusions(await place.run("follow.yml", promoted))).toEqual({ ...others, follow: "success" });
	expect(await scheduled(crons[1]!.cron)).toEqual({ ...others, settle: "success", propose: "success" });
	const said = { body: "/explain miou overall" };
	const written = await place.github.call<{ id: number }>(
		"POST",
		`/repos/ann/road/issues/${first.number}/comments`,
		said,
	);
	const answered = await place.run("follow.yml", await commentEvent(place.github, first.number, written, "ann"));
	expect(conclusions(answered)).toEqual({ ...others, command: "success" });
	const started = place.github.actions.dispatches.at(-1);
	expect(started).toMatchObject({ kind: "workflow_dispatch", workflow: "follow.yml" });
	const { inputs } = started as { inputs: Record<string, string> };
	expect(inputs).toEqual({ "pull-request": String(first.number), explain: "miou overall" });
	const explained = await place.run("follow.yml", await formEvent(place.github, inputs, BOT));
	expect(conclusions(explained)).toEqual({ ...others, follow: "success" });
	const byHand = await place.run("follow.yml", await formEvent(place.github, UNTOUCHED, "ann"));
	expect(conclusions(byHand)).toEqual({ ...others, follow: "success", settle: "success", propose: "success" });
	expect((await comments()).at(-1)!.body).toContain(" at `recipes/gates/perception.yaml`, line 5");
});

test("plans with the action alone too, as the action's README says", async () => {
	const text = readFileSync(path.join(repository, "actions/plan/README.md"), "utf8");
	const [, workflow] = /^```yaml\n(name: experiment\n.*?)^```$/ms.exec(text)!;
	const experiment = filesOn(place.home)[EXPERIMENT]!;
	await place.origin.commit("alone", {
		".github/workflows/plan.yml": workflow!,
		"experiments/second.yaml": `${experiment}seed: 1\n`,
	});
	const { number } = await place.origin.open("alone");
	const ran = await place.run("plan.yml", await pullRequestEvent(place.github, number, "opened"));
	expect(conclusions(ran), ran.log).toEqual({ plan: "success" });
	expect(ran.job("plan").step("plan").summary).toContain("`second` is planned");
});

test("shows all its models as a page, once the record is merged", async () => {
	const folder = await mkdtemp(path.join(tmpdir(), "pages-"));
	place.origin.git("worktree", "add", "--quiet", "--detach", folder, "proving-ground/record/perception-v1");
	const drawn = await runAction("pages", { workspace: folder });
	expect(drawn, drawn.log).toMatchObject({ code: 0, annotations: [], outputs: { reports: "1" } });
	expect(readFileSync(drawn.outputs["page"]!, "utf8")).toContain('<a href="first/index.html">first</a>');
	await rm(folder, { recursive: true });
});

test("is planned on a runner of GitHub's own, which keeps no state", async () => {
	const folder = await mkdtemp(path.join(tmpdir(), "hosted-"));
	const workspace = path.join(folder, "workspace");
	await writeFiles(workspace, files);
	// What `setup` installs there for a plan has no torch.
	const python = `PYTHONPATH="$PYTHONPATH:${folder}/without" exec ${path.join(repository, ".venv/bin/python")} "$@"\n`;
	await writeFiles(folder, {
		"temporary/proving-ground/venv/bin/python": `#!/bin/sh\n${python}`,
		"without/torch.py": "raise ModuleNotFoundError(\"No module named 'torch'\")\n",
	});
	await chmod(path.join(folder, "temporary/proving-ground/venv/bin/python"), 0o755);
	const inputs = { experiments: EXPERIMENT, since: "", "from-reports": "true" };
	// Nobody can make a folder in that home, root neither.
	const own = {
		RUNNER_ENVIRONMENT: "github-hosted",
		RUNNER_TEMP: path.join(folder, "temporary"),
		HOME: "/proc/nobody",
	};
	const planned = await runAction("plan", { workspace, inputs, environment: own });
	expect(planned, planned.log).toMatchObject({ code: 0, annotations: [], outputs: { count: "1" } });
	await rm(folder, { recursive: true });
});

interface Caller {
	jobs: Record<string, { uses: string; permissions: Record<string, string> }>;
}
const calls = Object.keys(files)
	.filter((name) => name.startsWith(".github/workflows/"))
	.flatMap((name) => Object.values((parse(files[name]!) as Caller).jobs));

test.each(calls)("grants $uses what its jobs ask for, and no more: GitHub starts none that asks for more", (call) => {
	const [name, called] = /^OWNER\/proving-ground\/(\.github\/workflows\/\w+\.yml)@(.+)$/.exec(call.uses)!.slice(1);
	expect(called).toBe(`v${version}`);
	const workflow = parse(readFileSync(path.join(repository, name!), "utf8")) as Caller & { on: object };
	expect(workflow.on).toHaveProperty("workflow_call");
	const wanted: Record<string, string> = {};
	for (const { permissions } of Object.values(workflow.jobs))
		for (const [right, level] of Object.entries(permissions)) if (wanted[right] !== "write") wanted[right] = level;
	expect(call.permissions).toEqual(wanted);
});

test("names for each file a schema that is there, at the same tag", () => {
	const schemas = [...section.matchAll(/\$schema=(\S+)/g)].map(([, url]) => url!);
	expect(schemas).toHaveLength(Object.keys(files).length - 2);
	const at = `https://raw.githubusercontent.com/OWNER/proving-ground/v${version}/`;
	for (const url of schemas) {
		expect(url.startsWith(at), url).toBe(true);
		expect(existsSync(path.join(repository, url.slice(at.length))), url).toBe(true);
	}
});

test("has workflow files that actionlint finds nothing in", async () => {
	const folder = await mkdtemp(path.join(tmpdir(), "lint-"));
	await writeFiles(folder, files);
	const linted = ["experiment.yml", "follow.yml"].map((name) => path.join(folder, ".github/workflows", name));
	expect(execFileSync(path.join(repository, ".venv/bin/actionlint"), linted, { encoding: "utf8" })).toBe("");
	await rm(folder, { recursive: true });
});

test("asks GitHub for nothing that its OpenAPI description doesn't know", () => {
	const asked = place.github.requests.filter(({ path }) => !path.startsWith("/_needs"));
	expect(asked.flatMap(checkRequest)).toEqual([]);
});
