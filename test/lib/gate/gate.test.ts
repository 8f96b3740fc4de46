// A verdict
import { describe, expect, test } from "vitest";
import { judge } from "../../../actions/lib/gate/gate.ts";
import { studentQuantile } from "../../../actions/lib/gate/student_t.ts";
import type { PlanRule, Report } from "../../../actions/lib/generated/documents.d.ts";
import { spreadOf } from "../../fixtures/evaluation.ts";

type Score = Report["scores"][number];

const score = (changes: Partial<Score> = {}): Score => ({
	metric: "map",
	slice: null,
	frames: 100,
	units: 100,
	objects: 300,
	candidate: 0.5,
	...spreadOf("candidate", [0.46, 0.54], 100),
	production: 0.49,
	delta: 0.01,
	...spreadOf("delta", [-0.01, 0.03], 100),
	...changes,
});
const rule = (changes: Partial<PlanRule> = {}): PlanRule => ({
	metric: "map",
	slice: null,
	bound: "max_drop",
	value: 0.02,
	min_frames: 30,
	inconclusive: "block",
	reason: "because",
	line: 5,
	...changes,
});

function reportOn(rules: PlanRule[], scores: Score[], protectedSlice = false): Report {
	const slices = [{ name: "night", where: {}, category: null, protected: protectedSlice, frames: 100, objects: 300 }];
	return {
		experiment: { name: "mine", model: "line" },
		run: "mine-1",
		evaluation: "mine-2",
		manifest: `sha256:${"a".repeat(64)}`,
		baseline: { version: 1 },
		policy: { name: "perception", file: "recipes/gates/perception.yaml", rules },
		data: {},
		slices,
		scores,
		uncertainty: { unit: "frame" },
	} as unknown as Report;
}
const verdictOn = (...given: Parameters<typeof reportOn>) => judge(reportOn(...given));
const only = (rules: PlanRule[], scores: Score[]) => {
	const { checks, outcome } = verdictOn(rules, scores);
	expect(checks).toHaveLength(1);
	return { outcome, check: checks[0]!.outcome, why: checks[0]!.why, blocking: checks[0]!.blocking };
};

describe("on a drop from production", () => {
	test.each([
		["passes where the whole interval is within what is allowed", [-0.0199, 0.03], "pass"],
		["fails where the whole interval is below what is allowed", [-0.09, -0.021], "fail"],
		["is inconclusive where the interval holds both", [-0.05, 0.01], "inconclusive"],
		["is inconclusive where the interval's upper end is just above what is allowed", [-0.05, -0.0199], "inconclusive"],
	] as const)("%s", (_, interval, outcome) => {
		expect(
			only([rule()], [score({ delta: (interval[0] + interval[1]) / 2, ...spreadOf("delta", [...interval], 100) })])
				.check,
		).toBe(outcome);
	});

	test("has nothing to say without production, and does not let a model through by that alone", () => {
		const none = score({ production: null, delta: null, ...spreadOf("delta", null, 100) });
		expect(only([rule()], [none])).toMatchObject({ check: "no_baseline", blocking: false, outcome: "inconclusive" });
		expect(only([rule()], [{ ...none, frames: 3 }])).toMatchObject({ check: "no_baseline", blocking: false });
		const level = rule({ bound: "min", value: 0.4 });
		expect(verdictOn([rule(), level], [none]).outcome).toBe("pass");
	});

	test("tells figure, interval and limit in its sentence", () => {
		expect(only([rule()], [score({ delta: -0.06, ...spreadOf("delta", [-0.08, -0.04], 100) })]).why).toBe(
			"−0.060 (−0.080 to −0.040) is outside the limit (a drop of at most 0.020), with 95 % confidence.",
		);
	});
});

describe("on a level", () => {
	test.each([
		["min", 0.4, "pass"],
		["min", 0.55, "fail"],
		["min", 0.5, "inconclusive"],
		["max", 0.6, "pass"],
		["max", 0.4, "fail"],
		["max", 0.5, "inconclusive"],
	] as const)("%s %d is judged by the candidate's interval: %s", (bound, value, outcome) => {
		expect(only([rule({ bound, value })], [score()]).check).toBe(outcome);
	});
});

describe("on a latency", () => {
	const latency = (changes: Partial<Score>) =>
		score({
			metric: "latency_p95_ms",
			candidate: 11,
			...spreadOf("candidate", [10.8, 11.2], 100),
			production: 10,
			delta: 1,
			...spreadOf("delta", [0.8, 1.2], 100),
			...changes,
		});
	test.each([
		[15, "pass"],
		[5, "fail"],
		[10, "inconclusive"],
	] as const)("a rise of a tenth against a bound of %d per cent ends in %s", (value, outcome) => {
		expect(
			only([rule({ metric: "latency_p95_ms", bound: "max_regression_percent", value })], [latency({})]).check,
		).toBe(outcome);
	});
	test("gives no percentage of zero", () => {
		const found = only(
			[rule({ metric: "latency_p95_ms", bound: "max_regression_percent", value: 10 })],
			[latency({ production: 0, delta: 11 })],
		);
		expect(found).toMatchObject({
			check: "inconclusive",
			why: "Production's latency p95 is zero, so a rise in percent can't be computed.",
		});
	});
});

describe("on an error of tracks, which is better the lower it is", () => {
	const error = (changes: Partial<Score>) =>
		score({
			metric: "min_fde",
			candidate: 1.1,
			...spreadOf("candidate", [1.06, 1.14], 100),
			production: 1,
			delta: 0.1,
			...spreadOf("delta", [0.08, 0.12], 100),
			...changes,
		});
	const risen = (value: number) => rule({ metric: "min_fde", bound: "max_regression_percent", value });

	test.each([
		[15, "pass"],
		[5, "fail"],
		[10, "inconclusive"],
	] as const)("a rise of a tenth against a bound of %d per cent ends in %s", (value, outcome) => {
		expect(only([risen(value)], [error({})]).check).toBe(outcome);
	});

	test("passes a fall, however small the bound", () => {
		const better = error({ candidate: 0.8, delta: -0.2, ...spreadOf("delta", [-0.25, -0.15], 100) });
		expect(only([risen(0)], [better])).toMatchObject({
			check: "pass",
			why: "−20.0 % (−25.0 % to −15.0 %) is within the limit (a rise of at most 0 %), with 95 % confidence.",
		});
	});

	test("tells its level in metres, and a miss rate as a share", () => {
		const most = rule({ metric: "min_fde", bound: "max", value: 1 });
		expect(only([most], [error({})]).why).toBe(
			"1.100 m (1.060 m to 1.140 m) is outside the limit (at most 1.000 m), with 95 % confidence.",
		);
		const misses = score({ metric: "miss_rate", candidate: 0.1, ...spreadOf("candidate", [0.08, 0.12], 100) });
		expect(only([{ ...most, metric: "miss_rate", value: 0.2 }], [misses]).why).toBe(
			"0.100 (0.080 to 0.120) is within the limit (at most 0.200), with 95 % confidence.",
		);
	});

	test("gives no percentage of a rate of false positives that is below zero", () => {
		const rate = { ...risen(10), metric: "lane_fp" };
		const none = score({ metric: "lane_fp", candidate: 0.1, production: -0.1, delta: 0.2 });
		expect(only([rate], [{ ...none, ...spreadOf("delta", [0.1, 0.3], 100) }])).toMatchObject({
			check: "inconclusive",
			why: "Production's lane FP is below zero, so a rise in percent can't be computed.",
		});
	});

	test("passes a miss rate that stays zero, and gives no percentage of it where it rises", () => {
		const rate = { ...risen(10), metric: "miss_rate" };
		const none = score({
			metric: "miss_rate",
			candidate: 0,
			production: 0,
			delta: 0,
			...spreadOf("delta", [0, 0], 100),
		});
		expect(only([rate], [none])).toMatchObject({
			check: "pass",
			why: "miss rate is zero, as in production: no rise, with 95 % confidence.",
		});
		expect(only([rate], [{ ...none, candidate: 0.1, delta: 0.1, ...spreadOf("delta", [0, 0.2], 100) }])).toMatchObject({
			check: "inconclusive",
			why: "Production's miss rate is zero, so a rise in percent can't be computed.",
		});
		expect(only([rate], [{ ...none, ...spreadOf("delta", null, 100) }]).check).toBe("inconclusive");
	});
});

describe("never passes what wasn't measured", () => {
	test.each([
		["a metric that isn't there", [] as Score[]],
		[
			"a candidate without a figure",
			[score({ candidate: null, ...spreadOf("candidate", null, 100), delta: null, ...spreadOf("delta", null, 100) })],
		],
		["a candidate that is NaN", [score({ candidate: Number.NaN })]],
		["a difference that is NaN", [score({ delta: Number.NaN })]],
		["an interval that is NaN", [score({ ...spreadOf("delta", [Number.NaN, Number.NaN], 100) })]],
		["production without a figure but with a difference", [score({ production: Number.NaN })]],
		["too few frames", [score({ frames: 29 })]],
		["no interval", [score({ ...spreadOf("delta", null, 100) })]],
	])("%s", (_, scores) => {
		const { outcome, check } = only([rule()], scores);
		expect(check).not.toBe("pass");
		expect(outcome).not.toBe("pass");
	});

	test("nor a policy in which nothing passed", () => {
		expect(verdictOn([], []).passed).toBe(false);
	});

	test("fails, by itself, what is not a number", () => {
		const broken = [
			score({ delta: Number.NaN }),
			score({ ...spreadOf("delta", [Number.NaN, Number.NaN], 100) }),
			score({ delta_error: -0.01 }),
			score({ delta_error: Number.POSITIVE_INFINITY }),
		];
		for (const one of broken) expect(only([rule()], [one]).check).toBe("fail");
		expect(only([rule()], [broken[0]!]).why).toBe("The change in mAP is not a number, so the check fails.");
	});

	test("holds a rule against its own metric alone", () => {
		const checks = verdictOn([rule()], [score(), score({ metric: "miou" })]).checks;
		expect(checks.map(({ metric, candidate }) => [metric, candidate])).toEqual([["map", 0.5]]);
		expect(only([rule({ metric: "miou" })], [score()]).check).toBe("fail");
	});

	test("takes as many frames as the rule asks for, and no fewer", () => {
		expect(only([rule()], [score({ frames: 30 })]).check).toBe("pass");
		expect(only([rule()], [score({ frames: 29 })]).check).toBe("inconclusive");
	});
});

test("A failed check blocks, also where an inconclusive one would not", () => {
	const worse = score({ delta: -0.2, ...spreadOf("delta", [-0.22, -0.18], 100) });
	expect(only([rule({ inconclusive: "allow" })], [worse])).toMatchObject({ check: "fail", blocking: true });
});

test("A difference without any spread is settled by its sign", () => {
	const exact = (delta: number) => score({ delta, delta_error: 0, delta_interval: [delta, delta] });
	expect(only([rule()], [exact(-0.021)]).check).toBe("fail");
	expect(only([rule()], [exact(-0.019)]).check).toBe("pass");
});

test("A rise in per cent has its standard error in per cent, too", () => {
	// 10 ms to 11.5 ms with a standard error of 0.5 ms: 15 % with one of 5 %, and the bound is 10 %.
	const latency = score({
		metric: "latency_p95_ms",
		candidate: 11.5,
		production: 10,
		delta: 1.5,
		delta_error: 0.5,
		delta_interval: [0.51, 2.49],
	});
	const found = verdictOn([rule({ metric: "latency_p95_ms", bound: "max_regression_percent", value: 10 })], [latency]);
	expect(found.checks[0]).toMatchObject({ outcome: "inconclusive", p_fail: expect.closeTo(0.16, 2) });
});

describe("on slices", () => {
	const slices = [
		score({ slice: "night" }),
		score({ slice: "day", delta: -0.1, ...spreadOf("delta", [-0.12, -0.08], 100) }),
		score(),
	];
	test("applies * to every slice and not to the overall score", () => {
		const { checks } = verdictOn([rule({ slice: "*" })], slices);
		expect(checks.map((check) => [check.slice, check.outcome])).toEqual([
			["night", "pass"],
			["day", "fail"],
		]);
	});
	test("fails where a policy's slice has no score", () => {
		expect(only([rule({ slice: "snow" })], slices)).toMatchObject({
			check: "fail",
			why: "mAP was not measured on snow, so the check fails.",
		});
	});
	test("lets an inconclusive check by where the policy allows it, never on a protected slice", () => {
		const unsure = score({ slice: "night", ...spreadOf("delta", [-0.05, 0.05], 100) });
		const rules = [rule({ slice: "*", inconclusive: "allow" }), rule()];
		expect(verdictOn(rules, [unsure, score()]).outcome).toBe("pass");
		expect(verdictOn(rules, [unsure, score()], true).outcome).toBe("inconclusive");
		expect(verdictOn([rule({ slice: "*" }), rule()], [unsure, score()]).outcome).toBe("inconclusive");
	});
	test("fails as a whole when one check fails, whatever is inconclusive", () => {
		expect(
			verdictOn([rule({ slice: "*" })], [...slices, score({ slice: "dusk", ...spreadOf("delta", null, 100) })]).outcome,
		).toBe("fail");
	});
});

describe("on many checks at once", () => {
	const slices = (count: number, first: Partial<Score>) =>
		Array.from({ length: count }, (_, place) => score({ slice: `s${place}`, ...(place === 0 ? first : {}) }));
	// By itself it lies beyond the bound by 2.5 standard errors: one in 140 by chance.
	const bad = { delta: -0.07, ...spreadOf("delta", [-0.11, -0.03], 100) };

	test("fails what would not be chance among all of them, and only that", () => {
		expect(verdictOn([rule({ slice: "*" })], slices(3, bad)).checks[0]).toMatchObject({
			outcome: "fail",
			settle: null,
		});
		const among = verdictOn([rule({ slice: "*" })], slices(40, bad));
		expect(among.family).toEqual({ method: "holm", level: 0.025, checks: 40 });
		expect(among.checks[0]).toMatchObject({ outcome: "inconclusive", p_fail: expect.closeTo(0.0075, 3) });
		expect(among.checks[0]!.why).toContain("Alone it would fail; among 40 checks it may be chance.");
		const clear = { delta: -0.2, ...spreadOf("delta", [-0.24, -0.16], 100) };
		expect(verdictOn([rule({ slice: "*" })], slices(40, clear)).checks[0]!.outcome).toBe("fail");
	});

	test("is stricter with the second than with the first, as Holm has it", () => {
		// With two checks the smaller p-value is held against 0.0125, the larger against 0.025.
		const at = (p: number) => ({ delta: -0.02 + 0.01 * studentQuantile(p, 99), delta_error: 0.01 });
		const outcomes = (...values: number[]) =>
			verdictOn(
				[rule({ slice: "*" })],
				values.map((p, place) => score({ slice: `s${place}`, ...at(p) })),
			).checks.map(({ outcome }) => outcome);
		expect(outcomes(0.012, 0.024)).toEqual(["fail", "fail"]);
		expect(outcomes(0.013, 0.024)).toEqual(["inconclusive", "inconclusive"]);
		expect(outcomes(0.024, 0.012)).toEqual(["fail", "fail"]);
		expect(outcomes(0.012, 0.026)).toEqual(["fail", "inconclusive"]);
	});

	test("asks each for its own pass, however many there are", () => {
		const good = { delta: 0.001, ...spreadOf("delta", [-0.018, 0.02], 100) };
		expect(
			verdictOn(
				[rule({ slice: "*" })],
				Array.from({ length: 40 }, (_, place) => score({ slice: `s${place}`, ...good })),
			).outcome,
		).toBe("pass");
	});

	test("counts only what could be tested", () => {
		const none = score({ slice: "s1", ...spreadOf("delta", null, 100) });
		const { family, checks } = verdictOn([rule({ slice: "*" })], [score({ slice: "s0" }), none]);
		expect(family.checks).toBe(1);
		expect(checks[1]).toMatchObject({ p_fail: null, settle: null, outcome: "inconclusive" });
	});
});

describe("where the data can't tell", () => {
	const unsure = (delta: number, units = 100) =>
		verdictOn([rule()], [score({ delta, units, ...spreadOf("delta", [delta - 0.02, delta + 0.02], units) })])
			.checks[0]!;

	test("says about how many more frames would settle it", () => {
		// The interval reaches 0.02 to each side and the bound is 0.01 away: four times the frames would just do, twice as many do most often.
		expect(unsure(-0.01)).toMatchObject({ outcome: "inconclusive", settle: 700 });
		expect(unsure(-0.01).why).toBe(
			"−0.010 (−0.030 to +0.010) may be within the limit (a drop of at most 0.020) or not. About 700 more frames would settle it.",
		);
		expect(unsure(-0.002).settle).toBeLessThan(unsure(-0.01).settle!);
	});

	test("counts the other checks where it would have to fail among them", () => {
		const alone = unsure(-0.035).settle!;
		const among = verdictOn(
			[rule({ slice: "*" })],
			Array.from({ length: 40 }, (_, place) =>
				score({ slice: `s${place}`, delta: -0.035, ...spreadOf("delta", [-0.055, -0.015], 100) }),
			),
		);
		expect(among.checks[0]!.settle).toBeGreaterThan(alone + 100);
	});

	test("says that none would where the figure is at the bound", () => {
		expect(unsure(-0.02)).toMatchObject({ outcome: "inconclusive", settle: null });
		expect(unsure(-0.02).why).toContain("too close to the limit for any realistic number of frames");
	});

	test("needs two units for an interval", () => {
		expect(unsure(0.01, 2).outcome).toBe("pass");
		const { checks } = verdictOn([rule()], [score({ units: 1 })]);
		expect(checks[0]).toMatchObject({ outcome: "inconclusive", p_fail: null });
	});
});

describe("with waivers in its policy", () => {
	const waiver = {
		metric: "map",
		slice: null,
		model: "line",
		experiment: null,
		reason: "because",
		who: "ann",
		until: "2026-01-31",
		line: 3,
	};
	const bad = score({ delta: -0.2, ...spreadOf("delta", [-0.22, -0.18], 100) });
	const rules = [rule(), rule({ metric: "miou", line: 9 })];
	const good = score({ metric: "miou" });
	const judged = (day: string, waivers: object) => {
		const report = reportOn(rules, [bad, good]);
		const experiment = { ...report.experiment, authors: ["bob"] };
		return judge({ ...report, experiment, policy: { ...report.policy, ...waivers } }, new Date(`${day}T12:00:00Z`));
	};
	const waivers = { waivers: { file: "recipes/gates/waivers.yaml", entries: [waiver] } };

	test("passes on the days that they cover, counts what they let by, and counts the failure as before", () => {
		const counts = { pass: 1, fail: 1, inconclusive: 0, no_baseline: 0, waived: 1 };
		expect(judged("2026-01-31", waivers)).toMatchObject({ outcome: "pass", passed: true, counts });
		expect(judged("2026-02-01", waivers)).toMatchObject({ outcome: "fail", passed: false, counts: { waived: 0 } });
		expect(judged("2026-01-31", {})).toMatchObject({ outcome: "fail", passed: false, counts: { waived: 0 } });
	});

	test("tests the same family of checks, waived or not: what is let by makes no other check easier", () => {
		expect(judged("2026-01-31", waivers).family).toEqual(judged("2026-01-31", {}).family);
	});
});
