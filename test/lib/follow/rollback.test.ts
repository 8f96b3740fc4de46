// Taking a merge back
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ServiceError } from "../../../actions/lib/errors.ts";
import { ROLLBACKS, revertMerge, rollBackMerged } from "../../../actions/lib/follow/rollback.ts";
import { openGit } from "../../../actions/lib/git/git.ts";
import type { Commit, GitHub, PullRequest } from "../../../actions/lib/github/objects.ts";
import type { Approval, Version } from "../../../actions/lib/plan/registry.ts";
import type { Project } from "../../../actions/lib/project.ts";
import { openState } from "../../../actions/lib/state.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";
import { makeEntry } from "../../fixtures/judged.ts";
import { gitIn } from "../../git.ts";

let root: string;
const run = (...args: string[]) => gitIn(root, ...args);
const file = (name: string) => path.join(root, "experiments", name);
async function commit(message: string, files: Record<string, string | null>): Promise<string> {
	for (const [name, text] of Object.entries(files)) {
		if (text === null) run("rm", "--quiet", file(name));
		else await writeFile(file(name), text);
	}
	run("add", ".");
	run("commit", "--quiet", "--message", message);
	return run("rev-parse", "HEAD");
}

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "rollback-"));
	run("init", "--quiet", "--initial-branch=main");
	execFileSync("mkdir", [path.join(root, "experiments")]);
});
afterEach(() => rm(root, { recursive: true, force: true }));

const pullOf = (head: string, base: string, more: Partial<PullRequest> = {}) =>
	({
		number: 4,
		head: { sha: head, ref: "night", fork: false },
		base: { sha: base, ref: "main" },
		...more,
	}) as PullRequest;

/** A GitHub that keeps what was committed, and opens a pull request once. */
function keeping() {
	const commits: Commit[] = [];
	const github = {
		commitFiles: async (made: Commit) => commits.push(made),
		openPullRequest: async () => ({ number: 9, created: commits.length === 1 }),
	} as unknown as GitHub;
	return { commits, github };
}

test("opens a pull request that restores what was changed and removes what was new, however it was merged", async () => {
	const base = await commit("before", { "old.yaml": "why: old\n" });
	run("checkout", "--quiet", "-b", "night");
	await commit("one", { "new.yaml": "why: new\n" });
	const head = await commit("two", { "old.yaml": "why: changed\n" });
	run("checkout", "--quiet", "main");
	// Rebased: two commits, of which GitHub names the last.
	run("merge", "--quiet", "--ff-only", "night");
	const { commits, github } = keeping();
	expect(await revertMerge(pullOf(head, base), { git: openGit(root), github })).toBe(true);
	expect(commits[0]).toMatchObject({
		branch: `${ROLLBACKS}4`,
		files: [
			{ path: "experiments/new.yaml", content: null },
			{ path: "experiments/old.yaml", content: "why: old\n" },
		],
	});
	expect(await revertMerge(pullOf(head, base), { git: openGit(root), github })).toBe(false);
});

test("restores nothing over what somebody has changed since", async () => {
	const base = await commit("before", { "old.yaml": "why: old\n" });
	const head = await commit("merged", { "old.yaml": "why: changed\n" });
	await commit("later", { "old.yaml": "why: later\n" });
	const { commits, github } = keeping();
	expect(await revertMerge(pullOf(head, base), { git: openGit(root), github })).toBe(false);
	expect(commits).toEqual([]);
});

const BOT = "github-actions[bot]";
/** The pull request that brought `night`, and the head of what takes it back. */
let original: PullRequest;
let takenBack: string;

/** Brings `night` by a merge; returns its commit. */
async function bring(): Promise<string> {
	const base = await commit("before", { "other.yaml": "" });
	const brought = await commit("merged", { "night.yaml": "why: night\n" });
	original = pullOf(brought, base);
	run("checkout", "--quiet", "-b", "rollback");
	takenBack = await commit("Roll back #4", { "night.yaml": null });
	run("checkout", "--quiet", "main");
	return brought;
}

/** Lines whose v2 and v3, of `night`, were brought by a commit and replaced v1 and v2; v3 only where that is wished. */
function linesOf(
	brought: string | null,
	merged: Partial<PullRequest>[] = [],
	{ replaced = 1, lines = ["m"], third = false }: { replaced?: number | null; lines?: string[]; third?: boolean } = {},
) {
	const version = (model: string, number: number, experiment: string): Version => ({
		entry: { ...makeEntry(experiment), model, version: number, experiment },
		location: path.join(root, "model"),
	});
	const before = [
		{ version: 1, replaced: null },
		{ version: 2, replaced },
		...(third ? [{ version: 3, replaced: 2 }] : []),
	] as Approval[];
	const approved: Approval[] = [];
	const of = new Map<string, Approval[]>(lines.map((line) => [line, [...before]]));
	const registry = {
		lines: async () => lines,
		history: async (line: string) => ({
			versions: [version(line, 1, "first"), version(line, 2, "night"), version(line, 3, "night")],
			approvals: [...of.get(line)!],
		}),
		approve: async (line: string, approval: Approval) => {
			approved.push(approval);
			of.get(line)!.push(approval);
			return approval;
		},
	};
	const tags = new Map<string, string>();
	if (brought) for (const line of lines) for (const n of [2, 3]) tags.set(`model/${line}/v${n}`, brought);
	const events: object[] = [];
	const github = {
		tagged: async (name: string) => tags.get(name) ?? null,
		createTag: async (name: string, sha: string) => void tags.set(name, sha),
		pullRequestsFrom: async (prefix: string, since: Date) => {
			expect(Date.now() - since.getTime()).toBeLessThan(31 * 86_400_000);
			return prefix === ROLLBACKS ? merged : [];
		},
		pullRequestsOn: async () => [],
		pullRequestsOf: async () => [{ number: 4 }],
		pullRequest: async (number: number) => (number === 9 ? { merged: true, mergedBy: "bob" } : original),
		author: BOT,
		commitFiles: async () => "created",
		openPullRequest: async () => ({ number: 9, created: true }),
		emit: async (_: string, payload: object) => void events.push(payload),
	} as unknown as GitHub;
	const project = {
		home: root,
		state: openState(root, ".proving-ground"),
		registry,
		store: folder(path.join(root, ".proving-ground/store")),
		record: "pull_request",
	} as unknown as Project;
	const rolled = (changed: Partial<GitHub> = {}) =>
		rollBackMerged({ project, git: openGit(root), github: { ...github, ...changed } }, { branch: "main", days: 30 });
	return { approved, events, rolled };
}

/** Rolls back a line whose v2, of `night`, was brought by a commit and replaced v1. */
async function rollBack(brought: string | null, merged: Partial<PullRequest>[] = [], replaced: number | null = 1) {
	const { approved, rolled } = linesOf(brought, merged, { replaced });
	return { ...(await rolled()), approved };
}
const asked = (number: number, { merged = true, ref = "main", author = BOT, head = takenBack } = {}) =>
	({
		...{ number: 9, merged, author, base: { ref, sha: original.head.sha } },
		head: { ref: `${ROLLBACKS}${number}`, sha: head, fork: false },
	}) as PullRequest;

test("makes what was replaced production again when the pull request of a rollback is merged", async () => {
	const brought = await bring();
	const { told, approved } = await rollBack(brought, [asked(4)]);
	expect(told).toEqual(["m: rolled back from v2 to v1"]);
	expect(approved).toMatchObject([{ version: 1, replaced: 2, approved_by: "bob" }]);
	expect((await rollBack(brought, [asked(4, { merged: false })])).approved).toEqual([]);
	expect((await rollBack(brought, [asked(5)])).approved).toEqual([]);
	// Into another branch.
	expect((await rollBack(brought, [asked(4, { ref: "scratch" })])).approved).toEqual([]);
	expect((await rollBack(null, [asked(4)])).approved).toEqual([]);
	expect((await rollBack(brought, [asked(4)], null)).told[0]).toContain("had replaced no model");
});

test("takes all back that one pull request has brought to a line, and each once", async () => {
	const brought = await bring();
	const { approved, events, rolled } = linesOf(brought, [asked(4)], { third: true });
	expect((await rolled()).told).toEqual(["m: rolled back from v3 to v2", "m: rolled back from v2 to v1"]);
	expect(approved).toMatchObject([
		{ version: 2, replaced: 3 },
		{ version: 1, replaced: 2 },
	]);
	expect(await rolled()).toMatchObject({ told: [], failures: [] });
	expect(events).toHaveLength(2);
});

test("records what it did when a service has failed meanwhile, and keeps no other line back", async () => {
	const brought = await bring();
	const { approved, events, rolled } = linesOf(brought, [asked(4)], { lines: ["a", "m"] });
	const commitFiles: GitHub["commitFiles"] = async ({ branch }) => {
		if (branch.includes("/a-v1")) throw new ServiceError("GitHub", "no answer");
		return "created";
	};
	const { told, failures } = await rolled({ commitFiles });
	expect(told).toEqual(["a: could not be rolled back: GitHub: no answer", "m: rolled back from v2 to v1"]);
	expect(failures).toHaveLength(1);
	expect(events).toMatchObject([{ model: "m", version: 1, replaced: 2 }]);
	expect((await rolled()).told).toEqual(["a: rolled back from v2 to v1"]);
	expect(events).toMatchObject([{ model: "m" }, { model: "a", version: 1, replaced: 2 }]);
	expect(approved).toHaveLength(2);
	expect((await rolled()).told).toEqual([]);
});

test("waits where an answer from before the merge would name its author as who approved it", async () => {
	const { approved, rolled } = linesOf(await bring(), [asked(4)]);
	const before = { ...asked(4), merged: false, mergedBy: null };
	const pullRequest: GitHub["pullRequest"] = async (number) => (number === 9 ? before : original);
	const { told } = await rolled({ pullRequest });
	expect(told).toEqual(["m: could not be rolled back: GitHub: #9 is merged by one answer, and isn't by the next."]);
	expect(approved).toEqual([]);
	expect((await rolled()).told).toEqual(["m: rolled back from v2 to v1"]);
});

test("leaves production where a pull request only has the name of a rollback", async () => {
	const brought = await bring();
	const unlike = ["#9: its branch is named like a rollback, but its changes aren't one: production stays"];
	const left = async (pull: PullRequest) => {
		const { told, approved } = await rollBack(brought, [pull]);
		expect(approved).toEqual([]);
		expect(told).toEqual(unlike);
	};
	// Opened by a person.
	await left(asked(4, { author: "mallory" }));
	run("checkout", "--quiet", "-b", "typo", brought);
	await left(asked(4, { head: await commit("a typo", { "other.yaml": "x\n" }) }));
	// Pushed to after it was opened.
	run("checkout", "--quiet", "rollback");
	await left(asked(4, { head: await commit("and more", { "other.yaml": "x\n" }) }));
	await left({ ...asked(4), head: { ref: `${ROLLBACKS}4x`, sha: takenBack, fork: false } });
	expect((await rollBack(brought, [asked(4)])).approved).toHaveLength(1);
});

test("does so when a revert has removed the experiment since, and not when it was tidied up, or long before", async () => {
	await commit("first", { "other.yaml": "" });
	const brought = await commit("merged", { "night.yaml": "why: night\n" });
	expect((await rollBack(brought)).approved).toEqual([]);
	await commit("Tidy up", { "night.yaml": null });
	expect((await rollBack(brought)).approved).toEqual([]);
	await commit("once more", { "night.yaml": "why: night\n" });
	const reverted = await commit("Merge pull request #5 from ann/revert-4-night", { "night.yaml": null });
	expect((await rollBack(brought)).approved).toMatchObject([{ version: 1, approved_by: "ann" }]);
	expect((await rollBack(reverted)).approved).toMatchObject([{ version: 1 }]);
	const after = await commit("after", { "other.yaml": "x\n" });
	expect((await rollBack(after)).approved).toEqual([]);
});
