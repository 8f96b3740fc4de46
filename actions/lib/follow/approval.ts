// Who is asked before a training spends, and who has said yes, become the runs that may start.
import { type Asked, ENVIRONMENT } from "../comment/approval_section.ts";
import { InvalidInput } from "../errors.ts";
import type { Plan } from "../generated/documents.d.ts";
import type { GitHub } from "../github/objects.ts";
import { approvalOf, shortApproval } from "../plan/identity.ts";
import type { Project } from "../project.ts";
import { approvalsIn, mayCommand } from "./slash_command.ts";

/** A pull request and where it is. */
interface Pull {
	github: GitHub;
	place: { number: number };
}

/** Who is asked before a training spends; the configuration is the base branch's. */
export async function whoIsAsked(
	github: GitHub,
	{ unapprovedSpending }: Pick<Project, "unapprovedSpending">,
): Promise<Asked> {
	if (await github.hasReviewers(ENVIRONMENT)) return "reviewers";
	return unapprovedSpending ? "nobody" : "comment";
}

/** Those of the runs that may start as soon as their job does: where people answer by a comment, those that one approves. */
export async function approvedOf<T extends { approval: string }>(
	runs: readonly T[],
	asked: Asked,
	{ github, place }: Pull,
): Promise<T[]> {
	if (asked !== "comment") return [...runs];
	const isNamed = (run: T, digests: readonly string[]) =>
		digests.some((digest) => run.approval.startsWith(`sha256:${digest}`));
	const { author } = await github.pullRequest(place.number);
	const given: string[] = [];
	const may = new Map<string, Promise<boolean>>();
	for (const { login, body } of await github.remarksOn(place.number)) {
		const digests = approvalsIn(body);
		// Whoever may comment could name digests: only those that decide something are worth a question.
		if (login.toLowerCase() === author.toLowerCase() || !runs.some((run) => isNamed(run, digests))) continue;
		if (!may.has(login)) may.set(login, github.permissionOf(login).then(mayCommand));
		if (await may.get(login)) given.push(...digests);
	}
	return runs.filter((run) => isNamed(run, given));
}

/** Throws InvalidInput where a plan would spend without an approval; without a pull request nobody is asked. */
export async function requireApproved(
	plan: Plan,
	pull: Pull | null,
	project: Pick<Project, "unapprovedSpending">,
): Promise<void> {
	if (!pull) return;
	const approval = approvalOf(plan);
	const asked = await whoIsAsked(pull.github, project);
	const { length } = await approvedOf([{ approval }], asked, pull);
	if (length === 0)
		throw new InvalidInput(
			`Nobody has approved plan ${shortApproval(approval)}…: the environment ${ENVIRONMENT} has no required reviewers, and on #${pull.place.number} nobody with write access, other than its author, has commented \`/approve ${shortApproval(approval)}\`. A comment that was edited doesn't count.`,
		);
}
