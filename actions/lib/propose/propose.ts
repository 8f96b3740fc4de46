// Proposals, the clock, what was published and the pull requests of before become the experiments that are due, each proposed once.
import type { Plan } from "../generated/documents.d.ts";
import { type Due, dueProposals, type Moment, type Proposal } from "./due.ts";
import { renderProposal } from "./proposal_text.ts";

/** Where proposals are kept, and known by their branches alone: never by a text that somebody may have written. */
export interface Forge {
	/** Branches of proposals that a pull request was ever opened from, each with its state. */
	proposed(): Promise<ReadonlyMap<string, "open" | "closed">>;
	/** One commit on a new branch from the base, and one pull request from it; safe to repeat and to race: one branch, one pull request. */
	propose(proposal: Proposal): Promise<"created" | "there">;
	/** Starts the checks of a branch's open pull request where nothing has started them; safe to repeat. */
	start(branch: string): Promise<"started" | "there">;
}

export interface Ports {
	forge: Forge;
	/** The plan of an experiment that is due, or why there can't be one here. */
	forecast(due: Due): Promise<Plan | string>;
}

export interface Outcome {
	/** What was proposed, and whether it was there already. */
	proposed: { tick: string; branch: string; title: string; result: "created" | "there" }[];
	/** Ticks that wait until fewer pull requests are open. */
	waiting: string[];
}

/** Proposes what is due, and starts the checks of what is open; one that fails keeps no other back, and is thrown in the end. */
export async function proposeDue({ forge, forecast }: Ports, moment: Omit<Moment, "proposed">): Promise<Outcome> {
	const before = await forge.proposed();
	const { due, waiting } = dueProposals({ ...moment, proposed: before });
	const proposed: Outcome["proposed"] = [];
	const failures: unknown[] = [];
	const attempt = (step: () => Promise<unknown>) => step().catch((error: unknown) => failures.push(error));
	for (const each of due) {
		await attempt(async () => {
			const { tick, branch, files, title } = each;
			const body = renderProposal(each, await forecast(each));
			const result = await forge.propose({ tick, branch, files, title, body });
			proposed.push({ tick, branch, title, result });
		});
	}
	// An earlier run may have ended between a pull request and the start of its checks.
	const open = [...before].filter(([, state]) => state === "open").map(([branch]) => branch);
	const created = proposed.filter(({ result }) => result === "created").map(({ branch }) => branch);
	for (const branch of [...open, ...created]) await attempt(() => forge.start(branch));
	if (failures.length > 0) throw failures[0];
	return { proposed, waiting };
}
