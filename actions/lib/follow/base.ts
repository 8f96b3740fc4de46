// A pull request, or a merge, becomes the base that it is judged by: what stood on the branch before it, for ever.
import { readWaivers } from "../experiment/gates.ts";
import { commitTree, type Tree } from "../experiment/tree.ts";
import { WAIVERS } from "../experiment/waiver_file.ts";
import type { Plan, PlanWaiver } from "../generated/documents.d.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";

interface BasePorts {
	git: Git;
	github: Pick<GitHub, "pullRequestsOf" | "approversOf">;
}

/** What was merged: the commit that brought it, and its pull request; null for a direct push. */
export interface Brought {
	commit: string;
	pull: PullRequest | null;
}

/** Where policies, lines and waivers are read. */
export interface Base {
	gates: Tree;
	waivers: Tree;
	/** The plan, with why a waiver in it can't count where whom it names has not granted it. */
	checkWaivers(plan: Plan): Promise<Plan>;
}

/** The base of what isn't merged: the branch as it is. */
export function openBase(ports: BasePorts): Base {
	const head = commitTree(ports.git, "HEAD");
	return { gates: head, waivers: head, checkWaivers: (plan) => markWaivers(plan, ports, () => false) };
}

/** The base of what was merged: the gates of before, and the waivers of now but for those that came with it, which nobody has granted apart. */
export async function baseOf(brought: Brought, ports: BasePorts): Promise<Base> {
	const open = openBase(ports);
	const before = await beforeMerge(brought, ports);
	if (before === null) return open;
	const gates = commitTree(ports.git, before);
	const merged = commitTree(ports.git, brought.pull?.mergeCommit ?? brought.commit);
	const [earlier, came] = [await namedIn(gates), await namedIn(merged)];
	// Where the file that came can't be read, anything may have come.
	const isOwn = (waiver: string) => !earlier?.has(waiver) && (came === null || came.has(waiver));
	return { gates, waivers: open.waivers, checkWaivers: (plan) => markWaivers(plan, ports, isOwn) };
}

/** Says of each waiver of the plan's own why it can't count, if it can't. */
async function markWaivers(plan: Plan, ports: BasePorts, isOwn: (waiver: string) => boolean): Promise<Plan> {
	const { experiment, policy } = plan;
	if (!policy.waivers) return plan;
	const grants = openGrants(ports);
	const entries: PlanWaiver[] = [];
	for (const waiver of policy.waivers.entries) {
		const isFor = waiver.model === experiment.model && (waiver.experiment ?? experiment.name) === experiment.name;
		const name = nameOf(waiver);
		const own = isOwn(name) ? "It came with the experiment's own merge." : null;
		const refused = isFor ? (own ?? (await grants.refuse(name, waiver.who))) : null;
		entries.push(refused === null ? waiver : { ...waiver, refused });
	}
	return { ...plan, policy: { ...policy, waivers: { ...policy.waivers, entries } } };
}

/** Who has granted what stands in the branch's waivers. */
function openGrants({ git, github }: BasePorts) {
	let history: Promise<string[]> | undefined;
	const held = new Map<string, Promise<Set<string> | null>>();
	const heldAt = (commit: string) => {
		if (!held.has(commit)) held.set(commit, namedIn(commitTree(git, commit)));
		return held.get(commit)!;
	};

	/** The commit of the branch since which the waiver has stood there as it is. */
	async function since(name: string): Promise<string | null> {
		history ??= git("log", "--first-parent", "--format=%H", "--", `recipes/gates/${WAIVERS}.yaml`).then((log) =>
			log.split("\n").filter(Boolean),
		);
		let found: string | null = null;
		for (const commit of await history) {
			if (!(await heldAt(commit))?.has(name)) return found;
			found = commit;
		}
		return found;
	}

	return {
		/** Why a waiver can't count: the person whom it names has neither approved nor merged what brought it; null where they have. */
		async refuse(name: string, who: string): Promise<string | null> {
			const commit = await since(name);
			const merged = commit === null ? [] : (await github.pullRequestsOf(commit)).filter((pull) => pull.merged);
			const pull = merged.find(({ mergeCommit }) => mergeCommit === commit) ?? merged[0];
			if (!pull) return "It came without a pull request that somebody could have approved.";
			const granted = [...(await github.approversOf(pull.number)), pull.mergedBy ?? ""];
			if (granted.some((login) => login.toLowerCase() === who.toLowerCase())) return null;
			return `${who} has neither approved nor merged #${pull.number}, which brought it.`;
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
export async function beforeMerge(
	{ commit, pull }: Brought,
	{ git, github }: { git: Git; github: Pick<GitHub, "pullRequestsOf"> },
): Promise<string | null> {
	for (let at = commit; ; ) {
		const parent = await parentOf(at, git);
		if (parent === null) return null;
		if (!pull || !(await github.pullRequestsOf(parent)).some(({ number }) => number === pull.number)) return parent;
		at = parent;
	}
}
