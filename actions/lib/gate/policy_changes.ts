// Edited policies and slices become one comment: what they would have said of every model in the registry, beside what was said.
import { InvalidInput } from "../errors.ts";
import { namesIn } from "../experiment/files.ts";
import { WAIVERS } from "../experiment/waiver_file.ts";
import { changedFiles } from "../git/changed_files.ts";
import { checkOut } from "../git/checkouts.ts";
import type { Git } from "../git/git.ts";
import type { GitHub, Written } from "../github/objects.ts";
import type { Project } from "../project.ts";
import { type BacktestPorts, backtestPolicy, renderBacktest } from "./backtest.ts";

const MARKER = "<!-- proving-ground: backtest of policies -->";
/** GitHub refuses a body of more than 65,536 characters. */
const MAX_BYTES = 65_000;
const GATES = "recipes/gates";

/** The tables of all that was edited since a revision, as Markdown; empty where neither a policy nor slices were. */
export async function backtestChanges(ports: BacktestPorts, since: string): Promise<string> {
	const changed = await changedFiles(ports.root, since, [`:(glob)${GATES}/*.yaml`, ":(glob)**/slices.yaml"]);
	const isPolicy = (file: string) => file.startsWith(`${GATES}/`);
	const policies = changed.filter((file) => isPolicy(file) && file !== `${GATES}/${WAIVERS}.yaml`);
	const slices = changed.filter((file) => !isPolicy(file));
	const all = (await namesIn(`${ports.root}/${GATES}`)).filter((name) => name !== WAIVERS);
	// Other slices change what every policy says of them.
	const asked: { policy: string; slices?: string }[] = [
		...policies.map((policy) => ({ policy })),
		...slices.flatMap((file) => all.map((name) => ({ policy: `${GATES}/${name}.yaml`, slices: file }))),
	];
	const models = await ports.registry.lines();
	const tables: string[] = [];
	for (const { policy, slices } of asked)
		tables.push(renderBacktest(await backtestPolicy(ports, policy, { against: since, models, slices })));
	return withinLimit(tables);
}

function withinLimit(tables: readonly string[]): string {
	if (tables.length === 0) return "";
	const intro =
		"How the edited policy or slices would have judged every model in the registry. Nothing was measured again.";
	let text = `${MARKER}\n${intro}`;
	for (const [index, table] of tables.entries()) {
		if (Buffer.byteLength(text) + Buffer.byteLength(table) > MAX_BYTES)
			return `${text}\n\n…and ${tables.length - index} more tables: run \`npx proving-ground backtest <policy>\` for them.\n`;
		text += `\n\n${table}`;
	}
	return `${text}\n`;
}

export interface BacktestPullPorts {
	/** A checkout of the default branch, beside the registry. */
	project: Project;
	git: Git;
	github: GitHub;
}

/** Tries what a pull request edits, by the default branch's code on files of its head, and shows it there. */
export async function backtestPull(
	number: number,
	{ project, git, github }: BacktestPullPorts,
): Promise<{ body: string; comment: Written | null }> {
	const pull = await github.pullRequest(number);
	if (pull.head.fork)
		throw new InvalidInput(`#${number} comes from a fork: its policies are not tried beside the registry.`);
	const root = await checkOut(project, git, pull.head.sha, number);
	const body = await backtestChanges(project.at(root, "digested"), pull.base.sha);
	return { body, comment: body === "" ? null : await github.upsertComment(number, MARKER, body) };
}
