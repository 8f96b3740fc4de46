// A merge that is taken back becomes production going back: the model that it promoted is replaced by the one that it had replaced.
import { ServiceError, sentenceOf } from "../errors.ts";
import type { Entry, Promotion } from "../generated/documents.d.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, PullRequest } from "../github/objects.ts";
import type { Approval } from "../plan/registry.ts";
import type { Project } from "../project.ts";
import { findPromotions } from "../promote/marks.ts";
import { recordRollback } from "../promote/record.ts";
import { code } from "../text/markdown.ts";

interface RollbackPorts {
	project: Project;
	git: Git;
	github: GitHub;
}

/** Options of the rollback: the branch that was merged into, and how far back to look. */
interface RollbackOptions {
	branch: string;
	days: number;
}

/** How branches begin whose merge takes production back. */
export const ROLLBACKS = "proving-ground/rollback/";
const DAY_MS = 86_400_000;
const EXPERIMENTS = ":(glob)experiments/*.yaml";

/** Opens the pull request that takes a merged one's experiments back, as the button Revert does; false where it brought none, where one of them was changed since, or where that was asked before. */
export async function revertMerge(
	pull: PullRequest,
	{ git, github }: Pick<RollbackPorts, "git" | "github">,
): Promise<boolean> {
	const { number, head, base } = pull;
	const files = await filesBefore(pull, git);
	// Another pull request may have made something else of one.
	for (const { path } of files) if ((await blob("HEAD", path, git)) !== (await blob(head.sha, path, git))) return false;
	if (files.length === 0) return false;
	const branch = `${ROLLBACKS}${number}`;
	const title = `Roll back #${number}`;
	await github.commitFiles({ branch, base: base.ref, message: title, files });
	const list = files.map(({ path }) => `- ${code(path)}`).join("\n");
	const body = `Reverts the experiments of #${number} (${code(head.ref)}):\n\n${list}\n\nMerge this to bring back the model that #${number} replaced. This has no effect if another model is production by then. Nothing is trained: both models are in the registry. Close this to leave production as it is.`;
	const { created } = await github.openPullRequest({ branch, base: base.ref, title, body, labels: [] });
	return created;
}

/** The experiments that a pull request has changed, as they were where it left the branch, however it was merged. */
async function filesBefore(pull: PullRequest, git: Git): Promise<{ path: string; content: string | null }[]> {
	const left = await whereItLeft(pull, git);
	const range = [left, pull.head.sha, "--", EXPERIMENTS];
	const changed = (await git("diff", "--name-status", "-z", "--no-renames", ...range)).split("\0");
	const files: { path: string; content: string | null }[] = [];
	for (let index = 0; index + 1 < changed.length; index += 2) {
		const [status, path] = [changed[index], changed[index + 1]!];
		files.push({ path, content: status === "A" ? null : await git("show", `${left}:${path}`) });
	}
	return files;
}

/** The commit at which a pull request left the branch; its own commits are fetched where they aren't there. */
async function whereItLeft({ number, head, base }: PullRequest, git: Git): Promise<string> {
	await git("cat-file", "-e", `${head.sha}^{commit}`).catch(() =>
		git("fetch", "--quiet", "--no-tags", "origin", `refs/pull/${number}/head`),
	);
	return (await git("merge-base", base.sha, head.sha)).trim();
}

async function blob(revision: string, path: string, git: Git): Promise<string> {
	return (await git("rev-parse", "--verify", "--quiet", `${revision}:${path}`).catch(() => "")).trim();
}

/** Whether a pull request is what revertMerge() opens: by us, and with exactly its changes. Anybody who may push can name a branch so, or push to one. */
async function isRollback(pull: PullRequest, { git, github }: Pick<RollbackPorts, "git" | "github">): Promise<boolean> {
	const [, taken] = /^([1-9]\d*)$/.exec(pull.head.ref.slice(ROLLBACKS.length)) ?? [];
	if (!taken || pull.author !== github.author || pull.head.fork) return false;
	const original = await github.pullRequest(Number(taken));
	const left = await whereItLeft(pull, git);
	const changed = (await git("diff", "--name-only", "-z", "--no-renames", left, pull.head.sha))
		.split("\0")
		.filter(Boolean);
	const files = await filesBefore(original, git);
	if (files.length === 0 || changed.length !== files.length) return false;
	const before = await whereItLeft(original, git);
	for (const { path } of files) {
		if (!changed.includes(path)) return false;
		if ((await blob(pull.head.sha, path, git)) !== (await blob(before, path, git))) return false;
	}
	return true;
}

/** The pull requests that were merged into the branch as rollbacks in the last days, and a line on each that only bears a rollback's name. */
async function mergedRollbacks(
	ports: Pick<RollbackPorts, "git" | "github">,
	{ branch, days }: RollbackOptions,
): Promise<{ rollbacks: PullRequest[]; unclear: PullRequest[]; told: string[]; failures: unknown[] }> {
	const rollbacks: PullRequest[] = [];
	const unclear: PullRequest[] = [];
	const told: string[] = [];
	const failures: unknown[] = [];
	// Nothing has happened to what was merged longer ago, and it is settled.
	const since = new Date(Date.now() - days * DAY_MS);
	for (const pull of await ports.github.pullRequestsFrom(ROLLBACKS, since)) {
		if (!pull.merged || pull.base.ref !== branch) continue;
		try {
			if (await isRollback(pull, ports)) rollbacks.push(pull);
			else
				told.push(`#${pull.number}: its branch is named like a rollback, but its changes aren't one: production stays`);
		} catch (error) {
			unclear.push(pull);
			failures.push(error);
			told.push(`#${pull.number}: could not be checked: ${sentenceOf(error)}`);
		}
	}
	return { rollbacks, unclear, told, failures };
}

/** Takes production of each line back whose pull request was taken back since: by `/rollback`, or by a revert that removed its experiment. Returns the merged rollbacks, those that may be one among them, what it did, and what has failed. Safe to repeat. */
export async function rollBackMerged(
	ports: RollbackPorts,
	options: RollbackOptions,
): Promise<{ rollbacks: PullRequest[]; told: string[]; failures: unknown[] }> {
	const { rollbacks, unclear, told, failures } = await mergedRollbacks(ports, options);
	for (const model of await ports.project.registry.lines()) {
		try {
			await rollBackLine(model, rollbacks, { ...ports, ...options, tell: (line) => told.push(`${model}: ${line}`) });
		} catch (error) {
			failures.push(error);
			told.push(`${model}: could not be rolled back: ${sentenceOf(error)}`);
		}
	}
	return { rollbacks: [...rollbacks, ...unclear], told, failures };
}

/** Takes one line back as far as is asked, for one pull request may have brought several of its models; records each step, and what an interrupted run has left. */
async function rollBackLine(
	model: string,
	asked: readonly PullRequest[],
	ports: RollbackPorts & RollbackOptions & { tell: (line: string) => void },
): Promise<void> {
	const { project, git, github, days, tell } = ports;
	for (let above = Number.POSITIVE_INFINITY; ; ) {
		const { versions, approvals } = await project.registry.history(model);
		await recordAll({ versions, approvals }, ports);
		const last = approvals.at(-1);
		const current = versions.find(({ entry }) => entry.version === last?.version)?.entry;
		if (!last || !current || last.version >= above) return;
		// Where the model became production last: what was taken back before that is over.
		const brought = (await findPromotions(model, last.version, { github, store: project.store })).commits.at(-1);
		if (brought === undefined) return;
		const by = (await askedBy(brought, asked, github)) ?? (await revertedBy(current.experiment, brought, days, git));
		if (by === null) return;
		// What it replaced when it was new: production may have come back to it from what was worse.
		const first = approvals.find(({ version }) => version === last.version)!;
		const before = versions.find(({ entry }) => entry.version === first.replaced)?.entry;
		if (!before) {
			const file = `experiments/${current.experiment}.yaml`;
			tell(`${file} was reverted, but v${last.version} had replaced no model: it stays production`);
			return;
		}
		const { version, manifest, verdict } = before;
		const at = new Date().toISOString();
		const approval = { version, replaced: last.version, manifest, verdict, approved_by: by, approved_at: at };
		await project.registry.approve(model, approval);
		above = last.version;
	}
}

/** Records each time that production went back lately, where no mark says that it was. */
async function recordAll(
	{ versions, approvals }: Awaited<ReturnType<Project["registry"]["history"]>>,
	{ project, git, github, branch, days, tell }: RollbackPorts & RollbackOptions & { tell: (line: string) => void },
): Promise<void> {
	const since = Date.now() - days * DAY_MS;
	for (const approval of approvals) {
		const { version, replaced } = approval;
		// What is judged against a model is registered after it: only a rollback approves the older one.
		if (replaced === null || version > replaced || Date.parse(approval.approved_at) < since) continue;
		const found = versions.find(({ entry }) => entry.version === version);
		if (!found) continue;
		const promotion = promotionOf(found.entry, found.location, approval);
		const head = (await git("rev-parse", "HEAD")).trim();
		if (await recordRollback(promotion, head, { project, github, tell }, branch))
			tell(`rolled back from v${replaced} to v${version}`);
	}
}

/** Who has merged the rollback of the pull request that brought a commit; null where none was. */
async function askedBy(brought: string, asked: readonly PullRequest[], github: GitHub): Promise<string | null> {
	if (asked.length === 0) return null;
	const bringing = new Set((await github.pullRequestsOf(brought)).map(({ number }) => `${ROLLBACKS}${number}`));
	const rollback = asked.find(({ head }) => bringing.has(head.ref));
	if (!rollback) return null;
	const { number, author } = rollback;
	const { merged, mergedBy } = await github.pullRequest(number);
	// An answer from before the merge would make its author the one who has approved it.
	if (!merged) throw new ServiceError("GitHub", `#${number} is merged by one answer, and isn't by the next.`);
	return mergedBy ?? author;
}

/** Who has reverted what a commit brought, so that the experiment's file is gone; null where it stands, or was removed in tidying up. */
async function revertedBy(experiment: string, brought: string, days: number, git: Git): Promise<string | null> {
	const file = `:(literal)experiments/${experiment}.yaml`;
	if ((await git("ls-files", "--", file)).trim() !== "") return null;
	const log = ["log", "-1", "--first-parent", "-m", "--diff-filter=D", `--since=${days} days ago`];
	const found = (await git(...log, "--format=%H%x00%an%x00%B", "--", file)).split("\0");
	const [removal, by, message = ""] = found.map((text) => text.trim());
	// As git and GitHub write it, in the message or in the name of the branch.
	if (!removal || !/\brevert\b/i.test(message)) return null;
	const isAfter = await git("merge-base", "--is-ancestor", brought, removal).then(
		() => true,
		() => false,
	);
	return isAfter ? by! : null;
}

function promotionOf({ model, experiment, run, waived }: Entry, location: string, approval: Approval): Promotion {
	const recorded = { schema: 1 as const, experiment, model, status: "approved" as const, run, location };
	return { ...recorded, ...approval, ...(waived ? { waived } : {}) };
}
