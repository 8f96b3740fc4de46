// The approval action, and the action train, which asks once more
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeDocument } from "../../actions/lib/documents.ts";
import { packPlans, runsOf } from "../../actions/lib/plan/packed_plan.ts";
import { makePlan } from "../fixtures/plan.ts";
import { TRAINING } from "../system/github/actions.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";
import { type Ran, runAction } from "./runner.ts";

const plan = makePlan();
const dearer = makePlan({ machine: { ...plan.machine, price_usd_per_hour: 100 } });
const runs = runsOf(await packPlans([plan, dearer]));

let github: GitHubServer;
let folder: string;
beforeEach(async () => {
	github = await startGitHub();
	folder = await mkdtemp(path.join(tmpdir(), "approval-"));
});
afterEach(async () => {
	await github.close();
	await rm(folder, { recursive: true });
});

/** Runs an action of the repository that is configured so, on a runner of GitHub's own. */
async function run(name: "approval" | "train", inputs: Record<string, string>, config = ""): Promise<Ran> {
	const workspace = path.join(folder, "workspace");
	await mkdir(path.join(workspace, ".github"), { recursive: true });
	await writeFile(path.join(workspace, ".github/proving-ground.yaml"), `state: ~/proving-ground\n${config}`);
	const pull = { "pull-request": String(github.pullRequest), sha: github.sha, token: "bot-token", author: BOT };
	return runAction(name, {
		workspace,
		inputs: { ...pull, ...inputs },
		environment: {
			GITHUB_API_URL: github.url,
			GITHUB_REPOSITORY: github.repository,
			RUNNER_ENVIRONMENT: "github-hosted",
			RUNNER_TEMP: path.join(folder, "temporary"),
		},
	});
}
const ask = (config?: string) => run("approval", { runs: JSON.stringify(runs) }, config);
const approve = (body: string) =>
	github.call("POST", `/repos/ann/road/issues/${github.pullRequest}/comments`, { body }, "bob-token");

test("lets all runs start where the environment's reviewers are asked", async () => {
	github.actions.environments.push(TRAINING);
	expect((await ask()).outputs).toEqual({ asked: "reviewers", runs: JSON.stringify(runs) });
});

test("lets those start that a comment approves, and tells of the others", async () => {
	await approve(`/approve ${runs[1]!.short}`);
	const ran = await ask();
	expect(ran).toMatchObject({ code: 0, annotations: [] });
	expect(ran.outputs).toEqual({ asked: "comment", runs: JSON.stringify([runs[1]]) });
	expect(ran.log).toContain(`more-night waits for an approval of its spend: comment /approve ${runs[0]!.short}`);
	expect(ran.log).not.toContain(runs[1]!.short);
});

test("lets all start where the configuration says so in so many words", async () => {
	expect((await ask("unapproved_spending: true\n")).outputs).toEqual({ asked: "nobody", runs: JSON.stringify(runs) });
	expect((await ask("unapproved_spending: false\n")).outputs).toEqual({ asked: "comment", runs: "[]" });
	const mistaken = await ask('unapproved_spending: "yes"\n');
	expect(mistaken).toMatchObject({ code: 1, outputs: {} });
	expect(mistaken.log).toContain("unapproved_spending");
});

test("lets nothing start where GitHub doesn't say whether the environment has reviewers", async () => {
	const answer = { status: 403, body: { message: "Resource not accessible by integration" } };
	github.fault({ method: "GET", path: /environments/, times: 9, worked: false, answer });
	const ran = await ask("unapproved_spending: true\n");
	expect(ran).toMatchObject({ code: 1, outputs: {} });
	expect(ran.log).toContain("could not read the environment training: 403");
});

test("is asked for once more where a training starts: what nobody has approved is refused, and nothing begins", async () => {
	const file = await writeDocument("plan", plan, path.join(folder, "plan.json"));
	const ran = await run("train", { plan: file, follow: "false" });
	expect(ran).toMatchObject({ code: 1, outputs: {} });
	expect(ran.log).toContain(`Nobody has approved plan ${runs[0]!.short}…`);
	expect(existsSync(path.join(folder, "temporary/jobs"))).toBe(false);
	expect(github.writes()).toEqual([]);
});
