// The noise of training
import { describe, expect, test } from "vitest";
import { nearSection } from "../../../actions/lib/comment/near_bounds_section.ts";
import { documentText, parseDocument } from "../../../actions/lib/documents.ts";
import { judge } from "../../../actions/lib/gate/gate.ts";
import type { PlanRule, Report, Verdict } from "../../../actions/lib/generated/documents.d.ts";
import {
	checkNoiseText,
	nearText,
	noiseSentence,
	scoreNoise,
	seedsSentence,
} from "../../../actions/lib/report/noise.ts";
import { makeScore, spreadOf } from "../../fixtures/evaluation.ts";
import { makeJudged, makeSeeds, withSeeds } from "../../fixtures/judged.ts";
import { makePlan, makeRule } from "../../fixtures/plan.ts";

type Seeds = NonNullable<Report["seeds"]>;
type Check = Verdict["checks"][number];

/** Seeds of which only the given models have a spread of mAP, and how many runs of each there are. */
function seedsOf(spreads: { candidate?: number; production?: number }, runs = [3, 2], next: number | null = 1): Seeds {
	const made = makeSeeds();
	const scores = (deviation: number | undefined, seeds: number) =>
		deviation === undefined ? [] : [{ metric: "map", slice: null, seeds, deviation, low: 0, high: 1 }];
	const first = (list: Seeds["candidate"]["runs"], count: number) =>
		Array.from({ length: count }, (_, seed) => ({ ...list[0]!, seed }));
	return {
		candidate: {
			...made.candidate,
			runs: first(made.candidate.runs, runs[0]!),
			scores: scores(spreads.candidate, runs[0]!),
		},
		production: {
			...made.production!,
			runs: first(made.production!.runs, runs[1]!),
			scores: scores(spreads.production, runs[1]!),
			next,
		},
	};
}

/** The check of one rule on a mAP that fell from 0.3 by so much, give or take 0.008. */
function checkOf(rule: Partial<PlanRule>, seeds: Seeds, drop = 0.02): Check {
	const policy = { ...makePlan().policy, rules: [makeRule(rule)] };
	const judged = withSeeds(makeJudged([makeScore({ drop, spread: 0.008 })], { policy }), seeds);
	return judged.verdict.checks[0]!;
}

describe("in a check", () => {
	test("of a change is that of both models together, or of the one that is known", () => {
		const noiseOf = (seeds: Seeds) => checkOf({}, seeds).noise;
		expect(noiseOf(seedsOf({ candidate: 0.03, production: 0.04 }))).toMatchObject({
			deviation: expect.closeTo(0.05, 12),
			candidate: 3,
			production: 2,
		});
		expect(noiseOf(seedsOf({ candidate: 0.03 }))).toMatchObject({ deviation: 0.03, candidate: 3, production: null });
		expect(noiseOf(seedsOf({ production: 0.04 }))).toMatchObject({ deviation: 0.04, candidate: null, production: 2 });
		expect(noiseOf(seedsOf({}))).toBeUndefined();
		expect(noiseOf({ ...seedsOf({ candidate: 0.03 }), production: null })).toMatchObject({ deviation: 0.03 });
	});

	test("of a level is the candidate's own", () => {
		const level = { bound: "min", value: 0.1 } as const;
		const { noise } = checkOf(level, seedsOf({ candidate: 0.03, production: 0.04 }));
		expect(noise).toEqual({ deviation: 0.03, candidate: 3, production: null, next: null });
		expect(checkOf(level, seedsOf({ production: 0.04 })).noise).toBeUndefined();
	});

	test("in per cent of production where the figure is", () => {
		const rule = { metric: "map", bound: "max_regression_percent", value: 10 } as const;
		const { noise } = checkOf(rule, seedsOf({ candidate: 0.003 }));
		expect(noise).toMatchObject({ deviation: expect.closeTo(1, 12), next: null });
	});

	test("is its slice's and its metric's own", () => {
		const seeds = seedsOf({ candidate: 0.03 });
		for (const other of [{ slice: "night" }, { metric: "miou" }]) {
			const [score] = seeds.candidate.scores;
			const candidate = { ...seeds.candidate, scores: [{ ...score!, ...other }] };
			expect(checkOf({}, { ...seeds, candidate }).noise).toBeUndefined();
		}
	});

	test.each([
		["passes", 0.0105, 0.03, "pass"],
		["can't be told", 0.0205, 0.02, "inconclusive"],
		["fails", 0.0405, 0.03, "fail"],
	] as const)(
		"that %s names the next seed where its bound is nearer than the noise, and only there",
		(_, drop, value, outcome) => {
			const distance = Math.abs(value - drop);
			for (const [deviation, near] of [
				[distance * 1.01, true],
				[distance * 0.99, false],
			] as const) {
				const check = checkOf({ value }, seedsOf({ candidate: deviation }, [3, 3]), drop);
				expect(check.outcome).toBe(outcome);
				expect(check.noise!.next).toEqual(near ? { experiment: "more-night", seed: 3 } : null);
			}
		},
	);

	test("names a seed of the model that has fewer of them, and of production only where that can be trained again", () => {
		const next = (runs: number[], of: number | null = 1, rule: Partial<PlanRule> = {}) =>
			checkOf(rule, seedsOf({ candidate: 1, production: 1 }, runs, of)).noise!.next;
		expect(next([3, 2])).toEqual({ experiment: "baseline", seed: 1 });
		expect(next([2, 2])).toEqual({ experiment: "more-night", seed: 3 });
		expect(next([2, 3])).toEqual({ experiment: "more-night", seed: 3 });
		expect(next([3, 2], null)).toEqual({ experiment: "more-night", seed: 3 });
		expect(next([3, 2], 1, { bound: "min", value: 0.1 })).toEqual({ experiment: "more-night", seed: 3 });
		const alone = { ...seedsOf({ candidate: 1 }), production: null };
		expect(checkOf({}, alone).noise!.next).toEqual({ experiment: "more-night", seed: 3 });
	});

	test("is told of no figure that has no interval, and holds to the schema", async () => {
		const { report } = withSeeds(makeJudged([makeScore({ frames: 3 })]), seedsOf({ candidate: 1 }));
		expect(judge(report).checks.every(({ noise }) => noise === undefined)).toBe(true);
		const noisy = withSeeds(makeJudged(), seedsOf({ candidate: 1 }));
		expect(noisy.verdict.checks.some(({ noise }) => noise?.next)).toBe(true);
		await expect(parseDocument("verdict", documentText(noisy.verdict), "verdict.json")).resolves.toEqual(noisy.verdict);
	});

	test("changes nothing else of the verdict", () => {
		for (const drop of [0, 0.03, 0.05]) {
			const before = makeJudged([makeScore({ drop })]);
			const { verdict } = withSeeds(before, seedsOf({ candidate: 1, production: 1 }));
			const checks = verdict.checks.map(({ noise: _, ...check }) => check);
			expect({ ...verdict, checks, report: "" }).toEqual({ ...before.verdict, report: "" });
			expect(verdict.report).not.toBe(before.verdict.report);
		}
	});
});

describe("in words", () => {
	const plain = (text: string) => text;
	const change = makeScore();
	const level = makeScore({ production: null, delta: null, ...spreadOf("delta", null) });

	test("stands beside a score's interval", () => {
		const seeds = seedsOf({ candidate: 0.003, production: 0.004 });
		expect(scoreNoise({ seeds }, change)).toBe("training noise ± 0.005");
		expect(scoreNoise({ seeds }, level)).toBe("training noise ± 0.003");
		expect(scoreNoise({ seeds }, { ...change, slice: "night" })).toBe("");
		expect(scoreNoise({}, change)).toBe("");
		const scores = [{ ...seeds.candidate.scores[0]!, metric: "min_fde" }];
		const tracks = { ...seeds, candidate: { ...seeds.candidate, scores } };
		expect(scoreNoise({ seeds: tracks }, { ...change, metric: "min_fde" })).toBe("training noise ± 0.003 m");
	});

	test.each([
		[{}, { candidate: 0.003, production: 0.004 }, "training noise ± 0.005 (3 and 2 seeds)"],
		[{}, { candidate: 0.003 }, "training noise ± 0.003 (3 seeds of this model alone)"],
		[{}, { production: 0.004 }, "training noise ± 0.004 (2 seeds of production alone)"],
		[{ bound: "min", value: 0.1 }, { candidate: 0.003 }, "training noise ± 0.003 (3 seeds)"],
		[
			{ bound: "max_regression_percent", value: 9 },
			{ candidate: 0.03 },
			"training noise ± 10.0 % (3 seeds of this model alone)",
		],
	] as const)("stands beside a check's interval, with the seeds behind it", (rule, spreads, text) => {
		expect(checkNoiseText(checkOf(rule, seedsOf(spreads)))).toBe(text);
	});

	test("says which seed to run where the bound is nearer, and nothing where it isn't", () => {
		expect(nearText(checkOf({}, seedsOf({ candidate: 1 }, [3, 3])))).toBe(
			"Closer to the limit than the training noise: another seed may change the outcome. To find out, run a copy of more-night with seed: 3.",
		);
		expect(nearText(checkOf({}, seedsOf({ candidate: 0.001 })))).toBe("");
		expect(nearText(checkOf({}, seedsOf({})))).toBe("");
	});

	test("says that it is in no interval, and without a second seed which one would be it", () => {
		const { report } = makeJudged();
		const code = (text: string) => `\`${text}\``;
		expect(noiseSentence(report, code)).toBe(
			"They don't include training noise, which is not known: neither model has a second seed. To measure it, run a copy of `more-night` with `seed: 1`.",
		);
		expect(noiseSentence({ ...report, seed: 4, baseline: null }, plain)).toBe(
			"They don't include training noise, which is not known: there is no second seed. To measure it, run a copy of more-night with seed: 0.",
		);
		expect(seedsSentence(report)).toBe("");
		const seeds = makeSeeds();
		expect(noiseSentence({ ...report, seeds }, plain)).toContain(
			"(this model: 0, 1, 2; production: 0, 4). For a change it combines both models",
		);
		expect(seedsSentence({ ...report, seeds })).toContain("(3 of this model, 2 of production);");
		const [one] = seeds.production!.runs;
		const alone = { ...seeds, production: { ...seeds.production!, runs: [one!] } };
		expect(seedsSentence({ ...report, seeds: alone })).toContain("(3 of this model);");
	});

	test("lists the checks that it may turn, what blocks first, each seed to run once, and no more than fit", () => {
		const { verdict } = makeJudged();
		expect(nearSection(verdict)).toBe("");
		const near = checkOf({}, seedsOf({ candidate: 1 }, [3, 3]));
		const pass = { ...near, outcome: "pass", slice: "a`b" } as const;
		const checks = [...Array.from({ length: 9 }, () => pass), { ...near, outcome: "fail", blocking: true } as const];
		const section = nearSection({ ...verdict, checks });
		const lines = section.split("\n").filter((line) => line.startsWith("- "));
		expect(lines).toHaveLength(9);
		expect(lines[0]).toMatch(
			/^- ❌ fail: mAP −0.020 overall, limit: drop.*, training noise ± 1.000 \(3 seeds of this model alone\)$/,
		);
		expect(lines[1]).toContain("✅ pass: mAP −0.020 on `aˋb`");
		expect(lines.at(-1)).toBe("- …and 2 more, in verdict.json");
		expect(section.match(/`more-night` with `seed: 3`/g)).toHaveLength(1);
	});
});
