// Another exam than production's becomes checks that don't pass: of slices that nothing measures any more, and of the test split itself.
import { isOtherExam } from "../data/test_split.ts";
import type { PlanRule, PlanTestChange, Report, Verdict } from "../generated/documents.d.ts";
import { isLatency, TEST_SPLIT } from "../metrics.ts";
import { counted } from "../text/counted.ts";

type Check = Verdict["checks"][number];

/** The rules that `*` stands for on slices which production has and the candidate's data lack. */
export function rulesOfLost(rule: PlanRule, change: PlanTestChange | null | undefined): PlanRule[] {
	if (rule.slice !== "*") return [];
	const isMeasured = ({ category }: PlanTestChange["slices"][number]) =>
		category === null
			? !rule.metric.includes("/") && !isLatency(rule.metric)
			: [`ap/${category}`, `ece/${category}`].includes(rule.metric);
	const gone = (change?.slices ?? []).filter((slice) => slice.is === "gone" && isMeasured(slice));
	return gone.map(({ name }) => ({ ...rule, slice: name }));
}

/** Whether a check is of a slice that is gone: what lets the test split by lets it by too. */
export function isOfLost({ slice, actual, outcome }: Check, { data }: Report): boolean {
	if (outcome !== "fail" || actual !== null) return false;
	return (data.test?.change?.slices ?? []).some(({ name, is }) => is === "gone" && name === slice);
}

/** The check that an exam other than production's fails; none where it is the same, or frames only came to it. */
export function examCheck({ data }: Report): Check[] {
	const change = data.test?.change;
	if (!change || !isOtherExam(change)) return [];
	const { version, known, removed, relabelled, slices } = change;
	return [
		{
			metric: TEST_SPLIT,
			slice: null,
			bound: "max",
			value: 0,
			outcome: "fail",
			actual: known ? removed + relabelled + slices.length : null,
			interval: null,
			why: `Production v${version} was judged on another test split (${changeWords(change)}): an owner of the policies must approve this one.`,
			blocking: true,
			protected: false,
			candidate: null,
			production: null,
			frames: 0,
			units: 0,
			p_fail: null,
			settle: null,
			objects: null,
			min_frames: 1,
			reason: "a model may not choose the frames that it is judged on",
			line: 1,
		},
	];
}

/** What is different in a test split, in words; names of slices are untrusted text, and go through `quote`. */
export function changeWords(
	{ known, removed, relabelled, slices }: PlanTestChange,
	quote: (text: string) => string = (text) => text,
): string {
	const named = (is: "gone" | "changed") => slices.filter((slice) => slice.is === is).map(({ name }) => quote(name));
	const listed = (names: string[], what: string) =>
		names.length === 0 ? "" : `${what} ${names.slice(0, 8).join(", ")}${names.length > 8 ? " and more" : ""}`;
	return [
		known ? "" : "its frames aren't known here",
		removed > 0 ? `${counted(removed, "frame")} removed` : "",
		relabelled > 0 ? `${counted(relabelled, "frame")} relabelled` : "",
		listed(named("gone"), "without the slices"),
		listed(named("changed"), "with other frames in the slices"),
	]
		.filter(Boolean)
		.join(", ");
}
