// What GitHub keeps of a verdict becomes a comparison: the evaluation that is in the store must be the one that was judged.
import { anchorsIn } from "../comment/anchor.ts";
import { checkName, markerOf } from "../comment/comment.ts";
import { InvalidInput } from "../errors.ts";
import type { Report } from "../generated/documents.d.ts";
import type { GitHub } from "../github/objects.ts";

/** Where a pull request, or a commit that none has brought, shows what was judged. */
export interface AnchorPlace {
	number: number | null;
	head: { sha: string };
}

/** Throws InvalidInput where a check run of the commit, or the pull request's comment, says that another evaluation was judged. None says anything of what is new, and GitHub keeps check runs for 90 days: the registry has the entry that must be there. */
export async function requireAnchored(
	{ experiment: { name }, evaluation, manifest, evidence }: Report,
	pull: { github: Pick<GitHub, "checkSummaries" | "commentsOf">; place: AnchorPlace } | null,
): Promise<void> {
	if (!pull) return;
	const { number, head } = pull.place;
	const measured = { evaluation_manifest: evidence.evaluation, manifest };
	// Of an earlier version, which shows nothing to compare with.
	if (measured.evaluation_manifest === undefined) return;
	const checks = await pull.github.checkSummaries(head.sha, checkName(name));
	const comments = number === null ? [] : await pull.github.commentsOf(number, markerOf({ experiment: { name } }));
	const places = [
		...checks.map((text) => ({ where: `the check run on ${head.sha}`, text })),
		...comments.map((text) => ({ where: `the comment on #${number}`, text })),
	];
	for (const { where, text } of places)
		for (const anchor of anchorsIn(text)) {
			if (anchor.evaluation !== evaluation) continue;
			for (const key of ["evaluation_manifest", "manifest"] as const)
				if (anchor[key] !== measured[key])
					throw new InvalidInput(
						`${evaluation} isn't what was judged. Its ${key} in the store is ${measured[key]}; ${where} says ${anchor[key]}. Bring back what was judged, or change the experiment or its seed and train again.`,
					);
		}
}
