// What an approval of the spend covers, and who gives it, become the sentences that ask for it.
import { InvalidInput } from "../errors.ts";
import type { Spend } from "../plan/estimate.ts";
import { code } from "../text/markdown.ts";
import { spendText } from "./progress_section.ts";

/** The environment whose reviewers approve a spend. */
export const ENVIRONMENT = "training";

/** Who is asked before a training spends: GitHub asks the environment's reviewers; else people answer by a comment, or the configuration asks nobody. */
const ASKED = ["reviewers", "comment", "nobody"] as const;
export type Asked = (typeof ASKED)[number];

/** An approval of the spend, as far as its sentences say it. */
export interface Approval {
	/** Short digest of what it covers. */
	approval?: string;
	/** What all plans of the pull request take. */
	together?: Spend;
	/** Left out where it isn't known. */
	asked?: Asked;
}

const PUSHED = "A push makes a new plan, which needs its own approval.";
const NO_REVIEWERS = `the environment ${code(ENVIRONMENT)} has no required reviewers`;
const CONFIG = code(".github/proving-ground.yaml");

/** The comment that approves a plan, as people are asked for it. */
export function approvalOffer(short: string): string {
	return code(`/approve ${short}`);
}

/** What starts the run, and what it starts beside it. */
export function approvalSentence({ approval, together, asked }: Approval): string {
	if (approval === undefined) return "";
	const plan = code(`${approval}…`);
	const sum = together && together.runs > 1 ? together : null;
	const all = sum ? ` All ${sum.runs} runs of this pull request together take ${spendText(sum)}.` : "";
	switch (asked) {
		case "reviewers":
			if (sum)
				return `One approval of the environment ${code(ENVIRONMENT)} starts all ${sum.runs} runs of this pull request, this one as plan ${plan}. Together they take ${spendText(sum)}. The summary of the workflow run lists them. A push makes new plans, which need their own approval.`;
			return `Approve the environment ${code(ENVIRONMENT)} to run plan ${plan}. ${PUSHED}`;
		case "comment":
			return `GitHub asks nobody before this spends, because ${NO_REVIEWERS}: it starts once somebody with write access, other than the author, comments ${approvalOffer(approval)}.${sum ? `${all} Each needs its own approval.` : ""} ${PUSHED} To be asked otherwise, add required reviewers to the environment, or set ${code("unapproved_spending: true")} in ${CONFIG} on the base branch.`;
		case "nobody":
			return `Plan ${plan} starts without an approval: ${NO_REVIEWERS}, and ${CONFIG} allows unapproved spending.${all}`;
		default:
			return `Plan ${plan} starts once its spend is approved.${all} ${PUSHED}`;
	}
}

/** Who is asked, as the job that looked hands it on; nothing where it isn't known. Throws InvalidInput where it's anything else. */
export function parseAsked(text: string): Pick<Approval, "asked"> {
	if (text === "") return {};
	const asked = ASKED.find((known) => known === text);
	if (!asked) throw new InvalidInput(`asked: found ${JSON.stringify(text)}; it must be ${ASKED.join(", ")}, or empty.`);
	return { asked };
}
