// A test split that isn't production's becomes what a reviewer reads first: what is different, who must approve it, and frames that don't count yet.
import { addedFrames, isOtherExam } from "../data/test_split.ts";
import { changeWords } from "../gate/exam.ts";
import type { Plan, Report, Verdict } from "../generated/documents.d.ts";
import { decimalsOf, nameOf, TEST_SPLIT } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { change as changeText, code, figure } from "../text/markdown.ts";
import type { Show } from "./sections.ts";

/** What differs in the exam; empty where it is production's, or there is no production model. */
export function examSection({ data: { test }, experiment, policy }: Plan, verdict: Verdict | undefined): string {
	const { change, split } = test;
	if (!change || !isOtherExam(change)) return "";
	// A hosted runner sees digests alone, and frames that only came to the others need no approval.
	if (!change.known && change.slices.length === 0 && !verdict)
		return `The test frames are not those that production v${change.version} was judged on. The job that trains can tell which of them differ, and says so here.`;
	const frames = addedFrames(change);
	const added = frames > 0 ? `, ${counted(frames, "frame")} added` : "";
	const what = `⚠️ **Another test split than production's.** Production v${change.version} was judged on another one: ${changeWords(change, code)}${added}. Both models are measured on this one.`;
	const waived = verdict?.checks.find(({ metric }) => metric === TEST_SPLIT)?.waived;
	if (waived) return `${what} ${code(waived.who)} has approved it: ${code(waived.reason)}`;
	const words = [
		code(`check: { metric: ${TEST_SPLIT}, split: "${split}" }`),
		code(`model: ${experiment.model}`),
		code(`experiment: ${experiment.name}`),
	];
	const file = code(policy.waivers?.file ?? "recipes/gates/waivers.yaml");
	return `${what} To promote the model, an owner of the policies must approve it, by a waiver in ${file} with ${words.join(", ")}.`;
}

/** Frames that came to production's test split: they are shown, and decide nothing yet. */
export function addedSection({ data: { test } }: Plan, report: Report | undefined, table: Show): string {
	const { change } = test;
	if (!change || isOtherExam(change)) return "";
	const frames = addedFrames(change);
	const what = `**${counted(frames, "test frame was", "test frames were")} added** to those that production v${change.version} was judged on. The others decide; these count once a model that was measured on them is production.`;
	const scores = (report?.added?.scores ?? []).filter(({ metric }) => !metric.includes("/"));
	if (scores.length === 0) return what;
	const rows = scores.map(({ metric, candidate, production, delta }) => {
		const decimals = decimalsOf(metric);
		return [
			nameOf(metric, code),
			figure(production, decimals),
			figure(candidate, decimals),
			changeText(delta, decimals),
		];
	});
	const head = ["on the added frames", "production", "this", "change"];
	return `${what}\n\n${table({ head, align: "lrrr", rows, rest: "report.json" }, 15)}`;
}
