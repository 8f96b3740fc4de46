// The job summary of what was planned
import { expect, test } from "vitest";
import { summarisePlans } from "../../../actions/lib/comment/summary.ts";
import { approvalOf, shortApproval } from "../../../actions/lib/plan/identity.ts";
import { makePlan } from "../../fixtures/plan.ts";

const problem = {
	file: "experiments/broken.yaml",
	line: 3,
	column: 1,
	message: "recipe: found hydranet; no such recipe",
};
const planned = (name: string, why = "because") => {
	const { experiment } = makePlan();
	const plan = makePlan({ experiment: { ...experiment, name, file: `experiments/${name}.yaml`, why } });
	return { plan, path: `${name}.json` };
};

test("has the problems of what can't be planned, then each plan with the approval that it needs", () => {
	const text = summarisePlans({
		plans: [planned("first"), planned("second")],
		refused: [{ file: "experiments/broken.yaml", problems: [problem] }],
	});
	const places = ["All 2 runs of this pull request", problem.message, "### 📋 `first`", "### 📋 `second`"].map(
		(words) => text.indexOf(words),
	);
	expect(places.every((place) => place >= 0)).toBe(true);
	expect(places).toEqual([...places].sort((a, b) => a - b));
	expect(text).toContain(shortApproval(approvalOf(planned("first").plan)));
	expect(text).not.toContain("more experiments");
});

test("says what one approval starts beside a plan: all of them, with their sum, and each by its digest", () => {
	const one = planned("first");
	const two = planned("second");
	two.plan.estimate = { seconds: 5400, cost_usd: 3, max_cost_usd: 8, basis: "guess" };
	const text = summarisePlans({ plans: [one, two], refused: [] });
	const short = (plan: typeof one.plan) => shortApproval(approvalOf(plan));
	expect(text.slice(0, text.indexOf("<!--")).trimEnd()).toBe(
		[
			"### All 2 runs of this pull request",
			"Together they take about 1 h 31 min and $3.00, at most 4 h 0 min and $8.00. One approval of the environment `training`, if it has required reviewers, starts all of them.",
			[
				"| run | plan | machine | takes |",
				"| :- | :- | :- | :- |",
				`| \`first\` | \`${short(one.plan)}…\` | \`laptop\` | about 40 s, at most 2 h 0 min, with no hourly price |`,
				`| \`second\` | \`${short(two.plan)}…\` | \`laptop\` | about 1 h 30 min and $3.00, at most 2 h 0 min and $8.00 |`,
			].join("\n"),
		].join("\n\n"),
	);
	for (const { plan } of [one, two])
		expect(text).toContain(
			`Plan \`${short(plan)}…\` starts once its spend is approved. All 2 runs of this pull request together take about 1 h 31 min and $3.00, at most 4 h 0 min and $8.00.`,
		);
	expect(summarisePlans({ plans: [one], refused: [] })).not.toMatch(/starts all|All \d+ runs/);
	// Of one it isn't known.
	two.plan.estimate = { ...two.plan.estimate, seconds: null, cost_usd: null };
	expect(summarisePlans({ plans: [one, two], refused: [] })).toContain(
		"Together they take an unknown time, at most 4 h 0 min and $8.00.",
	);
});

test("says so where nothing was to be planned", () => {
	expect(summarisePlans({ plans: [], refused: [] })).toBe("No experiment was added or changed.\n");
});

test("has as many as GitHub takes, and says how many it leaves out", () => {
	// Characters of three bytes each: GitHub counts bytes.
	const many = Array.from({ length: 400 }, (_, index) => planned(`e-${index}`, "夜".repeat(600)));
	const text = summarisePlans({ plans: many, refused: [] });
	expect(Buffer.byteLength(text)).toBeLessThanOrEqual(1024 * 1024);
	const left = Number(/…and (\d+) more experiments, each with its own check run\.\n$/.exec(text)?.[1]);
	expect(left).toBeGreaterThan(0);
	const shown = (index: number) => text.includes(`\`e-${index}\``);
	expect([shown(399 - left), shown(400 - left)]).toEqual([true, false]);
});
