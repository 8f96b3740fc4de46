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
	const places = [problem.message, "`first`", "`second`"].map((words) => text.indexOf(words));
	expect(places.every((place) => place >= 0)).toBe(true);
	expect(places).toEqual([...places].sort((a, b) => a - b));
	expect(text).toContain(shortApproval(approvalOf(planned("first").plan)));
	expect(text).not.toContain("more experiments");
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
