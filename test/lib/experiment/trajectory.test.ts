// Scores of predicted tracks
import { describe, expect, test } from "vitest";
import { movedSection } from "../../../actions/lib/comment/sections.ts";
import { checkCombination } from "../../../actions/lib/experiment/combination.ts";
import { producedMetrics } from "../../../actions/lib/experiment/produced_metrics.ts";
import type { ResolvedExperiment } from "../../../actions/lib/experiment/resolved.ts";
import { isLowerBetter } from "../../../actions/lib/metrics.ts";
import { renderTable } from "../../../actions/lib/text/markdown.ts";
import { parseYaml } from "../../../actions/lib/text/yaml.ts";
import { makeScore } from "../../fixtures/evaluation.ts";
import { makeJudged } from "../../fixtures/judged.ts";

const categories = { detection: ["vehicle"], segmentation: [] };
const errors = ["ade", "fde", "min_ade", "min_fde", "miss_rate"];

describe("are produced", () => {
	test("by the trajectory head, overall and on a slice of no category", () => {
		expect(producedMetrics(["trajectory"], categories, null)).toEqual([...errors, "latency_p50_ms", "latency_p95_ms"]);
		expect(producedMetrics(["trajectory"], categories, {})).toEqual(errors);
		expect(producedMetrics(["detection", "trajectory"], categories, { category: "vehicle" })).toEqual([
			"ap/vehicle",
			"ece/vehicle",
		]);
		expect(producedMetrics(["detection"], categories, null).filter((name) => errors.includes(name))).toEqual([]);
	});

	test("to be low, as latencies are", () => {
		expect([...errors, "latency_p95_ms"].every(isLowerBetter)).toBe(true);
		expect(["map", "ap/ade", "miou", "lane_f1"].some(isLowerBetter)).toBe(false);
	});
});

function problemsOf(rules: string): string[] {
	const source = parseYaml("recipes/gates/tracks.yaml", `description: d\nrules:\n${rules}`);
	const file = { file: "recipes/x.yaml" };
	const heads = ["detection", "trajectory"] as const;
	const resolved = {
		experiment: { source: file, value: {} },
		model: {
			source: file,
			value: {
				architecture: { heads, input: {}, backbone: {}, neck: {}, trajectory: { modes: 6, hidden: 64 } },
				train: { loss: { detection: {}, trajectory: {} } },
			},
		},
		data: { source: file, value: { categories, tracks: { past: 8, future: 12, step_seconds: 0.4 } } },
		machine: { source: file, value: { processes: 1 } },
		gate: { source, value: source.value },
		train: { global_batch: 4 },
		heads,
	} as unknown as ResolvedExperiment;
	const slices = { list: [{ name: "crowd", where: { density: "high" } }], source, pointer: "/slices" };
	return checkCombination(resolved, slices).map(({ line, message }) => `${line} ${message}`);
}

describe("are gated", () => {
	test("by a level and by a rise in per cent, overall and on slices", () => {
		expect(
			problemsOf(
				'  - { metric: ece, max: 0.1, max_regression_percent: 10, reason: r }\n  - { metric: ece/vehicle, max: 0.1, reason: r }\n  - { metric: min_fde, max: 1, max_regression_percent: 5, reason: r }\n  - { metric: ade, slice: "*", max_regression_percent: 5, reason: r }\n  - { metric: miss_rate, slice: crowd, max: 0.1, reason: r }\n',
			),
		).toEqual([]);
	});

	test("and by no drop, on the rule's own line", () => {
		expect(
			problemsOf(
				"  - { metric: min_fde, max_drop: 0.1, reason: r }\n  - { metric: ece, max_drop: 1, reason: r }\n  - { metric: map, max_regression_percent: 5, reason: r }\n  - { metric: latency_p95_ms, min: 100, reason: r }\n  - { metric: map, max: 0.03, reason: r }\n",
			),
		).toMatchInlineSnapshot(`
			[
			  "3 for min_fde, lower is better, so it has no max_drop; use max_regression_percent",
			  "4 for ece, lower is better, so it has no max_drop; use max_regression_percent",
			  "5 for map, higher is better: max_regression_percent is for metrics where lower is better; use max_drop",
			  "6 for latency_p95_ms, lower is better: a min would demand a worse model; use max",
			  "7 for map, higher is better: a max would demand a worse model; use min or max_drop",
			]
		`);
	});
});

describe("are shown", () => {
	const slice = (name: string) => ({
		name,
		where: { density: name },
		category: null,
		protected: false,
		frames: 100,
		objects: 900,
	});

	test("with a rise as what is worse, and first", () => {
		const scores = [
			makeScore({ metric: "min_fde", drop: 0.1 }),
			makeScore({ metric: "min_fde", slice: "alone", drop: 0.15 }),
			makeScore({ metric: "min_fde", slice: "crowd", drop: -0.2 }),
		];
		const { report } = makeJudged(scores);
		const shown = movedSection({ ...report, scores, slices: [slice("alone"), slice("crowd")] }, (table, limit = 50) =>
			renderTable(table, limit),
		);
		expect(shown).toMatchInlineSnapshot(`
			"**Overall:** minFDE 0.300 → 0.200 (−0.100, −0.120 to −0.080).

			**Slices that moved**, worst first

			| slice | frames | objects | minFDE |
			| :- | -: | -: | :- |
			| \`crowd\` | 100 | 900 | 🔻 0.300 → 0.500<br><sub>+0.200 (+0.180 to +0.220)</sub> |
			| \`alone\` | 100 | 900 | 🟢 0.300 → 0.150<br><sub>−0.150 (−0.170 to −0.130)</sub> |

			Production → this model, and the change with its 95 % interval. 🔻 worse, 🟢 better: the interval excludes zero. minFDE is in metres, and lower is better."
		`);
	});
});
