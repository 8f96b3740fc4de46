// The pull requests that ask for a run become claims in the store: once none of them is open, the run is stopped.
import type { Jobs } from "../generated/documents.d.ts";
import type { RunId } from "../plan/identity.ts";
import type { Store } from "../plan/store.ts";
import type { TrainPorts } from "./executor.ts";

/** Whose pull request it is: several repositories may share a store, and number their pull requests alike. */
function claimKey(id: RunId, pullRequest: number | ""): string {
	// As the runner names it; a person's own machine has no pull requests.
	return `claims/${id}/${process.env["GITHUB_REPOSITORY"] ?? "local"}/${pullRequest}`;
}

/** Notes that a pull request asks for a run; safe to repeat, and nothing where nobody's pull request does. */
export async function claim(id: RunId, { store, pullRequest }: TrainPorts): Promise<void> {
	if (pullRequest !== undefined) await store.put(claimKey(id, pullRequest), "");
}

/** The pull requests that have asked for a run; none where a person started it by hand. */
export async function claimsOf(id: RunId, store: Store): Promise<number[]> {
	const prefix = claimKey(id, "");
	// What else lies there is nobody's claim.
	const names = (await store.list(prefix)).map((key) => key.slice(prefix.length));
	return names.filter((name) => /^[1-9]\d{0,14}$/.test(name)).map(Number);
}

/** Whether another pull request that is open has asked for what runs. */
export async function isShared(
	{ jobs }: Jobs,
	{ store, pullRequest }: Pick<TrainPorts, "store" | "pullRequest">,
	isOpen: (pullRequest: number) => Promise<boolean>,
): Promise<boolean> {
	const running = jobs.find(({ state }) => state === "running");
	const others = running ? (await claimsOf(running.id, store)).filter((claim) => claim !== pullRequest) : [];
	for (const other of others) if (await isOpen(other)) return true;
	return false;
}
