// The propose action
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type GitHubServer, startGitHub } from "../system/github-server.ts";
import { makeProject } from "../system/project.ts";
import { type Ran, runAction } from "./runner.ts";

const experiment = "{ model: small-line, recipe: mini, data: mini, machine: here, gates: lenient, why: keeping up }";
const fresh = `description: What was published
on: { event: dataset.published, data: mini }
experiment: ${experiment}
`;

let github: GitHubServer;
let workspace: string;

beforeEach(async () => {
	github = await startGitHub();
	workspace = await makeProject({
		"recipes/proposals/fresh.yaml": fresh,
		// Nothing is imported here, so the cost can't be known.
		".github/proving-ground.yaml":
			"store: { folder: store }\nregistry: { folder: registry }\njobs: jobs\npython: there/is/none\n",
	});
});
afterEach(async () => {
	await github.close();
	await rm(workspace, { recursive: true });
});

async function propose(event: string, payload: object, changes: Record<string, string> = {}): Promise<Ran> {
	const file = path.join(workspace, "event.json");
	await writeFile(file, JSON.stringify(payload));
	return runAction("propose", {
		workspace,
		inputs: { token: "ann-token", author: "ann", base: "", dispatch: "false", "max-open": "10", ...changes },
		environment: {
			GITHUB_EVENT_NAME: event,
			GITHUB_EVENT_PATH: file,
			GITHUB_REF_NAME: "main",
			GITHUB_API_URL: github.url,
			GITHUB_REPOSITORY: github.repository,
		},
	});
}

interface Pull {
	title: string;
	body: string;
	head: { ref: string };
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
	const again = await propose("repository_dispatch", published);
	expect(again).toMatchObject({ code: 0, outputs: { proposed: "[]" } });

	const opened = await proposals();
	expect(opened.map(({ title, head, base }) => [title, head.ref, base.ref])).toEqual([
		["fresh: small-line on mini at v3", branch, "main"],
	]);
	expect(opened[0]!.body).toContain("The event `dataset.published`: `mini` at `v3`.");
	expect(opened[0]!.body).toContain("there/is/none: the trainer's Python can't be started");
	const where = `/repos/${github.repository}/contents/experiments/${branch.replace("propose/", "")}.yaml?ref=${branch}`;
	const { content } = await github.call<{ content: string }>("GET", where);
	expect(Buffer.from(content, "base64").toString()).toContain("model: small-line\n");
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
		"::error file=recipes/proposals/fresh.yaml,line=2,col=39::on.data: found other, and the experiment trains on mini; write that",
	]);
});
