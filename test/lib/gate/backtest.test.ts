import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Backtest, backtestPolicy, renderBacktest } from "../../../actions/lib/gate/backtest.ts";
import { evaluationKey } from "../../../actions/lib/plan/store.ts";
import { promote } from "../../../actions/lib/promote/promote.ts";
import { folder as registryIn } from "../../../actions/lib/registries/folder.ts";
import { folder as storeIn } from "../../../actions/lib/stores/folder.ts";
import { makeScores } from "../../fixtures/evaluation.ts";
import { leaveJudged } from "../../fixtures/judged.ts";
import { gitIn } from "../../git.ts";

const LINE = "perception-hydranet";
const file = "recipes/gates/perception.yaml";
let root: string;

const git = (...args: string[]) => gitIn(root, ...args);
const ports = () => ({
	root,
	registry: registryIn(path.join(root, "registry")),
	store: storeIn(path.join(root, "store")),
	trainer: { python: "/nowhere", folder: "/nowhere" },
});
const backtest = (against = "HEAD") => backtestPolicy(ports(), file, { against, models: [LINE] });

async function writePolicy(maxDrop: number, extra = ""): Promise<void> {
	await mkdir(path.join(root, path.dirname(file)), { recursive: true });
	const rule = `  - { metric: map, slice: night, max_drop: ${maxDrop}, reason: night must hold }`;
	const overall = "  - { metric: map, min: 0.1, reason: it must see something }";
	await writeFile(path.join(root, file), `description: d\nrules:\n${overall}\n${rule}\n${extra}`);
}

/** A first model, then one that lost 0.10 on night: both in production. */
async function promoteTwo(): Promise<void> {
	const judgement = { approve: true, by: "ann", now: new Date("2026-01-02T03:04:05.000Z") };
	const first = await leaveJudged(ports(), { name: "baseline", first: true });
	await promote({ ...first, ...judgement }, ports());
	// The policy of its day let it through.
	const lost = { name: "worse-night", scores: makeScores({ night: 0.1 }), lenient: true };
	await promote({ ...(await leaveJudged(ports(), lost)), ...judgement }, ports());
}

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "backtest-"));
	await writePolicy(0.2);
	git("init", "-q", "-b", "main");
	git("add", ".");
	git("commit", "-qm", "a lenient policy");
	await promoteTwo();
});
afterEach(() => rm(root, { recursive: true }));

test("says what a stricter policy would have stopped, beside the present one, and by which checks", async () => {
	await writePolicy(0.02);
	const { rows, known } = await backtest();
	expect(known).toBe(true);
	expect(rows.map(({ experiment, before, after, promoted }) => [experiment, before, after, promoted])).toEqual([
		["baseline", "pass", "pass", true],
		["worse-night", "pass", "fail", true],
	]);
	expect(rows[1]!.changed).toEqual([{ metric: "map", slice: "night", before: "pass", after: "fail" }]);
	const markdown = renderBacktest(await backtest());
	expect(markdown).toContain(
		"2 of 2 models in the registry could be judged again from stored results. 1 of 2 promoted models would have been stopped. 1 outcome differs from the policy at `HEAD`.",
	);
	expect(markdown).toContain("| ✅ pass | ❌ fail | mAP on `night`: pass → fail |");
});

test("finds nothing that differs where the policy is the same", async () => {
	const { rows } = await backtest();
	expect(rows.flatMap(({ changed }) => changed)).toEqual([]);
	expect(rows.every(({ before, after }) => before === after)).toBe(true);
});

test("names rules that came and went", async () => {
	await writePolicy(0.2, "  - { metric: miou, max_drop: 0.1, reason: new }\n");
	const { rows } = await backtest();
	expect(rows[1]!.changed).toEqual([{ metric: "miou", slice: null, before: "no rule", after: "fail" }]);
});

test("says so where the policy is new", async () => {
	git("rm", "-q", "--cached", file);
	git("commit", "-qm", "no policy");
	const found = await backtest();
	expect(found.known).toBe(false);
	expect(renderBacktest(found)).toContain("### Backtest of `recipes/gates/perception.yaml` (new)");
});

test("goes on where an evaluation is gone or of another version, and says which", async () => {
	const { registry, store } = ports();
	const { versions } = await registry.history(LINE);
	const keys = versions.map(({ entry }) => `${evaluationKey(LINE, entry.run, entry.evaluation)}/eval_report.json`);
	await rm(path.join(root, "store", keys[0]!));
	await rm(path.join(root, "store", keys[1]!));
	await store.put(keys[1]!, "{}");
	expect((await backtest()).rows.map(({ after, missing }) => [after, missing])).toEqual([
		[null, "its evaluation is not in the store"],
		[null, "another version of this tool wrote its evaluation"],
	]);
});

test.each<[string, () => Promise<unknown>, string]>([
	[
		"a mistake in the policy",
		() => writePolicy(0.2, "  - { metric: map, max_drp: 1, reason: r }\n").then(() => backtest()),
		"max_drop",
	],
	[
		"a policy that isn't there",
		() => backtestPolicy(ports(), "recipes/gates/none.yaml", { against: "HEAD", models: [] }),
		"the file can't be read (ENOENT)",
	],
	["a revision that isn't there", () => backtest("no-such-branch"), 'git knows no revision "no-such-branch"'],
	["a revision that is an option", () => backtest("--output=x"), "git knows no revision"],
])("refuses %s", async (_, run, message) => {
	await expect(run()).rejects.toThrow(message);
});

test("takes hostile names as text", () => {
	const name = "`x` @octocat | <img src=x>";
	const row = { model: name, version: 1, experiment: name, registered_at: "2026-01-01", promoted: true, missing: null };
	const changed = [{ metric: name, slice: name, before: "pass", after: "fail" }];
	const document: Backtest = {
		policy: name,
		slices: name,
		against: name,
		known: true,
		rows: [
			{ ...row, before: "pass", after: "fail", changed },
			{ ...row, before: null, after: null, changed: [], missing: name },
		],
	};
	expect(renderBacktest(document).replaceAll(/`[^`]*`/g, "")).not.toMatch(/@|<img/);
});
