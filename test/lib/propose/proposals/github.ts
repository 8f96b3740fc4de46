// A model of GitHub as proposals see it: refs are made or refused at once, every other step may be the last of a process, and answers get lost.
import fc from "fast-check";
import { ServiceError } from "../../../../actions/lib/errors.ts";
import type { Commit, PullRequest } from "../../../../actions/lib/github/objects.ts";
import type { ProposalsOnGitHub } from "../../../../actions/lib/propose/forge.ts";

/** A process died. */
export class Crash extends Error {}

/** Uniform numbers from 0 to 1, the same for the same seed. */
export function seeded(seed: number): () => number {
	const steps = 2 ** 31;
	const numbers = fc.infiniteStream(fc.noBias(fc.nat(steps - 1)), { noHistory: true });
	const [stream] = fc.sample(numbers, { seed, numRuns: 1 });
	return () => stream!.next().value / steps;
}

export interface Opened {
	number: number;
	branch: string;
	title: string;
	body: string;
	state: "open" | "closed";
	/** How often its checks were started. */
	started: number;
}

/** What GitHub holds. */
export class Server {
	/** Commits on each branch, first to last. */
	readonly branches = new Map<string, Commit["files"][]>();
	readonly pullRequests: Opened[] = [];
	/** Heads that have check runs. */
	readonly checked = new Set<string>();

	of(branch: string): Opened[] {
		return this.pullRequests.filter((pullRequest) => pullRequest.branch === branch);
	}

	/** Somebody merges or closes it, and the branch is deleted. */
	close(pullRequest: Opened): void {
		pullRequest.state = "closed";
		this.branches.delete(pullRequest.branch);
	}

	/** GitHub for one process. `faults` are the chances of a crash and of a lost answer at each step. */
	connect(random: () => number, faults: { crash: number; lost: number }): ProposalsOnGitHub {
		let dead = false;
		/** Before and after whatever GitHub does, others act; a process that has died asks for nothing more. */
		const step = async (isAnswer = false) => {
			for (let turns = Math.floor(random() * 6); turns > 0; turns -= 1) await Promise.resolve();
			if (!dead && random() < faults.crash) dead = true;
			if (dead) throw new Crash("the runner died");
			if (isAnswer && random() < faults.lost) throw new ServiceError("GitHub", "no answer");
		};
		/** One request: what GitHub does, it does at once. */
		const request = async <T>(act: () => T): Promise<T> => {
			await step();
			const answer = act();
			await step(true);
			return answer;
		};
		const list = (prefix: string) =>
			this.pullRequests
				.filter(({ branch }) => branch.startsWith(prefix))
				.map(({ number, branch, state }) => ({
					number,
					state,
					head: { ref: branch, sha: headOf(branch), fork: false },
				}));

		return {
			pullRequestsFrom: (prefix) => request(() => list(prefix) as PullRequest[]),
			pullRequestsOn: (name) => request(() => list(name).filter(({ head }) => head.ref === name) as PullRequest[]),
			checkRuns: (sha) => request(() => (this.checked.has(sha) ? [CHECK] : [])),

			commitFiles: async ({ branch, files }) => {
				if (!(await request(() => this.branches.has(branch)))) {
					const made = await request(() => {
						if (this.branches.has(branch)) return false;
						this.branches.set(branch, [files]);
						return true;
					});
					if (made) return "created";
				}
				return request(() => {
					const commits = this.branches.get(branch) ?? [];
					if (JSON.stringify(commits.at(-1)) === JSON.stringify(files)) return "unchanged";
					this.branches.set(branch, [...commits, files]);
					return "updated";
				});
			},

			openPullRequest: async ({ branch, title, body }) => {
				const [before] = await request(() => this.of(branch));
				if (before) return { number: before.number, created: false };
				const opened = await request(() => {
					// GitHub refuses a second one only while the first is open, and where there is no such branch.
					if (!this.branches.has(branch) || this.of(branch).some(({ state }) => state === "open")) return null;
					const number = this.pullRequests.length + 1;
					this.pullRequests.push({ number, branch, title, body, state: "open", started: 0 });
					return number;
				});
				if (opened !== null) return { number: opened, created: true };
				const [winner] = await request(() => this.of(branch));
				if (!winner) throw new ServiceError("GitHub", `there is no branch ${branch}`);
				return { number: winner.number, created: false };
			},

			dispatchWorkflow: (_, branch, inputs) =>
				request(() => {
					const pullRequest = this.pullRequests.find(({ number }) => String(number) === inputs["pull-request"]);
					if (pullRequest?.branch !== branch) throw new ServiceError("GitHub", `no pull request of ${branch}`);
					pullRequest.started += 1;
					this.checked.add(headOf(branch));
				}),
		};
	}
}

const CHECK = { name: "checks", status: "completed", conclusion: "success", title: "" };

function headOf(branch: string): string {
	return `head of ${branch}`;
}
