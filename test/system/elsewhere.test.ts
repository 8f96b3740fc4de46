// Another repository, made of exactly the files that the guide to actions names, from a pull request to production
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { runAction } from "../actions/runner.ts";
import { checkRequest } from "../contract/github/operations.ts";
import { SOAK } from "../soak.ts";
import type { Run } from "./act.ts";
import {
	commentEvent,
	dispatchEvent,
	type Event,
	formEvent,
	pullRequestEvent,
	pushEvent,
	scheduleEvent,
} from "./github/events.ts";
import { BOT } from "./github-server.ts";
import { repository } from "./project.ts";
import { openRepository, type Place } from "./repository.ts";

const guide = readFileSync(path.join(repository, "actions/README.md"), "utf8");
const section = /^## Start in your own repository.*?(?=^## |(?![\s\S]))/ms.exec(guide)![0];
/** The files by their path: each block's first line is its name. */
const files = Object.fromEntries(
	[...section.matchAll(/^```yaml\n(# (\S+)\n.*?)^```$/gms)].map(([, text, name]) => [name!, text!]),
);
const runner = /`PROVING_GROUND_RUNNER` = `([^`]+)`/.exec(section)![1]!;
const { version } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as { version: string };
const project = `OWNER/proving-ground@v${version}`;
/** What calls the workflows of this repository, in place of the copied ones. */
const isCaller = (name: string) => name.startsWith(".github/workflows/");
const EXPERIMENT = "experiments/first.yaml";

/** The workflow files that the guide's command writes, at the tag that the guide names. */
async function copiedWorkflows(): Promise<Record<string, string>> {
	const folder = await mkdtemp(path.join(tmpdir(), "copied-"));
	const command = /^node \.\.\/proving-ground\/(\S+) (workflows)$/m.exec(section)!.slice(1);
	const args = ["--repository", "OWNER/proving-ground", "--ref", `v${version}`];
	execFileSync(process.execPath, [path.join(repository, command[0]!), command[1]!, ...args], { cwd: folder });
	const names = globSync(".github/workflows/*", { cwd: folder });
	const copied = names.map((name) => [name, readFileSync(path.join(folder, name), "utf8")]);
	await rm(folder, { recursive: true });
	return Object.fromEntries(copied);
}

/** The files with the state folder of a machine, but those that call workflows. */
function filesOn(home: string): Record<string, string> {
	const python = path.join(repository, ".venv/bin/python");
	const places: [from: string, to: string][] = [["state: ~/proving-ground", `python: ${python}\nstate: ${home}`]];
	const swap = (text: string) => places.reduce((swapped, [from, to]) => swapped.replaceAll(from, to), text);
	const own = Object.entries(files).filter(([name]) => !isCaller(name));
	return Object.fromEntries(own.map(([name, text]) => [name, swap(text)]));
}

async function writeFiles(folder: string, written: Record<string, string>): Promise<void> {
	for (const [name, text] of Object.entries(written)) {
		await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
		await writeFile(path.join(folder, name), text);
	}
}

/** What takes minutes of workflow runs: in the soak, after all that stands before it. */
const rarely = test.runIf(SOAK);

let place: Place;
beforeAll(async () => {
	place = await openRepository(
		async ({ home }) => {
			const { [EXPERIMENT]: _, ...rest } = filesOn(home);
			// Pages are GitHub's own: nothing stands in for them.
			const { ".github/workflows/pages.yml": _pages, ...workflows } = await copiedWorkflows();
			return { ...rest, ...workflows };
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

/** The check that a rule can require, as GitHub shows it: the last made. */
const required = async (sha: string) => {
	interface Check {
		id: number;
		name: string;
		status: string;
		conclusion: string | null;
	}
	const { check_runs } = await get<{ check_runs: Check[] }>(`commits/${sha}/check-runs`);
	const [last] = check_runs.filter(({ name }) => name === "proving-ground").sort((a, b) => b.id - a.id);
	return last ? { status: last.status, conclusion: last.conclusion } : null;
};

let first: { number: number; sha: string };

test("has experiments, recipes and copied workflow files, and neither trainer nor actions", () => {
	const listed = place.origin.git("ls-tree", "-r", "--name-only", "main").split("\n");
	expect(new Set(listed.map((file) => file.split("/")[0]))).toEqual(new Set([".github", "recipes"]));
	expect(listed.filter((file) => file.startsWith(".github/"))).toEqual([
		".github/proving-ground.yaml",
		".github/workflows/command.yml",
		".github/workflows/experiment.yml",
		".github/workflows/follow.yml",
		".github/workflows/policy.yml",
		".github/workflows/promote.yml",
		".github/workflows/propose.yml",
		".github/workflows/required.yml",
	]);
});

rarely("plans, trains, judges and shows the experiment of its pull request", async () => {
	const sha = await place.origin.commit("first", { [EXPERIMENT]: filesOn(place.home)[EXPERIMENT]! });
	first = { sha, number: (await place.origin.open("first")).number };
	const opened = await pullRequestEvent(place.github, first.number, "opened");
	const asked = await place.run("required.yml", opened);
	expect(conclusions(asked), asked.log).toEqual({ ask: "success", answer: "skipped" });
	expect(await required(sha)).toEqual({ status: "queued", conclusion: null });
	const ran = await place.run("experiment.yml", opened);
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
	const shown = (await get<{ check_runs: { name: string }[] }>(`commits/${sha}/check-runs`)).check_runs;
	expect(shown.filter(({ name }) => name !== "proving-ground")).toMatchObject([
		{ name: "proving-ground / first", status: "completed", conclusion: "success" },
	]);
	expect(await required(sha)).toEqual({ status: "completed", conclusion: "success" });
	expect((await get<{ name: string }[]>(`issues/${first.number}/labels`)).map(({ name }) => name).sort()).toEqual([
		"line:perception",
		"model:passed",
	]);
});

/** What GitHub sends of a form in which nothing was filled in. */
const UNTOUCHED = { "pull-request": "", stop: "false", explain: "" };

rarely("brings the required check up to date by follow, where it was written after the verdict", async () => {
	const late = {
		name: "proving-ground",
		head_sha: first.sha,
		status: "queued",
		output: { title: "0 of 1 experiment passed", summary: "" },
	};
	await place.github.call("POST", "/repos/ann/road/check-runs", late, "bot-token");
	expect(await required(first.sha)).toEqual({ status: "queued", conclusion: null });
	const asked = await formEvent(place.github, { ...UNTOUCHED, "pull-request": String(first.number) }, "ann");
	expect(conclusions(await place.run("follow.yml", asked))).toEqual({ follow: "success" });
	expect(await required(first.sha)).toEqual({ status: "completed", conclusion: "success" });
});

rarely("promotes it when it is merged, with a tag, a record and an event", async () => {
	const before = place.origin.sha("main");
	const after = await place.origin.merge(first.number);
	const ran = await place.run("promote.yml", await pushEvent(place.github, place.origin, before, after));
	expect(conclusions(ran), ran.log).toEqual({ settle: "success" });
	expect(place.origin.git("tag", "--list", "model/*", "--format=%(refname:short) %(objectname)")).toBe(
		`model/perception/v1 ${after}`,
	);
	expect((await comments())[0]!.body).toContain("Promoted as v1.");
	expect(place.github.actions.dispatches).toMatchObject([{ event_type: "model.promoted" }]);
	expect(await get<object[]>("pulls?state=open")).toMatchObject([{ title: "Record perception v1" }]);
});

rarely(
	"answers a command by its workflow of that name, and follows, promotes and proposes when it is time",
	async () => {
		const done = async (workflow: string, event: Event) => conclusions(await place.run(workflow, event));
		const promoted = await dispatchEvent(place.github, "model.promoted", { model: "perception", version: 1 }, BOT);
		expect(await done("follow.yml", promoted)).toEqual({ follow: "success" });
		expect(await done("promote.yml", await scheduleEvent(place.github, "17 5 * * *"))).toEqual({ settle: "success" });
		expect(await done("propose.yml", await scheduleEvent(place.github, "17 3 * * *"))).toEqual({ propose: "success" });
		const said = { body: "/explain miou overall" };
		const written = await place.github.call<{ id: number }>(
			"POST",
			`/repos/ann/road/issues/${first.number}/comments`,
			said,
		);
		const asked = await commentEvent(place.github, first.number, written, "ann");
		expect(await done("command.yml", asked)).toEqual({ command: "success" });
		const started = place.github.actions.dispatches.at(-1);
		expect(started).toMatchObject({ kind: "workflow_dispatch", workflow: "follow.yml" });
		const { inputs } = started as { inputs: Record<string, string> };
		expect(inputs).toEqual({ "pull-request": String(first.number), explain: "miou overall" });
		expect(await done("follow.yml", await formEvent(place.github, inputs, BOT))).toEqual({ follow: "success" });
		expect(await done("follow.yml", await formEvent(place.github, UNTOUCHED, "ann"))).toEqual({ follow: "success" });
		expect((await comments()).at(-1)!.body).toContain(" at `recipes/gates/perception.yaml`, line 5");
	},
);

rarely(
	"has one check to require, of pull requests without an experiment, of forks and of merge queues too",
	async () => {
		const open = async (branch: string, file: string, fork: boolean) => {
			const sha = await place.origin.commit(branch, { [file]: filesOn(place.home)[EXPERIMENT]! }, { fork });
			const { number } = await place.origin.open(branch, { fork });
			const ran = await place.run("required.yml", await pullRequestEvent(place.github, number, "opened"));
			return { jobs: conclusions(ran), check: await required(sha) };
		};
		const green = { status: "completed", conclusion: "success" };
		expect(await open("words", "docs/words.md", false)).toMatchObject({
			jobs: { ask: "success", answer: "skipped" },
			check: green,
		});
		expect(await open("their-words", "docs/theirs.md", true)).toMatchObject({
			jobs: { ask: "skipped", answer: "success" },
			check: null,
		});
		const theirs = await open("theirs", "experiments/theirs.yaml", true);
		// What it says is tested where it's said: on a busy machine act loses lines of a step that fails.
		expect(theirs).toMatchObject({ jobs: { ask: "skipped", answer: "failure" }, check: null });
		const push = await scheduleEvent(place.github, "");
		const queued = await place.run("required.yml", { ...push, name: "merge_group" });
		expect(conclusions(queued), queued.log).toEqual({ ask: "skipped", answer: "success" });
	},
);

test("names a job as the required check only where the job is the check: GitHub takes a skipped one for a success", () => {
	const text = readFileSync(path.join(repository, "actions/workflows/required.yml"), "utf8");
	const { on, jobs } = parse(text) as { on: object; jobs: Record<string, { name: string; if: string }> };
	expect(on).toEqual({ pull_request: { branches: ["main"] }, merge_group: null });
	expect(jobs["ask"]!.name).not.toContain("proving-ground");
	expect(jobs["answer"]!.name).toBe(`\${{ (${jobs["answer"]!.if}) && 'proving-ground' || 'Forks and queues' }}`);
});

rarely("plans with the action alone too, as the action's README says", async () => {
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

rarely("shows all its models as a page, once the record is merged", async () => {
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
	.filter(isCaller)
	.flatMap((name) => Object.values((parse(files[name]!) as Caller).jobs));

test.each(calls)(
	"grants $uses, where it is called, what its jobs ask for, and no more: GitHub starts none that asks for more",
	(call) => {
		const [name, called] = /^OWNER\/proving-ground\/(\.github\/workflows\/\w+\.yml)@(.+)$/.exec(call.uses)!.slice(1);
		expect(called).toBe(`v${version}`);
		const workflow = parse(readFileSync(path.join(repository, name!), "utf8")) as Caller & { on: object };
		expect(workflow.on).toHaveProperty("workflow_call");
		const wanted: Record<string, string> = {};
		for (const { permissions } of Object.values(workflow.jobs))
			for (const [right, level] of Object.entries(permissions)) if (wanted[right] !== "write") wanted[right] = level;
		expect(call.permissions).toEqual(wanted);
	},
);

test("names for each file a schema that is there, at the same tag", () => {
	const schemas = [...section.matchAll(/\$schema=(\S+)/g)].map(([, url]) => url!);
	expect(schemas).toHaveLength(Object.keys(files).length - 2);
	const at = `https://raw.githubusercontent.com/OWNER/proving-ground/v${version}/`;
	for (const url of schemas) {
		expect(url.startsWith(at), url).toBe(true);
		expect(existsSync(path.join(repository, url.slice(at.length))), url).toBe(true);
	}
});

test("may call workflows by files that actionlint finds nothing in", async () => {
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
