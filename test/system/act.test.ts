// A workflow run by act against the GitHub of the tests
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkRequest } from "../contract/github/operations.ts";
import { makePlan } from "../fixtures/plan.ts";
import { runWorkflow } from "./act.ts";
import { createReader } from "./act_log.ts";
import { dispatchEvent, formEvent, pullRequestEvent, pushEvent, scheduleEvent } from "./github/events.ts";
import { createOrigin, type Origin } from "./github/origin.ts";
import { compareRights } from "./github/permissions.ts";
import { type GitHubServer, startGitHub } from "./github-server.ts";
import { copyActions } from "./repository.ts";

const checkout = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0";

const experiment = `
name: experiment
on: pull_request
permissions: {}
jobs:
  plan:
    name: Plan
    runs-on: ubuntu-latest
    permissions:
      contents: read # to check the code out
    outputs:
      plans: \${{ steps.list.outputs.plans }}
      runner: \${{ steps.list.outputs.runner }}
    steps:
      - uses: ${checkout}
        with: { persist-credentials: false, fetch-depth: 0 }
      - uses: ${checkout}
        with: { persist-credentials: false, path: head, ref: "\${{ github.event.pull_request.head.sha }}" }
      - id: list
        shell: bash
        env: { KEY: "\${{ secrets.KEY }}" }
        run: |
          echo "key=\${#KEY}" >> "$GITHUB_OUTPUT"
          echo "::warning file=experiments/b.yaml,line=2,title=slow::it %25 will%0Atake long"
          echo "# Planned" >> "$GITHUB_STEP_SUMMARY"
          echo "at=$(git rev-parse HEAD) $GITHUB_SHA $(git -C head rev-parse HEAD) $(git rev-list --count HEAD)" >> "$GITHUB_OUTPUT"
          echo 'plans=["one","two"]' >> "$GITHUB_OUTPUT"
          echo 'runner=["self-hosted","gpu"]' >> "$GITHUB_OUTPUT"
  train:
    name: Train \${{ matrix.plan }}
    needs: plan
    if: github.event.pull_request.head.repo.full_name == github.repository
    runs-on: \${{ fromJSON(needs.plan.outputs.runner) }}
    environment: training
    permissions: {}
    strategy:
      fail-fast: false
      matrix:
        plan: \${{ fromJSON(needs.plan.outputs.plans) }}
    steps:
      - id: run
        shell: bash
        env: { PLAN: "\${{ matrix.plan }}", KEY: "\${{ secrets.KEY }}", WHERE: "\${{ vars.WHERE }}" }
        run: |
          echo "trained=$PLAN \${#KEY} $WHERE" >> "$GITHUB_OUTPUT"
          echo "the key is $KEY"
          test "$PLAN" = one
  comment:
    name: Comment
    needs: [plan, train]
    if: always() && needs.plan.result == 'success'
    runs-on: ubuntu-latest
    permissions:
      contents: read # to check the code out
      pull-requests: write # to comment
      checks: write # to write the check run
      issues: read # for nothing
    steps:
      - uses: ${checkout}
        with: { persist-credentials: false }
      - id: show
        uses: $/actions/comment
        with: { plan: plan.json }
  never:
    name: Never
    if: github.event.action == 'closed'
    runs-on: ubuntu-latest
    steps:
      - run: exit 1
`;

const push = `
name: release
on:
  push:
  repository_dispatch:
  workflow_dispatch:
    inputs:
      name: { description: A name, required: true }
permissions: {}
jobs:
  record:
    name: Record
    runs-on: ubuntu-latest
    permissions:
      contents: write # to push
    steps:
      - uses: ${checkout}
      - id: push
        shell: bash
        env: { NAME: "\${{ inputs.name || github.event.client_payload.name || github.event.head_commit.author.username }}" }
        run: |
          git tag "by/$NAME"
          git push --quiet origin "by/$NAME"
`;

const outer = `
name: outer
on:
  schedule: [{ cron: "0 3 * * *" }]
  workflow_dispatch:
permissions: {}
concurrency: { group: outer, queue: max, cancel-in-progress: false }
jobs:
  call:
    name: Call
    uses: $/.github/workflows/inner.yml
    permissions:
      contents: read # to list commits
    with: { greeting: hello }
  read:
    name: Read
    needs: call
    runs-on: ubuntu-latest
    environment: { name: training, deployment: false }
    steps:
      - id: read
        shell: bash
        continue-on-error: true
        env: { SAID: "\${{ needs.call.outputs.said }}" }
        run: |
          echo "said=$SAID" >> "$GITHUB_OUTPUT"
          exit 1
`;

const inner = `
name: inner
on:
  workflow_call:
    inputs: { greeting: { type: string, required: true } }
    outputs: { said: { value: "\${{ jobs.say.outputs.said }}" } }
permissions: {}
jobs:
  say:
    name: Say
    runs-on: ubuntu-latest
    permissions:
      contents: write # more than the caller gives
    outputs: { said: "\${{ steps.say.outputs.said }}" }
    steps:
      - id: say
        shell: bash
        env: { GREETING: "\${{ inputs.greeting }}", TOKEN: "\${{ github.token }}" }
        run: |
          node -e '
            const headers = { authorization: "token " + process.env.TOKEN };
            const at = process.env.GITHUB_API_URL + "/repos/" + process.env.GITHUB_REPOSITORY;
            const read = await fetch(at + "/commits", { headers });
            const body = JSON.stringify({ event_type: "x" });
            const write = await fetch(at + "/dispatches", { method: "POST", headers, body });
            console.log("said=" + process.env.GREETING, read.status, write.status);
          ' --input-type=module >> "$GITHUB_OUTPUT"
`;

const wait = `
name: wait
on: workflow_dispatch
permissions: {}
jobs:
  wait:
    name: Wait
    runs-on: \${{ vars.RUNNER || 'ubuntu-latest' }}
    steps:
      - id: wait
        run: |
          node -e 'await fetch(process.env.GITHUB_API_URL + "/_needs/actions/read", { method: "POST" })' --input-type=module
          sleep 60
`;

let github: GitHubServer;
let origin: Origin;
let self: string;
beforeAll(async () => {
	self = await mkdtemp(path.join(tmpdir(), "self-"));
	await copyActions(self);
	github = await startGitHub({ opened: false });
	origin = await createOrigin(github, {
		".github/workflows/experiment.yml": experiment,
		".github/workflows/release.yml": push,
		".github/workflows/outer.yml": outer,
		".github/workflows/inner.yml": inner,
		".github/workflows/wait.yml": wait,
		"plan.json": JSON.stringify(makePlan()),
	});
});
afterAll(async () => {
	await origin.close();
	await github.close();
	await rm(self, { recursive: true });
});

test("runs jobs with outputs, a matrix, a check-out and an action of ours, and reads back what they said", async () => {
	const head = await origin.commit("night", { "experiments/b.yaml": "why: b\n" });
	const { number } = await origin.open("night");
	const event = await pullRequestEvent(github, number, "opened");
	const ran = await runWorkflow({
		github,
		origin,
		self,
		workflow: "experiment.yml",
		event,
		secrets: { KEY: "hush-hush" },
		vars: { WHERE: "here" },
	});
	expect(ran.jobs.map(({ id, conclusion }) => [id, conclusion]).sort()).toEqual([
		["comment", "success"],
		["never", "skipped"],
		["plan", "success"],
		["train", "failure"],
		["train", "success"],
	]);
	expect(ran.conclusion).toBe("failure");
	const list = ran.job("plan").step("list");
	const merge = origin.sha(`refs/pull/${number}/merge`);
	expect(list.outputs["at"]).toBe(`${merge} ${merge} ${head} 3`);
	expect(list.annotations).toEqual([
		{ level: "warning", message: "it % will\ntake long", file: "experiments/b.yaml", line: "2", title: "slow" },
	]);
	expect(list.summary).toBe("# Planned\n");
	expect(list.outputs["key"]).toBe("9");
	const trained = ran.jobs.filter(({ id }) => id === "train").sort((a, b) => a.name.localeCompare(b.name));
	expect(trained.map((job) => job.step("run").outputs["trained"])).toEqual(["one 9 here", "two 9 here"]);
	expect(ran.log).not.toContain("hush-hush");

	expect(ran.job("comment").step("show").outputs).toMatchObject({ comment: "created", "check-run": "created" });
	const comments = await github.call<{ body: string; user: { login: string } }[]>(
		"GET",
		`/repos/ann/road/issues/${number}/comments`,
	);
	expect(comments).toMatchObject([{ user: { login: "github-actions[bot]" } }]);
	const requests = ran.requests("comment");
	expect(requests.length).toBeGreaterThan(3);
	expect(requests.filter(({ path }) => !path.startsWith("/_needs")).flatMap(checkRequest)).toEqual([]);
	const rights = (job: string) =>
		compareRights(
			ran.requests(job).map(({ operation }) => operation!),
			ran.granted.get(job)!,
		);
	expect(rights("comment")).toEqual({
		missing: ["issues: write for POST /repos/{owner}/{repo}/labels"],
		spare: ["issues: read"],
	});
	expect(rights("plan")).toEqual({ missing: [], spare: [] });
	expect(github.actions.runs.at(-1)).toMatchObject({ conclusion: "failure", head_sha: head, event: "pull_request" });
});

test("gives a fork's pull request no secret, and a token that only reads", async () => {
	await origin.commit("theirs", { "experiments/c.yaml": "why: c\n" }, { fork: true });
	const { number } = await origin.open("theirs", { fork: true });
	const event = await pullRequestEvent(github, number, "opened", "fan");
	const ran = await runWorkflow({
		github,
		origin,
		self,
		workflow: "experiment.yml",
		event,
		secrets: { KEY: "hush-hush" },
	});
	expect(ran.job("plan").step("list").outputs["key"]).toBe("0");
	expect(ran.job("train").conclusion).toBe("skipped");
	expect(ran.job("comment").conclusion).toBe("failure");
	expect(ran.requests("comment").map(({ status }) => status)).toContain(403);
});

test("lets a job push with the credentials that its check-out kept, and tells the server", async () => {
	const before = origin.sha("main");
	const after = await origin.commit("main", { "README.md": "more\n" });
	const order = { github, origin, self, workflow: "release.yml" };
	const pushed = await runWorkflow({ ...order, event: await pushEvent(github, origin, before, after) });
	expect(pushed.conclusion).toBe("success");
	const rights = compareRights(
		pushed.requests("record").map(({ operation }) => operation!),
		pushed.granted.get("record")!,
	);
	expect(rights).toEqual({ missing: [], spare: [] });
	await runWorkflow({ ...order, event: await dispatchEvent(github, "dataset.published", { name: "data" }) });
	await runWorkflow({ ...order, event: await formEvent(github, { name: "form" }) });
	const tags = await github.call<{ ref: string; object: { sha: string } }[]>(
		"GET",
		"/repos/ann/road/git/matching-refs/tags/by/",
	);
	expect(tags.map(({ ref, object }) => [ref, object.sha])).toEqual([
		["refs/tags/by/ann", after],
		["refs/tags/by/data", after],
		["refs/tags/by/form", after],
	]);
});

test("runs a reusable workflow of the repository with no more rights than its caller has", async () => {
	const ran = await runWorkflow({
		github,
		origin,
		self,
		workflow: "outer.yml",
		event: await scheduleEvent(github, "0 3 * * *"),
	});
	expect(ran.conclusion).toBe("success");
	expect(ran.granted.get("say")).toEqual({ contents: "read" });
	expect(ran.job("read").step("read")).toMatchObject({ conclusion: "success", outputs: { said: "hello 200 403" } });
});

test("stops a run that is cancelled", async () => {
	const began = Date.now();
	const running = runWorkflow({ github, origin, self, workflow: "wait.yml", event: await formEvent(github, {}) });
	const at = "/repos/ann/road/actions";
	const inProgress = () =>
		github.call<{ workflow_runs: { id: number }[] }>("GET", `${at}/workflows/wait.yml/runs?status=in_progress`);
	await expect.poll(() => github.requests.at(-1)?.job, { timeout: 20_000 }).toBe("wait");
	const [run] = (await inProgress()).workflow_runs;
	await github.call("POST", `${at}/runs/${run!.id}/cancel`, {}, "bot-token");
	const ran = await running;
	expect(ran.conclusion).toBe("cancelled");
	expect(Date.now() - began).toBeLessThan(50_000);
});

test("fails where an output has a masked value, which GitHub drops", async () => {
	const masked = wait
		.replace(/node -e .*/, "echo '::add-mask::hush'")
		.replace("sleep 60", `echo 'plans=["hush"]' >> "$GITHUB_OUTPUT"`);
	await origin.commit("main", { ".github/workflows/masked.yml": masked });
	const order = { github, origin, self, event: await formEvent(github, {}), workflow: "masked.yml" };

	await expect(runWorkflow(order)).rejects.toThrow("GitHub drops the output plans of wait: it has a masked value");
});

test("says so where a runner or an action is missing here", async () => {
	const order = { github, origin, self, event: await formEvent(github, {}) };
	const vars = { RUNNER: "mainframe" };
	await expect(runWorkflow({ ...order, workflow: "wait.yml", vars })).rejects.toThrow("unsupported platform");
	await expect(runWorkflow({ ...order, workflow: "none.yml" })).rejects.toThrow(
		"There is no .github/workflows/none.yml",
	);
	const used = wait.replace("id: wait", "uses: some/body@0123456789012345678901234567890123456789");
	await origin.commit("main", { ".github/workflows/used.yml": used });
	await expect(runWorkflow({ ...order, workflow: "used.yml" })).rejects.toThrow("nothing stands in for it");
});

test("gives a job of a matrix its own conclusion, where act gives it that of the one that ended before", () => {
	const reader = createReader(["train"]);
	const job = (plan: string) => ({ jobID: "train", job: `w/Train ${plan}`, matrix: { plan }, level: "info" });
	const step = { stage: "Main", stepID: ["run"], step: "run" };
	reader.read(JSON.stringify({ ...job("two"), ...step, stepResult: "failure", msg: "Failure" }));
	reader.read(JSON.stringify({ ...job("two"), jobResult: "failure", msg: "Job failed" }));
	reader.read(JSON.stringify({ ...job("one"), ...step, stepResult: "success", msg: "Success" }));
	reader.read(JSON.stringify({ ...job("one"), jobResult: "failure", msg: "Job failed" }));
	expect(reader.finish(1).map(({ name, conclusion }) => [name, conclusion])).toEqual([
		["Train two", "failure"],
		["Train one", "success"],
	]);
});
