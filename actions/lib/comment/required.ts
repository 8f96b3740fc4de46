// The check runs of a commit's experiments become one with a fixed name, which a rule of the repository can require.
import type { CheckRun, ShownCheck } from "../github/objects.ts";
import { counted } from "../text/counted.ts";
import { code, renderTable } from "../text/markdown.ts";

/** The name of the check run, whatever a pull request brings. */
export const REQUIRED = "proving-ground";

/** Whether a check run is the required one: a job of that name is a check run too, and has no title. */
export function isRequired({ name, title }: Pick<ShownCheck, "name" | "title">): boolean {
	return name === REQUIRED && title !== "";
}

/** How many experiments the check run was made for: a job that shows one of them knows no other. */
export function experimentsOf({ title }: Pick<ShownCheck, "title">): number {
	return Number(/ of (\d+) experiments? passed$/.exec(title)?.[1] ?? 0);
}

/** As bad as the worst of the experiments' check runs, and open as long as one of `count` isn't there or isn't completed. */
export function requiredCheck(count: number, experiments: readonly ShownCheck[], sha: string): CheckRun {
	const total = Math.max(count, experiments.length);
	const passed = experiments.filter(isPassed).length;
	const title =
		total === 0 ? "No experiment in this pull request" : `${passed} of ${counted(total, "experiment")} passed`;
	return { name: REQUIRED, sha, ...stateOf(total, experiments), title, summary: summaryOf(experiments, title) };
}

function isPassed({ conclusion }: ShownCheck): boolean {
	return conclusion === "success" || conclusion === "neutral";
}

function stateOf(total: number, experiments: readonly ShownCheck[]): Pick<CheckRun, "status" | "conclusion"> {
	const some = (conclusion: string) => experiments.some((check) => check.conclusion === conclusion);
	// What has failed stays so until a push, whatever the others come to.
	for (const worst of ["failure", "cancelled"] as const)
		if (some(worst)) return { status: "completed", conclusion: worst };
	if (experiments.filter(isPassed).length < total) {
		const isWaiting = experiments.every(({ status }) => status === "queued");
		return { status: isWaiting ? "queued" : "in_progress", conclusion: null };
	}
	return { status: "completed", conclusion: some("neutral") ? "neutral" : "success" };
}

/** Rows of the table, each of at most two cells of 160 characters. */
const MOST_ROWS = 50;

function summaryOf(experiments: readonly ShownCheck[], title: string): string {
	if (experiments.length === 0) return `${title}.\n`;
	const rows = experiments.map(({ name, title: said }) => [code(name), code(said)]);
	const table = { head: ["check run", "it says"], align: "ll", rows, rest: "the list of checks" };
	return `${renderTable(table, MOST_ROWS)}\n`;
}
