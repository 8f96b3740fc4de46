// An open pull request becomes the reason why GitHub starts no workflow for it, if there is one: nobody else would tell.
import { ServiceError } from "../errors.ts";
import type { Git } from "../git/git.ts";
import type { PullRequest } from "../github/objects.ts";

/** A workflow's `paths` looks at so many changed files of a pull request. */
const FILTERED = 300;

/** Why no workflow starts for a pull request, on a checkout of its base branch that has its head too; null where one does. */
export async function hindranceOf({ state, head, base }: PullRequest, git: Git): Promise<string | null> {
	if (state !== "open") return null;
	if (await conflicts(head.sha, git))
		return `This pull request conflicts with \`${base.ref}\`, and GitHub starts no workflow for it: nothing is trained until somebody resolves the conflict.`;
	const changed = (await git("diff", "--name-only", "-z", `HEAD...${head.sha}`)).split("\0").filter(Boolean);
	const seen = changed.slice(0, FILTERED).some((file) => /^experiments\/[^/]+\.yaml$/.test(file));
	if (changed.length <= FILTERED || seen) return null;
	return `This pull request changes ${changed.length} files, and GitHub looks for experiments among the first ${FILTERED} only, so that no workflow starts: put the experiment into a pull request of its own.`;
}

async function conflicts(head: string, git: Git): Promise<boolean> {
	try {
		await git("merge-tree", "--write-tree", "--name-only", "HEAD", head);
		return false;
	} catch (error) {
		// Of a conflict git tells on its output alone; an error has words.
		if (error instanceof ServiceError && error.message === "git merge-tree ended with 1: ") return true;
		throw error;
	}
}
