// The answer to a question about checks
import { expect, test } from "vitest";
import { explain, findChecks, unexplained } from "../../../actions/lib/follow/explain.ts";
import { makeScores } from "../../fixtures/evaluation.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { renderMarkdown } from "../../screenshot.ts";

const { verdict } = makeJudged(makeScores({ night: 0.2 }));
const named = (question: string) => findChecks(verdict, question).map(({ metric, slice }) => `${metric} ${slice}`);

test("is about the checks that every word names, or that block where no word does", () => {
	expect(named("map night")).toEqual(["map night"]);
	expect(named("Night")).toEqual(["map night"]);
	expect(named("fail")).toContain("map night");
	expect(named("overall latency_p95_ms")).toEqual(["latency_p95_ms null"]);
	expect(named("latency P95 overall")).toEqual(["latency_p95_ms null"]);
	expect(named("mAP on night")).toEqual(["map night"]);
	expect(named("map nowhere")).toEqual([]);
	expect(named("mAP50 night")).toEqual([]);
	expect(named("")).toEqual(
		verdict.checks.filter(({ blocking }) => blocking).map(({ metric, slice }) => `${metric} ${slice}`),
	);
});

test("says what was measured, the limit, and where the rule is", () => {
	const answer = explain(verdict, "map night");
	expect(answer).toContain("**❌ fail: mAP on `night`**");
	expect(answer).toMatch(/measured −0\.200 \(−0\.220 to −0\.180\), limit: drop\s≤\s0\.05, against production v1/);
	expect(answer).toContain("rule: `metric: map` at `recipes/gates/perception.yaml`, line 12");
});

test("is about a category's metric by its key and by its name", () => {
	const [check] = verdict.checks;
	const other = { ...check!, metric: "ap/rider", slice: null, blocking: false };
	const both = { ...verdict, checks: [check!, other] };
	for (const question of ["ap/rider", "rider AP", "Rider ap overall", "rider"])
		expect(findChecks(both, question)).toEqual([other]);
	expect(explain(both, "rider AP")).toContain("`rider` AP overall**");
});

test("names the checks that there are where none is meant", () => {
	expect(explain(verdict, "nothing")).toContain("No check of `more-night` matches `nothing`. Its checks:");
	expect(unexplained("more-night")).toContain("isn't judged yet");
});

test("takes a question for text, whatever it says", () => {
	const hostile = "@team `</code><img src=x> [a](javascript:b) | $(x)";
	const answer = explain({ ...verdict, experiment: hostile }, hostile);
	expect(answer.replaceAll(/`[^`]*`/g, "")).not.toMatch(/@team|<img|javascript/);
	expect(renderMarkdown(answer)).not.toMatch(/<img|<a /);
});
