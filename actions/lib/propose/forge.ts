// Proposals become commits on branches of their own and pull requests on GitHub, and what a pull request would start is started.
import type { GitHub } from "../github/objects.ts";
import { PREFIX } from "./due.ts";
import type { Forge } from "./propose.ts";

export interface ForgeOptions {
	/** The branch that pull requests are for. */
	base: string;
	/** Whether the checks have to be started: what the workflow's own token opens starts no workflow. */
	dispatch: boolean;
}

/** What it needs of GitHub. */
export type ProposalsOnGitHub = Pick<
	GitHub,
	"pullRequestsFrom" | "pullRequestsOn" | "commitFiles" | "openPullRequest" | "dispatchWorkflow" | "checkRuns"
>;

/** The workflow that a proposal's pull request would start. */
const WORKFLOW = "experiment.yml";
const LABEL = { name: "proposed", color: "d4c5f9", description: "Opened by a proposal" };

export function forgeOn(github: ProposalsOnGitHub, { base, dispatch }: ForgeOptions): Forge {
	/** Open pull requests of proposals by branch; the head of one that was just opened has had no time for checks. */
	const open = new Map<string, { number: number; sha: string | null }>();

	return {
		async proposed() {
			const found = await github.pullRequestsFrom(PREFIX);
			const states = new Map<string, "open" | "closed">();
			for (const { number, state, head } of found) {
				if (state === "open") open.set(head.ref, { number, sha: head.sha });
				if (states.get(head.ref) !== "open") states.set(head.ref, state);
			}
			return states;
		},

		async propose({ tick, branch, files, title, body }) {
			// Planning takes a while: another run may have opened it meanwhile, and somebody may have pushed to its branch.
			if ((await github.pullRequestsOn(branch)).length > 0) return "there";
			await github.commitFiles({ branch, base, message: `Propose ${tick}`, files });
			const { number, created } = await github.openPullRequest({ branch, base, title, body, labels: [LABEL] });
			if (!created) return "there";
			open.set(branch, { number, sha: null });
			return "created";
		},

		async start(branch) {
			const pullRequest = open.get(branch);
			if (!dispatch || !pullRequest) return "there";
			const { number, sha } = pullRequest;
			// Started twice it does no more than started once.
			if (sha !== null && (await github.checkRuns(sha)).length > 0) return "there";
			await github.dispatchWorkflow(WORKFLOW, branch, { "pull-request": String(number) });
			return "started";
		},
	};
}
