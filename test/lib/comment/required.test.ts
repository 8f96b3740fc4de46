// The required check
import { expect, test } from "vitest";
import { experimentsOf, isRequired, REQUIRED, requiredCheck } from "../../../actions/lib/comment/required.ts";
import type { ShownCheck } from "../../../actions/lib/github/objects.ts";

const check = (status: string, conclusion: string | null = null, name = "a"): ShownCheck => ({
	name: `proving-ground / ${name}`,
	status,
	conclusion,
	title: "said",
});
const queued = check("queued");
const running = check("in_progress");
const [passed, neutral, failed, cancelled] = ["success", "neutral", "failure", "cancelled"].map((conclusion) =>
	check("completed", conclusion, conclusion),
) as [ShownCheck, ShownCheck, ShownCheck, ShownCheck];

test.each<[what: string, count: number, experiments: ShownCheck[], status: string, conclusion: string | null]>([
	["no experiment", 0, [], "completed", "success"],
	["one that isn't shown yet", 1, [], "queued", null],
	["a planned one", 1, [queued], "queued", null],
	["one that runs", 2, [queued, running], "in_progress", null],
	["one that passed, and another that isn't shown yet", 2, [passed], "in_progress", null],
	["two that passed", 2, [passed, passed], "completed", "success"],
	["one of two that doesn't block", 2, [passed, neutral], "completed", "neutral"],
	["one that failed while another runs", 2, [failed, running], "completed", "failure"],
	["one that was stopped", 2, [cancelled, passed], "completed", "cancelled"],
	["one more than was counted", 1, [passed, running], "in_progress", null],
])("of %s is as bad as the worst", (_, count, experiments, status, conclusion) => {
	const made = requiredCheck(count, experiments, "abc");
	expect(made).toMatchObject({ name: "proving-ground", sha: "abc", status, conclusion });
	expect(experimentsOf(made)).toBe(Math.max(count, experiments.length));
});

test("shows each experiment's check run, of which the title may be anybody's words", () => {
	const hostile = { ...failed, title: "| @all | <b>" };
	expect(requiredCheck(1, [hostile], "abc")).toMatchObject({
		title: "0 of 1 experiment passed",
		summary: ["| check run | it says |", "| :- | :- |", "| `proving-ground / failure` | `∣ @all ∣ <b>` |", ""].join(
			"\n",
		),
	});
});

test("isn't taken for a job of its name, which has no title", () => {
	expect(isRequired({ name: REQUIRED, title: "" })).toBe(false);
	expect(isRequired({ name: REQUIRED, title: "0 of 1 experiment passed" })).toBe(true);
	expect(isRequired(passed)).toBe(false);
});
