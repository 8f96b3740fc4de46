// The workflow files
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { markdownTable } from "markdown-table";
import { describe, expect, test } from "vitest";
import { checkWorkflow, describeWorkflow, keepsForksOut, type Row } from "./rules.ts";

const root = path.resolve(import.meta.dirname, "../..");
const files = globSync(".github/workflows/*.yml", { cwd: root }).sort();
const read = (file: string) => readFileSync(path.join(root, file), "utf8");

test.each(files)("%s keeps the rules that GitHub doesn't enforce", (file) => {
	expect(checkWorkflow(read(file))).toEqual([]);
});

test("give each job these rights, and no other", async () => {
	const rows = files.flatMap((file) => describeWorkflow(path.basename(file), read(file)));
	const columns: [keyof Row, string][] = [
		["workflow", "workflow"],
		["job", "job"],
		["events", "runs on"],
		["condition", "if"],
		["runner", "runner"],
		["environment", "environment"],
		["concurrency", "concurrency"],
		["permissions", "token may"],
		["secrets", "secrets"],
	];
	const cell = (text: string) => text.replaceAll("|", "\\|");
	const table = markdownTable([
		columns.map(([, title]) => title),
		...rows.map((row) => columns.map(([key]) => cell(row[key]))),
	]);
	await expect(`${table}\n`).toMatchFileSnapshot("workflows.snapshot.md");
});

const expression = (text: string) => `\${{ ${text} }}`;
const good = `
name: w
on: [pull_request]
permissions: {}
concurrency: w
jobs:
  a:
    name: A
    if: github.event.pull_request.head.repo.full_name == github.repository
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions:
      contents: read # to check out
      checks: write # to write the check run
    steps:
      - uses: actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0
        with: { persist-credentials: false }
      - uses: $/actions/plan
      - run: echo "$A"
        env: { A: "${expression("secrets.A")}" }
`;

describe("a workflow file", () => {
	test("that keeps the rules is let by", () => {
		expect(checkWorkflow(good)).toEqual([]);
	});

	const condition = "if: github.event.pull_request.head.repo.full_name == github.repository";
	const step = "- uses: $/actions/plan";
	test.each<[what: string, from: string, to: string, problem: RegExp]>([
		["grants rights at the top", "permissions: {}", "permissions: { contents: read }", /at the top/],
		["leaves the top to the default", "permissions: {}\n", "", /at the top/],
		["runs on pull_request_target", "[pull_request]", "[pull_request_target]", /pull_request_target/],
		["runs after another workflow", "[pull_request]", "[workflow_run]", /workflow_run/],
		["names an action by its tag", "08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", "v5", /pinned/],
		["hides an action's version", " # v5.0.0", "", /pinned/],
		["writes an own action as a path", "$/actions", "./actions", /written \$\//],
		["expands in a script", 'echo "$A"', `echo "${expression("github.ref")}"`, /inside run/],
		["lets forks into a job that writes", condition, "if: always()", /keep forks out/],
		["lets forks in by another way", condition, `${condition} || github.actor == 'ann'`, /keep forks out/],
		["keeps credentials", "persist-credentials: false", "fetch-depth: 0", /keeps its credentials/],
		[
			"keeps what lies there",
			"persist-credentials: false",
			"persist-credentials: false, clean: false",
			/another has brought/,
		],
		["has no end", "    timeout-minutes: 5\n", "", /timeout-minutes/],
		["gives no reason", " # to write the check run", "", /checks has no reason/],
		[
			"has a job without permissions",
			"    permissions:\n      contents: read # to check out\n      checks: write # to write the check run\n",
			"",
			/declares no/,
		],
		["has a job without a name", "    name: A\n", "", /no name/],
		["limits nothing", "concurrency: w\n", "", /at once/],
		[
			"cancels what a form names",
			"concurrency: w",
			`concurrency: { group: "w-${expression("github.event.number || inputs.pull-request")}", cancel-in-progress: true }`,
			/cancels what its form names/,
		],
		["takes a cache", step, "- uses: actions/cache@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0", /cache/],
		[
			"takes an artefact",
			step,
			"- uses: actions/download-artifact@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0",
			/artefact/,
		],
		["turns a rule off", " # v5.0.0", " # v5.0.0\n      # zizmor: ignore[artipacked]", /rule off/],
	])("is refused where it %s", (_, from, to, problem) => {
		expect(good).toContain(from);
		expect(checkWorkflow(good.replace(from, to)).join("\n")).toMatch(problem);
	});

	test("that others call limits itself by a name of its own, in the jobs too", () => {
		const called = good.replace("[pull_request]", "[pull_request, workflow_call]");
		expect(checkWorkflow(called).join()).toMatch(/group w may be its caller's/);
		const own = called.replace("concurrency: w", "concurrency: proving-ground-w");
		expect(checkWorkflow(own)).toEqual([]);
		const job = own.replace("    timeout", "    concurrency: { group: a }\n    timeout");
		expect(checkWorkflow(job).join()).toMatch(/group a may be its caller's/);
	});

	test.each(["github.event.pull_request.head.sha", "format('refs/pull/{0}/head', github.event.issue.number)"])(
		"checks the head %s out as data alone",
		(ref) => {
			const head = good.replace("persist-credentials: false", `persist-credentials: false, ref: "${expression(ref)}"`);
			expect(checkWorkflow(head).join()).toMatch(/over the workspace/);
			expect(checkWorkflow(head.replace("ref:", "path: base, ref:")).join()).toMatch(/over the workspace/);
			expect(checkWorkflow(head.replace("ref:", "path: head, ref:"))).toEqual([]);
		},
	);

	test("runs beside the store what somebody has approved, or what an event of the default branch starts", () => {
		const own = good.replace("ubuntu-latest", expression("fromJSON(vars.RUNNER)"));
		expect(checkWorkflow(own).join()).toMatch(/nobody has approved/);
		expect(checkWorkflow(own.replace("    timeout", "    environment: training\n    timeout"))).toEqual([]);
		const by = (event: string) => own.replace("[pull_request]", `[pull_request, ${event}]`);
		const only = by("workflow_dispatch").replace(condition, "if: github.event_name == 'workflow_dispatch' && vars.X");
		expect(checkWorkflow(only)).toEqual([]);
		expect(checkWorkflow(by("workflow_dispatch")).join()).toMatch(/nobody has approved/);
	});

	test.each(["secrets.KEY", "environment", "self-hosted"])("keeps forks from %s too", (what) => {
		const bare = good
			.replace(`    ${condition}\n`, "")
			.replace("      checks: write # to write the check run\n", "")
			.replace("secrets.A", "vars.A");
		expect(checkWorkflow(bare)).toEqual([]);
		const changes: Record<string, [string, string]> = {
			"secrets.KEY": ["vars.A", "secrets.KEY"],
			environment: ["    timeout", "    environment: training\n    timeout"],
			"self-hosted": ["ubuntu-latest", expression("matrix.runner")],
		};
		expect(checkWorkflow(bare.replace(...changes[what]!)).join()).toMatch(/keep forks out/);
	});
});

const own = "github.event.pull_request.head.repo.full_name == github.repository";
test.each([
	[own, true],
	[`\${{ always() && (${own}) }}`, true],
	["!github.event.pull_request.head.repo.fork && needs.plan.outputs.count != '0'", true],
	[`github.event_name == 'schedule' || (github.event.action == 'closed' && ${own})`, true],
	[`github.event_name != 'pull_request' || ${own}`, true],
	["github.event_name == 'pull_request'", false],
	[`(${own} || github.actor == 'ann') && true`, false],
	[`!(${own})`, false],
	["", false],
])("of the condition %s know whether it keeps forks out: %s", (condition, keeps) => {
	expect(keepsForksOut(condition)).toBe(keeps);
});
