// Every key of every recipe
import { expect, test } from "vitest";
import plan from "../../../actions/lib/schemas/plan.schema.json" with { type: "json" };
import experiment from "../../../experiments/experiment.schema.json" with { type: "json" };
import gate from "../../../recipes/gates/gate.schema.json" with { type: "json" };
import waivers from "../../../recipes/gates/waivers.schema.json" with { type: "json" };
import machine from "../../../recipes/machines/machine.schema.json" with { type: "json" };
import model from "../../../recipes/models/model.schema.json" with { type: "json" };
import conditions from "../../../trainer/proving_ground/schemas/conditions.schema.json" with { type: "json" };
import run from "../../../trainer/proving_ground/schemas/run.schema.json" with { type: "json" };

interface Schema {
	properties?: Record<string, unknown>;
	oneOf?: unknown[];
}

/** Paths of all keys that a schema lets one write. */
function keysOf(value: unknown, path = ""): string[] {
	const schema = value as Schema;
	const own = Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
		const place = path ? `${path}.${name}` : name;
		return [place, ...keysOf(child, place)];
	});
	return [...own, ...(schema.oneOf ?? []).flatMap((option) => keysOf(option, path))];
}

const train = run.definitions.train.properties;
const sorted = (keys: Iterable<string>) => [...new Set(keys)].sort();

test("of a model's training and architecture reaches the trainer, whose tests show that it is read", () => {
	expect(sorted(keysOf(model.properties.train))).toEqual(sorted(keysOf(train.train)));
	expect(sorted(keysOf(model.properties.architecture))).toEqual(sorted(keysOf(train.architecture)));
	expect(keysOf(model).length).toBeGreaterThan(90);
});

test("of a model's training can be written in an experiment", () => {
	expect(sorted(keysOf(experiment.properties.train))).toEqual(sorted(keysOf(model.properties.train)));
});

test("of a machine is in the plan: in its machine, or in what surrounds a training", () => {
	const planned = [...Object.keys(plan.definitions.machine.properties), ...keysOf(conditions)];
	const renamed: Record<string, string> = {
		instance: "network.instance",
		all_reduce_floor_gbps: "network.floor_gbps",
		timeout_seconds: "network.timeout_seconds",
	};
	const missing = keysOf(machine).filter((key) => key !== "description" && !planned.includes(renamed[key] ?? key));
	expect(missing).toEqual([]);
});

test("of a gate is in the plan's policy", () => {
	const planned = [
		...Object.keys(plan.definitions.rule.properties),
		...Object.keys(plan.definitions.policy.properties),
	];
	const bounds = ["min", "max", "max_drop", "max_regression_percent"];
	const keys = [...Object.keys(gate.properties), ...Object.keys(gate.properties.rules.items.properties)];
	const missing = keys.filter((key) => ![...planned, ...bounds, "description"].includes(key));
	expect(missing).toEqual([]);
});

test("of a waiver is in the plan's waivers", () => {
	const keys = keysOf(waivers.properties.waivers.items).map((key) => key.replace("check.", ""));
	expect(sorted([...keys.filter((key) => key !== "check"), "line", "refused"])).toEqual(
		sorted(Object.keys(plan.definitions.waiver.properties)),
	);
});
