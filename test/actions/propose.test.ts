// The propose action
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import type { Permissions } from "../system/github/permissions.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";
import { makeProject, repository } from "../system/project.ts";
import { type Ran, runAction } from "./runner.ts";

const experiment = "{ model: small-line, recipe: mini, data: mini, machine: here, gates: lenient, why: keeping up }";
const fresh = `description: What was published
on: { event: dataset.published, data: mini }
experiment: ${experiment}
`;

let github: GitHubServer;
let workspace: string;

beforeEach(async () => {
	github = await startGitHub({ opened: false });
	github.grant("1", "propose", await documentedPermissions());
	const content = Buffer.from("on: { workflow_dispatch: { inputs: { pull-request: { required: true } } } }\n");
	await github.call("PUT", `/repos/${github.repository}/contents/.github/workflows/experiment.yml`, {
		message: "The workflow of experiments",
		content: content.toString("base64"),
	});
	workspace = await makeProject({
		"recipes/proposals/fresh.yaml": fresh,
		// Nothing is imported here, so the cost can't be known.
		".github/proving-ground.yaml": "state: .proving-ground\npython: there/is/none\n",
	});
});
afterEach(async () => {
	await github.close();
	for (const folder of [workspace, `${workspace}-temporary`]) await rm(folder, { recursive: true, force: true });
});

/** What the workflow to copy grants. */
async function documentedPermissions(): Promise<Permissions> {
	const text = await readFile(path.join(repository, "actions/propose/README.md"), "utf8");
	const workflow = parse(/^name: propose[\s\S]*?(?=^```)/m.exec(text)![0]) as {
		jobs: { propose: { permissions: Permissions } };
	};
	return workflow.jobs.propose.permissions;
}

async function propose(event: string, payload: object, changes: Record<string, string> = {}): Promise<Ran> {
	const file = path.join(workspace, "event.json");
	await writeFile(file, JSON.stringify(payload));
	return runAction("propose", {
		workspace,
		inputs: { token: "bot-token", author: BOT, base: "", dispatch: "true", "max-open": "10", ...changes },
		environment: {
			RUNNER_ENVIRONMENT: "github-hosted",
			RUNNER_TEMP: `${workspace}-temporary`,
			GITHUB_EVENT_NAME: event,
			GITHUB_EVENT_PATH: file,
			GITHUB_REF_NAME: "main",
			GITHUB_API_URL: `${github.url}/_run/1/propose`,
			GITHUB_REPOSITORY: github.repository,
		},
	});
}

interface Pull {
	number: number;
	labels: { name: string }[];
	title: string;
	body: string;
	head: { ref: string; sha: string };
	base: { ref: string };
}

async function proposals(): Promise<Pull[]> {
	const pulls = await github.call<Pull[]>("GET", `/repos/${github.repository}/pulls?state=all`);
	return pulls.filter(({ head }) => head.ref.startsWith("propose/"));
}

const published = { action: "dataset.published", client_payload: { data: "mini", revision: "v3" } };

test("opens one pull request with the experiment, however often the event comes", async () => {
	const first = await propose("repository_dispatch", published);
	expect(first).toMatchObject({ code: 0, annotations: [], outputs: { waiting: "[]" } });
	const [{ tick, branch }] = JSON.parse(first.outputs["proposed"]!);
	expect(tick).toBe("fresh/mini@v3");
	const opened = await proposals();
	expect(opened.map(({ title, head, base }) => [title, head.ref, base.ref])).toEqual([
		["fresh: small-line on mini at v3", branch, "main"],
	]);
	expect(opened[0]!.body).toContain("The event `dataset.published`: `mini` at `v3`.");
	expect(opened[0]!.body).toContain("the trainer's Python can't be started (ENOENT)");
	const number = String(opened[0]!.number);
	expect(github.actions.dispatches).toMatchObject([
		{ kind: "workflow_dispatch", by: BOT, workflow: "experiment.yml", ref: branch, inputs: { "pull-request": number } },
	]);
	// What was started there has a check run by now.
	const check = { name: "model / fresh", head_sha: opened[0]!.head.sha };
	await github.call("POST", `/repos/${github.repository}/check-runs`, check, "bot-token");
	const again = await propose("repository_dispatch", published);
	expect(again).toMatchObject({ code: 0, outputs: { proposed: "[]" } });
	expect(github.actions.dispatches).toHaveLength(1);
	expect(await proposals()).toHaveLength(1);

	const where = `/repos/${github.repository}/contents/experiments/${branch.replace("propose/", "")}.yaml?ref=${branch}`;
	const { content } = await github.call<{ content: string }>("GET", where);
	expect(Buffer.from(content, "base64").toString()).toContain("model: small-line\n");
});

test("needs every permission of the workflow to copy, and no other", async () => {
	const granted = await documentedPermissions();
	const own = parse(await readFile(path.join(repository, ".github/workflows/propose.yml"), "utf8"));
	expect(own.jobs.propose.permissions).toEqual(granted);
	// The checks are looked at where a pull request is open already.
	await propose("repository_dispatch", published);
	github.writes();
	for (const name of Object.keys(granted)) {
		// Since a run before this has made it.
		if (name === "issues") await github.call("DELETE", `/repos/${github.repository}/labels/proposed`);
		github.grant("1", "propose", { ...granted, [name]: "none" });
		const { client_payload } = published;
		const ran = await propose("repository_dispatch", {
			...published,
			client_payload: { ...client_payload, revision: `no-${name}` },
		});
		// Without its label a proposal is opened all the same, and that is told.
		const expected = name === "issues" ? 0 : 1;
		expect([name, ran.code, ran.annotations.join()]).toEqual([name, expected, expect.stringContaining("403")]);
	}
});

test("opens each tick of a schedule, and leaves for later what has to wait", async () => {
	const since = new Date(Date.now() - 2 * 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
	const nightly = `description: Each night\non: { schedule: nightly, since: ${since} }\nmax_open: 2\nexperiment: ${experiment}\n`;
	await writeFile(path.join(workspace, "recipes/proposals/nightly.yaml"), nightly);
	const ran = await propose("schedule", { schedule: "17 3 * * *" });
	expect(ran.code).toBe(0);
	expect(JSON.parse(ran.outputs["proposed"]!)).toHaveLength(2);
	expect(JSON.parse(ran.outputs["waiting"]!).length).toBeGreaterThanOrEqual(1);
	expect(await proposals()).toHaveLength(2);
});

test.each([
	[
		"a payload that commands",
		"repository_dispatch",
		{ ...published, client_payload: { data: "mini\n::error::x", revision: "v3" } },
	],
	[
		"a form that says something else",
		"workflow_dispatch",
		{ inputs: { event: "dataset.published", data: "mini", revision: "a b" } },
	],
])("refuses %s with one annotation, and writes nothing", async (_, event, payload) => {
	github.writes();
	const ran = await propose(event, payload);
	expect(ran.code).toBe(1);
	expect(ran.annotations).toHaveLength(1);
	expect(ran.annotations[0]).toMatch(/^::error::dataset\.published: (data|revision): found "/);
	expect(github.writes()).toEqual([]);
});

test("says what is wrong with a proposal on its own line", async () => {
	await writeFile(path.join(workspace, "recipes/proposals/fresh.yaml"), fresh.replace("data: mini }", "data: other }"));
	const ran = await propose("schedule", {});
	expect(ran.annotations).toEqual([
		"::error file=recipes/proposals/fresh.yaml,line=2,col=39::on.data: found other; it must be mini, which the experiment trains on",
	]);
});
