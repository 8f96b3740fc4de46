// A merge that is taken back becomes production going back: the model that it promoted is replaced by the one that it had replaced.
import type { Git } from "./checkouts.ts";
import type { Promotion } from "./generated/documents.d.ts";
import type { GitHub, PullRequest } from "./github.ts";
import { code } from "./markdown.ts";
import type { Project } from "./project.ts";
import { recordRollback } from "./record.ts";

interface RollbackPorts {
	project: Project;
	git: Git;
	github: GitHub;
}

const EXPERIMENTS = ":(glob)experiments/*.yaml";

/** Opens the pull request that takes a merged one's experiments back, as the button Revert does; false where it brought none. Safe to repeat. */
export async function revertMerge(
	{ number, mergeCommit, base }: PullRequest,
	{ git, github }: Pick<RollbackPorts, "git" | "github">,
): Promise<boolean> {
	if (mergeCommit === null) return false;
	const range = [`${mergeCommit}^1`, mergeCommit];
	const changed = (await git("diff", "--name-status", "-z", "--no-renames", ...range, "--", EXPERIMENTS)).split("\0");
	const files: { path: string; content: string | null }[] = [];
	for (let index = 0; index + 1 < changed.length; index += 2) {
		const [status, path] = [changed[index], changed[index + 1]!];
		files.push({ path, content: status === "A" ? null : await git("show", `${mergeCommit}^1:${path}`) });
	}
	if (files.length === 0) return false;
	const branch = `proving-ground/rollback/${number}`;
	const title = `Roll back #${number}`;
	await github.commitFiles({ branch, base: base.ref, message: title, files });
	const list = files.map(({ path }) => `- ${code(path)}`).join("\n");
	const body = `Takes back what #${number} brought:\n\n${list}\n\nMerging this makes the model production again that the one of #${number} had replaced. Nothing is trained: both models are in the registry. Closing this leaves production as it is.`;
	await github.openPullRequest({ branch, base: base.ref, title, body, labels: [] });
	return true;
}

/** Takes production of each line back whose experiment was removed from the branch after its promotion; tells which. Safe to repeat. */
export async function rollBackRemoved(
	{ project, git, github }: RollbackPorts,
	{ branch, days }: { branch: string; days: number },
): Promise<string[]> {
	const told: string[] = [];
	for (const model of await project.registry.lines()) {
		const { versions, approvals } = await project.registry.history(model);
		const last = approvals.at(-1);
		const current = versions.find(({ entry }) => entry.version === last?.version)?.entry;
		if (!last || !current) continue;
		const removed = await removalOf(current.experiment, days, git);
		if (removed === null || removed.at <= last.approved_at) continue;
		// What it replaced when it was new: production may have come back to it from what was worse.
		const first = approvals.find(({ version }) => version === last.version)!;
		const before = versions.find(({ entry }) => entry.version === first.replaced);
		if (!before) {
			told.push(
				`${model}: experiments/${current.experiment}.yaml was removed, and v${last.version} had replaced no model: it stays production`,
			);
			continue;
		}
		const { entry, location } = before;
		const approval = await project.registry.approve(model, {
			version: entry.version,
			replaced: last.version,
			manifest: entry.manifest,
			verdict: entry.verdict,
			approved_by: removed.by,
			approved_at: new Date().toISOString(),
		});
		const promotion: Promotion = {
			schema: 1,
			experiment: entry.experiment,
			model,
			version: entry.version,
			status: "approved",
			run: entry.run,
			manifest: entry.manifest,
			verdict: approval.verdict,
			replaced: approval.replaced,
			approved_by: approval.approved_by,
			approved_at: approval.approved_at,
			location,
			...(entry.waived ? { waived: entry.waived } : {}),
		};
		await recordRollback(promotion, { project, github }, branch);
		told.push(`${model}: rolled back from v${last.version} to v${entry.version}`);
	}
	return told;
}

/** When and by whom an experiment's file was removed from the branch; null where it stands there, or was never there of late. */
async function removalOf(experiment: string, days: number, git: Git): Promise<{ at: string; by: string } | null> {
	const file = `:(literal)experiments/${experiment}.yaml`;
	if ((await git("ls-files", "--", file)).trim() !== "") return null;
	const log = ["log", "-1", "--first-parent", "-m", "--diff-filter=D", `--since=${days} days ago`];
	const found = (await git(...log, "--format=%cI%x00%an", "--", file)).trim();
	if (found === "") return null;
	const [at, by] = found.split("\0");
	return { at: new Date(at!).toISOString(), by: by! };
}
