// A pull request, or a merge, becomes the base that it is judged by: what stood on the branch before it, for ever.
import { readWaivers } from "../experiment/gates.ts";
import { commitTree, type Tree } from "../experiment/tree.ts";
import type { Plan, PlanWaiver } from "../generated/documents.d.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";

interface BasePorts {
	git: Git;
	github: Pick<GitHub, "pullRequestsOf">;
}

/** What was merged: the commit that brought it, and its pull request; null for a direct push. */
export interface Brought {
	commit: string;
	pull: PullRequest | null;
}

/** Where policies, lines and waivers are read, and which of the waivers count. */
export interface Base {
	gates: Tree;
	waivers: Tree;
	/** The plan without the waivers that came with what it is of. */
	withoutOwn(plan: Plan): Plan;
}

/** The base of what isn't merged: the branch as it is. */
export function openBase(git: Git): Base {
	const head = commitTree(git, "HEAD");
	return { gates: head, waivers: head, withoutOwn: (plan) => plan };
}

/** The base of what was merged: the gates of before, and the waivers of now but for those that came with it, which nobody has granted apart. */
export async function baseOf(brought: Brought, ports: BasePorts): Promise<Base> {
	const open = openBase(ports.git);
	const before = await beforeMerge(brought, ports);
	if (before === null) return open;
	const gates = commitTree(ports.git, before);
	const merged = commitTree(ports.git, brought.pull?.mergeCommit ?? brought.commit);
	const [earlier, came] = [await namedIn(gates), await namedIn(merged)];
	const counts = (waiver: PlanWaiver) =>
		earlier?.has(nameOf(waiver)) || (came !== null && !came.has(nameOf(waiver))) || false;
	return {
		gates,
		waivers: open.waivers,
		withoutOwn(plan) {
			const { waivers, ...policy } = plan.policy;
			const entries = waivers?.entries.filter(counts) ?? [];
			return {
				...plan,
				policy: waivers && entries.length > 0 ? { ...policy, waivers: { ...waivers, entries } } : policy,
			};
		},
	};
}

/** The waivers of a commit; null where they can't be read. */
async function namedIn(tree: Tree): Promise<Set<string> | null> {
	const entries = await readWaivers(tree);
	return entries && new Set(entries.map(nameOf));
}

/** All that a waiver says; where it stands is nothing of it. */
function nameOf({ line: _, ...waiver }: PlanWaiver): string {
	return JSON.stringify(waiver);
}

/** The commit that stood on the branch before one; null for the first. */
export async function parentOf(commit: string, git: Git): Promise<string | null> {
	const found = await git("rev-parse", "--verify", "--quiet", `${commit}^1`).catch(() => "");
	return found.trim() || null;
}

/** The last commit of the branch before a merge, which brought several where it was a rebase; null where there is none. */
export async function beforeMerge({ commit, pull }: Brought, { git, github }: BasePorts): Promise<string | null> {
	for (let at = commit; ; ) {
		const parent = await parentOf(at, git);
		if (parent === null) return null;
		if (!pull || !(await github.pullRequestsOf(parent)).some(({ number }) => number === pull.number)) return parent;
		at = parent;
	}
}
