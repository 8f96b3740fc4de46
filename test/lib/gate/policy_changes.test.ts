import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import type { BacktestPorts } from "../../../actions/lib/gate/backtest.ts";
import { backtestChanges, backtestPull } from "../../../actions/lib/gate/policy_changes.ts";
import { openGit } from "../../../actions/lib/git/git.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { Written } from "../../../actions/lib/github/objects.ts";
import type { Project } from "../../../actions/lib/project.ts";
import { promote } from "../../../actions/lib/promote/promote.ts";
import { folder as registryIn } from "../../../actions/lib/registries/folder.ts";
import { openState } from "../../../actions/lib/state.ts";
import { folder as storeIn } from "../../../actions/lib/stores/folder.ts";
import { makeEvaluation, makeScores } from "../../fixtures/evaluation.ts";
import { leaveJudged } from "../../fixtures/judged.ts";
import { makePlan } from "../../fixtures/plan.ts";
import { commitIn, gitIn } from "../../git.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";

let root: string;
let ports: BacktestPorts;
const git = (...args: string[]) => gitIn(root, ...args);

const commit = (files: Record<string, string | null>) => commitIn(root, files);

function policy(maxDrop: number, more = ""): string {
	return `description: d
rules:
  - { metric: map, min: 0.1, reason: it must see something }
  - { metric: map, slice: night, max_drop: ${maxDrop}, reason: night must hold }
${more}`;
}
const file = (name: string) => `recipes/gates/${name}.yaml`;
const slices = "slices:\n  - { name: night, where: { timeofday: night } }\n";
const compare = () => backtestChanges(ports, "main");

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "policies-"));
	ports = {
		root,
		registry: registryIn(path.join(root, ".proving-ground/registry")),
		store: storeIn(path.join(root, ".proving-ground/store")),
		trainer: { python: "/nowhere", folder: "/nowhere" },
	};
	git("init", "--quiet", "--initial-branch=main");
	await commit({
		".gitignore": ".proving-ground/\n",
		[file("perception")]: policy(0.2),
		[file("other")]: policy(0.2),
		"data/slices.yaml": slices,
		"experiments/x.yaml": "x",
	});
	git("checkout", "--quiet", "-b", "stricter");
	const judgement = { approve: true, by: "ann", now: new Date("2026-01-02T03:04:05.000Z") };
	const lost = { name: "worse-night", scores: makeScores({ night: 0.1 }), lenient: true };
	for (const options of [{ name: "baseline", first: true }, lost])
		await promote({ ...(await leaveJudged(ports, options)), ...judgement }, ports);
});
afterEach(() => rm(root, { recursive: true }));

describe("become the comment", () => {
	test("with what the policy would have said of every model, beside what it said", async () => {
		await commit({ [file("perception")]: policy(0.02) });
		expect(await compare()).toMatchInlineSnapshot(`
			"<!-- proving-ground: backtest of policies -->
			How the edited policy or slices would have judged every model in the registry. Nothing was measured again.

			### Backtest of \`recipes/gates/perception.yaml\`

			2 of 2 models in the registry could be judged again from stored results. 1 of 2 promoted models would have been stopped. 1 outcome differs from the policy at \`main\`.

			| model | experiment | registered | at \`main\` | with this policy | checks that differ |
			| :- | :- | :- | :- | :- | :- |
			| \`perception-hydranet\` v1 | \`baseline\` | 2026-01-02 | ✅ pass | ✅ pass | – |
			| \`perception-hydranet\` v2 | \`worse-night\` | 2026-01-02 | ✅ pass | ❌ fail | mAP on \`night\`: pass → fail |
			"
		`);
	});

	test("with a table for each policy that was edited or is new, and none for one that is gone", async () => {
		await commit({ [file("perception")]: policy(0.02), [file("new")]: policy(0.3), [file("other")]: null });
		const titles = (await compare()).split("\n").filter((line) => line.startsWith("###"));
		expect(titles).toEqual([
			"### Backtest of `recipes/gates/new.yaml` (new)",
			"### Backtest of `recipes/gates/perception.yaml`",
		]);
	});

	test("with a table for each policy where slices were edited, by what the trainer scores on them", async () => {
		const trainer = path.join(root, ".proving-ground/trainer");
		const score = { ...makeScores()[2]!, delta: -0.5, delta_interval: [-0.6, -0.4] as [number, number] };
		await writeFile(
			`${trainer}.json`,
			JSON.stringify({ ...makeEvaluation(makePlan(), [makeScores()[0]!, score]), slices: [] }),
		);
		await writeFile(trainer, `#!/bin/sh\necho "$@" >> ${trainer}.txt\ncat ${trainer}.json\n`, { mode: 0o755 });
		ports.trainer = { python: trainer, folder: root };
		await commit({
			"data/slices.yaml": slices.replace("name: night", "name: dark"),
			[file("waivers")]: "waivers: []\n",
		});
		const body = await compare();
		expect(body.split("\n").filter((line) => line.startsWith("###"))).toEqual([
			"### Backtest of `recipes/gates/other.yaml` on the slices of `data/slices.yaml`",
			"### Backtest of `recipes/gates/perception.yaml` on the slices of `data/slices.yaml`",
		]);
		expect(body).toContain("| ✅ pass | ❌ fail | mAP on `night`: pass → fail |");
		const asked = (await readFile(`${trainer}.txt`, "utf8")).trim().split("\n");
		// Each policy of each model.
		expect(asked).toHaveLength(4);
		for (const call of asked) expect(call).toMatch(/ rescore \S+\/evaluations\/\S+ --slices \S+\/data\/slices\.yaml$/);
	});

	test("with as many tables as GitHub takes, and how to see the others", async () => {
		const rules = Array.from(
			{ length: 90 },
			(_, rule) => `  - { metric: map, slice: ${"long-".repeat(12)}${rule}, max_drop: 0.1, reason: some }\n`,
		);
		const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
		await commit(Object.fromEntries(names.map((name) => [file(name), policy(0.2)])));
		git("branch", "known");
		await commit(Object.fromEntries(names.map((name) => [file(name), policy(0.2, rules.join(""))])));
		const body = await backtestChanges(ports, "known");
		expect(Buffer.byteLength(body)).toBeLessThan(65_536);
		const shown = body.split("\n").filter((line) => line.startsWith("###")).length;
		expect(shown).toBeGreaterThan(0);
		expect(body).toMatch(
			new RegExp(
				`\n\n…and ${names.length - shown} more tables: run \`npx proving-ground backtest <policy>\` for them\\.\n$`,
			),
		);
	});
});

describe("become nothing", () => {
	test("where neither a policy nor slices were edited", async () => {
		await commit({ "experiments/x.yaml": "y", "recipes/models/m.yaml": "m", "recipes/gates/deep/p.yaml": "p" });
		expect(await compare()).toBe("");
	});

	test("where the waivers were, which are no policy", async () => {
		await commit({ [file("waivers")]: "waivers: []\n" });
		expect(await compare()).toBe("");
	});

	test("where another has edited them on main since", async () => {
		git("checkout", "--quiet", "main");
		await commit({ [file("perception")]: policy(0.02) });
		git("checkout", "--quiet", "stricter");
		expect(await compare()).toBe("");
	});
});

describe("are refused with every problem on its line", () => {
	async function problemsOf(): Promise<[string, number, string][]> {
		const error = await compare().catch((reason: unknown) => reason);
		if (!(error instanceof InvalidFile)) throw new Error(`no InvalidFile: ${error}`);
		return error.problems.map(({ file, line, message }) => [
			path.relative(root, path.resolve(root, file)),
			line,
			message,
		]);
	}

	test("of a policy", async () => {
		const mistakes = "  - { metric: map, max_drp: 1, reason: r }\n  - { metric: map, slice: 3, max: x, reason: r }\n";
		await commit({ [file("perception")]: policy(0.2, mistakes) });
		expect(await problemsOf()).toMatchInlineSnapshot(`
			[
			  [
			    "recipes/gates/perception.yaml",
			    5,
			    "rules.2 has no bound; add one or more of: min, max, max_drop, max_regression_percent",
			  ],
			  [
			    "recipes/gates/perception.yaml",
			    5,
			    "unknown key max_drp in rules.2; allowed: metric, slice, min, max, max_drop, max_regression_percent, min_frames, inconclusive, reason. Did you mean max_drop?",
			  ],
			  [
			    "recipes/gates/perception.yaml",
			    6,
			    "rules.3.slice: found 3; it must be a text",
			  ],
			  [
			    "recipes/gates/perception.yaml",
			    6,
			    "rules.3.max: found "x"; it must be a number",
			  ],
			]
		`);
	});

	test("of slices", async () => {
		await commit({ "data/slices.yaml": "slices:\n  - { name: night, were: { timeofday: night } }\n" });
		expect(await problemsOf()).toMatchInlineSnapshot(`
			[
			  [
			    "data/slices.yaml",
			    2,
			    "slices.0: where is missing (Attributes and their values, or lists of values. A frame must match every attribute; any value in a list matches.)",
			  ],
			  [
			    "data/slices.yaml",
			    2,
			    "unknown key were in slices.0; allowed: name, where, category, protected. Did you mean where?",
			  ],
			]
		`);
	});
});

describe("are shown", () => {
	let server: GitHubServer;
	beforeEach(async () => {
		server = await startGitHub();
	});
	afterEach(() => server.close());
	/** The default branch's checkout, with GitHub, for which the pull request's head is what is committed here. */
	async function show(fork = false): Promise<Written | null> {
		const place = { token: "bot-token", repository: server.repository, apiUrl: server.url, author: BOT, second: 1 };
		const github = await openGitHub(place);
		const sha = git("rev-parse", "HEAD").trim();
		const pull = { ...(await github.pullRequest(server.pullRequest)), base: { sha: "main", ref: "main" } };
		const project = { ...ports, home: root, state: openState(root, ".proving-ground") };
		const { comment } = await backtestPull(server.pullRequest, {
			git: openGit(root),
			github: { ...github, pullRequest: async () => ({ ...pull, head: { sha, ref: "stricter", fork } }) },
			project: { ...project, at: (at: string) => ({ ...project, root: at }) } as unknown as Project,
		});
		return comment;
	}

	test("in one comment, that is changed when they are, of the pull request's head and not of this checkout", async () => {
		await commit({ [file("perception")]: policy(0.02) });
		await writeFile(path.join(root, file("perception")), "not committed");
		expect(await show()).toBe("created");
		expect(await show()).toBe("unchanged");
		await commit({ [file("perception")]: policy(0.3) });
		expect(await show()).toBe("updated");
		const route = `/repos/${server.repository}/issues/${server.pullRequest}/comments`;
		const comments = await server.call<{ body: string }[]>("GET", route);
		expect(comments.map((comment) => comment.body.trim())).toEqual([(await compare()).trim()]);
	});

	test("nowhere, where there is nothing to show, or where they are a fork's", async () => {
		expect(await show()).toBeNull();
		await commit({ [file("perception")]: policy(0.02) });
		await expect(show(true)).rejects.toThrow(`#${server.pullRequest} comes from a fork`);
		expect(server.writes()).toEqual([]);
	});
});
