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
	expect(named("map nowhere")).toEqual([]);
	expect(named("")).toEqual(
		verdict.checks.filter(({ blocking }) => blocking).map(({ metric, slice }) => `${metric} ${slice}`),
	);
});

test("says what was found and asked, and where the rule stands", () => {
	const answer = explain(verdict, "map night");
	expect(answer).toContain("**❌ fail `map` `night`**");
	expect(answer).toMatch(/found −0\.200 \(−0\.220 to −0\.180\), asked drop\s≤\s0\.05, against production v1/);
	expect(answer).toContain("the rule stands at `recipes/gates/perception.yaml`, line 12");
});

test("names the checks that there are where none is meant", () => {
	expect(explain(verdict, "nothing")).toContain("No check of `more-night` answers to `nothing`. There are:");
	expect(unexplained("more-night")).toContain("isn't judged yet");
});

test("takes a question for text, whatever it says", () => {
	const hostile = "@team `</code><img src=x> [a](javascript:b) | $(x)";
	const answer = explain({ ...verdict, experiment: hostile }, hostile);
	expect(answer.replaceAll(/`[^`]*`/g, "")).not.toMatch(/@team|<img|javascript/);
	expect(renderMarkdown(answer)).not.toMatch(/<img|<a /);
});
