// A plan that was made before
import { describe, expect, test } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import type { Plan } from "../../../actions/lib/generated/documents.d.ts";
import { identify } from "../../../actions/lib/plan/identity.ts";
import { refuseEarlier, refuseStale } from "../../../actions/lib/plan/stale.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { digest, makePlan, makeWaiver, waivedBy } from "../../fixtures/plan.ts";

const plan = makePlan();
const again = "Plan again: npx proving-ground plan experiments/more-night.yaml";

/** The plan with other inputs of its run, by their own id. */
function withRun(changes: Partial<Plan["run"]>, more: Partial<Plan> = {}): Plan {
	return makePlan({ run: identify({ ...plan.run, ...changes }), ...more });
}

function refusalOf(now: Plan, planned = plan): string | null {
	try {
		refuseStale(planned, now);
		return null;
	} catch (error) {
		if (!(error instanceof InvalidInput)) throw error;
		return error.message;
	}
}

/** The plan of an experiment that starts from production, which is this version. */
function fromProduction(version: number, more: Partial<NonNullable<Plan["run"]["weights"]>> = {}): Plan {
	const manifest = digest(String(version));
	return withRun(
		{ weights: { manifest, file: "weights.safetensors", rename: {}, leave: [], ...more } },
		{
			weights: { location: `/v${version}`, from: `production (version ${version})`, manifest, transfer: null },
			baseline: { version, run: "other", manifest, location: `/v${version}` },
		},
	);
}

describe("is taken", () => {
	test("where planning again gives the same, whatever the day, production and the author have become", () => {
		expect(refusalOf(plan)).toBeNull();
		const estimate = { ...plan.estimate, seconds: 1 };
		const experiment = { ...plan.experiment, authors: ["ann"] };
		const rules = plan.policy.rules.map((rule) => ({ ...rule, line: rule.line + 1 }));
		const policy = { ...plan.policy, rules };
		expect(refusalOf(makePlan({ estimate, experiment, policy, baseline: null, promoted: 3, changes: [] }))).toBeNull();
	});

	test("where it starts from production, and production has moved", () => {
		expect(refusalOf(fromProduction(2), fromProduction(1))).toBeNull();
	});
});

describe("is refused by what has changed since", () => {
	const { run, experiment, policy, machine, conditions } = plan;
	test.each<[string, Plan, string]>([
		["the author's words", makePlan({ experiment: { ...experiment, why: "x" } }), "experiments/more-night.yaml (why)"],
		["a setting that only it has", withRun({ seed: 7 }), "experiments/more-night.yaml (seed: 0, now 7)"],
		[
			"a setting that the model's recipe may have as well",
			withRun({ train: { ...run.train, epochs: 3 } }),
			"experiments/more-night.yaml or recipes/models/hydranet-small.yaml (train.epochs: 2, now 3)",
		],
		[
			"the model's recipe",
			withRun({ architecture: { ...run.architecture, neck: { channels: 8 } } }),
			"recipes/models/hydranet-small.yaml (architecture.neck.channels: 48, now 8)",
		],
		[
			"another recipe, by its name alone",
			withRun({ architecture: run.architecture, seed: 0 }, { experiment: { ...experiment, recipe: "other" } }),
			"experiments/more-night.yaml (recipe: hydranet-small, now other)",
		],
		[
			"the data",
			withRun({ data: { ...run.data, version: digest("7") } }),
			"the data of recipes/data/scenes-more-night.yaml (version)",
		],
		[
			"the machine",
			makePlan({ machine: { ...machine, max_minutes: 5, price_usd_per_hour: 2 } }),
			"recipes/machines/laptop.yaml (price_usd_per_hour: 0, now 2; max_minutes: 60, now 5)",
		],
		[
			"the loader",
			makePlan({ conditions: { ...conditions, loader: { ...conditions.loader, workers: 4 } } }),
			"recipes/machines/laptop.yaml (loader.workers: 0, now 4)",
		],
		[
			"the policy",
			makePlan({ policy: { ...policy, rules: policy.rules.map((rule) => ({ ...rule, value: 0.5 })) } }),
			"recipes/gates/perception.yaml (rules.0.value: 0.03, now 0.5; rules.1.value: 0.05, now 0.5; rules.2.value: 50, now 0.5)",
		],
		[
			"a rule more",
			makePlan({ policy: { ...policy, rules: [...policy.rules, policy.rules[0]!] } }),
			"recipes/gates/perception.yaml (rules.3.metric: none, now map; rules.3.bound: none, now max_drop; rules.3.value: none, now 0.03 and 3 more)",
		],
		[
			"a waiver",
			makePlan({ policy: waivedBy(makeWaiver()) }),
			"recipes/gates/waivers.yaml (waivers.0.metric: none, now map; waivers.0.model: none, now perception-hydranet; waivers.0.reason: none, now the labels are being checked and 2 more)",
		],
		[
			"where trainings are tracked",
			makePlan({ conditions: { ...conditions, tracking: { ...conditions.tracking, images: 0 } } }),
			".github/proving-ground.yaml (tracking.images: 4, now 0)",
		],
		["the trainer", withRun({ code: digest("0") }), "the trainer's code"],
	])("%s", (_, now, what) => {
		expect(refusalOf(now)).toBe(`${what} has changed since the plan. ${again}`);
	});

	test("a waiver that is gone", () => {
		expect(refusalOf(plan, makePlan({ policy: waivedBy(makeWaiver()) }))).toContain(
			"recipes/gates/waivers.yaml (waivers.0.",
		);
	});

	test("the weights to start from", () => {
		const other = fromProduction(1, { leave: ["heads.lanes"] });
		expect(refusalOf(other, fromProduction(1))).toContain("more-night.yaml (weights.leave: none, now heads.lanes)");
		const named = makePlan({ ...other, weights: { ...other.weights!, from: "version 1" } });
		expect(refusalOf(named, other)).toContain("experiments/more-night.yaml (weights.production: true, now none;");
	});

	test("all of it, in one sentence", () => {
		expect(refusalOf(withRun({ seed: 1, code: digest("0") }))).toBe(
			`experiments/more-night.yaml (seed: 0, now 1) and the trainer's code have changed since the plan. ${again}`,
		);
	});
});

describe("has a report", () => {
	const { report } = makeJudged();

	test("that is judged where planning again gives what it is of", () => {
		expect(() => refuseEarlier(report, plan)).not.toThrow();
		expect(() => refuseEarlier(report, makePlan({ baseline: null }))).not.toThrow();
		expect(() => refuseEarlier(report, fromProduction(2))).not.toThrow();
	});

	test.each<[string, Plan]>([
		["training", withRun({ seed: 1 })],
		["policy", makePlan({ policy: waivedBy(makeWaiver()) })],
		["author's word", makePlan({ experiment: { ...plan.experiment, why: "x" } })],
	])("that is refused where it is of another %s", (_, now) => {
		expect(() => refuseEarlier(report, now)).toThrow(
			"reports/more-night/report.json is out of date: experiments/more-night.yaml or a file it names has changed. Plan, train and report again: npx proving-ground plan experiments/more-night.yaml",
		);
	});
});
