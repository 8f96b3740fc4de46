// A number that somebody gave a workflow becomes the pull request whose head the run is of, or a refusal.
import { InvalidInput } from "../errors.ts";
import type { PullRequest } from "../github/objects.ts";

/** Throws InvalidInput where a pull request's head isn't the commit that a workflow run is of. Whoever starts a workflow by hand may name any number: nothing is written to, or read as, another pull request. */
export function requireHead({ number, head }: Pick<PullRequest, "number" | "head">, sha: string): void {
	if (head.sha === sha) return;
	throw new InvalidInput(
		`The head of #${number} is ${head.sha}, but this workflow run is of ${sha}. Somebody has pushed since, or the input pull-request names another pull request. The workflow run of that head takes over.`,
	);
}
