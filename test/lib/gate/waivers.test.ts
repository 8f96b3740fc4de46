// A waiver
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parseDocument } from "../../../actions/lib/documents.ts";
import { judge } from "../../../actions/lib/gate/gate.ts";
import { waivedCard, writeWaived } from "../../../actions/lib/gate/waived_checks.ts";
import type { PlanPolicy, PlanRule, PlanWaiver, Report } from "../../../actions/lib/generated/documents.d.ts";
import { makeScore, makeScores, spreadOf } from "../../fixtures/evaluation.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { makeRule, makeWaiver, waivedBy } from "../../fixtures/plan.ts";

const day = new Date("2026-06-15T23:59:59Z");

interface Given {
	waivers: PlanWaiver[];
	authors?: string[] | undefined;
	scores?: Report["scores"];
	rules?: PlanRule[];
	now?: Date;
}

/** The verdict on a model that loses the day, where the waivers apply. */
function verdictWith({ waivers, authors = ["bob"], scores, rules, now = day }: Given) {
	const { report } = makeJudged(scores ?? makeScores({ day: 0.2 }));
	const policy: PlanPolicy = { ...waivedBy(...waivers), ...(rules ? { rules } : {}) };
	const experiment = { ...report.experiment, ...(authors.length > 0 ? { authors } : {}) };
	return judge({ ...report, experiment, policy }, now);
}
/** Why the only waiver has no effect; the check must still block. */
function whyNot(given: Given): string {
	const verdict = verdictWith(given);
	expect(verdict).toMatchObject({ passed: false, counts: { waived: 0 } });
	expect(verdict.checks.filter((check) => check.waived)).toEqual([]);
	expect(verdict.waivers?.idle).toHaveLength(1);
	return verdict.waivers!.idle[0]!.why;
}
const ofDay = makeWaiver({ slice: "day" });

describe("lets a check by", () => {
	test("that fails, with its outcome as it is and on whose word, and the verdict passes", async () => {
		const verdict = verdictWith({ waivers: [ofDay] });
		expect(verdict).toMatchObject({ outcome: "pass", passed: true, counts: { fail: 1, waived: 1 } });
		expect(verdict.waivers).toEqual({ file: "recipes/gates/waivers.yaml", idle: [] });
		const check = verdict.checks.find(({ slice }) => slice === "day");
		expect(check).toMatchObject({ outcome: "fail", blocking: false, actual: -0.2 });
		expect(check!.waived).toEqual({
			who: "ann",
			reason: "the labels are being checked",
			until: "2026-06-15",
			line: 9,
		});
		await parseDocument("verdict", JSON.stringify(verdict), "verdict.json");
	});

	test("that can't be told and would block", () => {
		const unsure = makeScores({ day: 0.05 });
		const rules = [makeRule({ value: 0.03 }), makeRule({ slice: "day", value: 0.05 })];
		expect(verdictWith({ waivers: [], scores: unsure, rules }).outcome).toBe("inconclusive");
		const verdict = verdictWith({ waivers: [ofDay], scores: unsure, rules });
		expect(verdict).toMatchObject({ outcome: "pass", counts: { inconclusive: 1, waived: 1 } });
	});

	test("and no other: the rest of the verdict blocks as before", () => {
		const both = makeScores({ day: 0.2, overall: 0.2 });
		const verdict = verdictWith({ waivers: [ofDay], scores: both });
		expect(verdict).toMatchObject({ outcome: "fail", passed: false, counts: { fail: 2, waived: 1 } });
		const unsure = verdictWith({ waivers: [ofDay], scores: makeScores({ day: 0.2, overall: 0.03 }) });
		expect(unsure).toMatchObject({ outcome: "inconclusive", passed: false });
	});

	test("overall where it names no slice, and not on a slice", () => {
		const lost = makeScores({ overall: 0.2 });
		expect(verdictWith({ waivers: [makeWaiver()], scores: lost }).passed).toBe(true);
		expect(verdictWith({ waivers: [makeWaiver({ metric: "miou" })], scores: lost }).passed).toBe(false);
		expect(verdictWith({ waivers: [makeWaiver()] }).passed).toBe(false);
	});

	test("for the experiment that it names", () => {
		expect(verdictWith({ waivers: [makeWaiver({ slice: "day", experiment: "more-night" })] }).passed).toBe(true);
	});

	test("though another waiver of the check has no effect, and that one is told", () => {
		const verdict = verdictWith({ waivers: [makeWaiver({ slice: "day", model: "other-line", line: 3 }), ofDay] });
		expect(verdict.checks.find(({ slice }) => slice === "day")?.waived?.line).toBe(9);
		expect(verdict.waivers?.idle.map(({ line }) => line)).toEqual([3]);
	});

	test("as the only figure that there is", () => {
		const rules = [makeRule({ slice: "day" })];
		expect(verdictWith({ waivers: [ofDay], rules }).outcome).toBe("pass");
		// Too few frames is no figure: a verdict of nothing else has measured nothing.
		const few = [makeScore({ slice: "day", frames: 3 })];
		const verdict = verdictWith({ waivers: [ofDay], rules, scores: few });
		expect(verdict).toMatchObject({ outcome: "inconclusive", passed: false, counts: { waived: 1 } });
	});

	test("only where one blocks: what passes or may be let by anyway is nobody's to waive", () => {
		const verdict = verdictWith({ waivers: [ofDay], scores: makeScores({ day: 0.05 }) });
		expect(verdict).toMatchObject({ outcome: "pass", counts: { inconclusive: 1, waived: 0 } });
		expect(verdict.waivers).toBeUndefined();
	});
});

describe("has no effect, and the verdict says why,", () => {
	test("from the day after its last on, in UTC", () => {
		const until = (date: string, now: string) => ({
			waivers: [makeWaiver({ slice: "day", until: date })],
			now: new Date(now),
		});
		expect(whyNot(until("2026-06-14", "2026-06-15T00:00:00Z"))).toBe("It ended on 2026-06-14.");
		expect(whyNot(until("2026-06-14", "2026-06-14T23:00:00-05:00"))).toBe("It ended on 2026-06-14.");
		expect(verdictWith(until("2026-06-15", "2026-06-15T23:59:59Z")).passed).toBe(true);
		expect(verdictWith(until("2026-10-01", "2026-06-15T00:00:00Z")).passed).toBe(true);
	});

	test.each([
		["the author of the experiment", ["ann"]],
		["one of its authors", ["bob", "ann"]],
		["the author in other letters", ["Ann"]],
	])("granted by %s", (_, authors) => {
		expect(whyNot({ waivers: [ofDay], authors })).toBe(
			"An author of the experiment granted it: nobody may waive checks of their own experiment.",
		);
	});

	test("where no author is known: it may be who granted it", () => {
		expect(whyNot({ waivers: [ofDay], authors: [] })).toContain("The author's GitHub login is not known");
	});

	test("on a protected slice", () => {
		const waivers = [makeWaiver({ slice: "night" })];
		expect(whyNot({ waivers, scores: makeScores({ night: 0.2 }) })).toBe(
			"The slice is protected: its checks can't be waived.",
		);
	});

	test("for another line of models, or another experiment", () => {
		expect(whyNot({ waivers: [makeWaiver({ slice: "day", model: "other-line" })] })).toBe(
			"It is for the line other-line; this model is of perception-hydranet.",
		);
		expect(whyNot({ waivers: [makeWaiver({ slice: "day", experiment: "other" })] })).toBe(
			"It is for the experiment other only.",
		);
	});

	test("for what was not measured", () => {
		const nothing = makeScore({ slice: "day", candidate: null, delta: null, ...spreadOf("delta", null) });
		expect(whyNot({ waivers: [ofDay], scores: [makeScore(), nothing] })).toContain("The check has no measured value");
		const rules = [makeRule({ slice: "snow" }), makeRule({})];
		expect(whyNot({ waivers: [makeWaiver({ slice: "snow" })], rules })).toContain("has no measured value");
	});

	test("once, however many checks it was asked for", () => {
		const rules = [makeRule({ slice: "day" }), makeRule({ slice: "day", value: 0.01, line: 2 })];
		const verdict = verdictWith({ waivers: [ofDay], rules, authors: ["ann"] });
		expect(verdict.checks.filter((check) => check.blocking)).toHaveLength(2);
		expect(verdict.waivers?.idle).toHaveLength(1);
	});
});

describe("stands in the model card", () => {
	const card = "# Model card\n\nWhat it is.\n";
	const verdict = verdictWith({ waivers: [ofDay] });

	test("as its last section, once, and goes when nothing is waived any more", () => {
		const waived = waivedCard(card, verdict);
		expect(waived.startsWith(card)).toBe(true);
		expect(waived).toContain("## Waived checks");
		expect(waived).toContain(
			"- mAP −0.200 on `day`, fail: waived by `ann` until `2026-06-15` (line 9): `the labels are being checked`",
		);
		expect(waivedCard(waived, verdict)).toBe(waived);
		expect(waivedCard(waived, verdictWith({ waivers: [] }))).toBe(card);
		expect(waivedCard(card, verdictWith({ waivers: [] }))).toBe(card);
	});

	test("as text that does nothing else, and can't end its section early", () => {
		const end = "<!-- end of waived checks --> @octocat [x](https://evil.example) `";
		const hostile = verdictWith({ waivers: [makeWaiver({ slice: "day", reason: end, who: `@org/${end}` })] });
		const waived = waivedCard(card, hostile);
		const outside = waived.replaceAll(/`[^`\n]*`/g, "");
		expect(outside).not.toMatch(/@|https:|octocat/);
		expect(waivedCard(waived, verdictWith({ waivers: [] }))).toBe(card);
	});

	test("on disk beside the report; without a card there is nothing to write", async () => {
		const folder = await mkdtemp(path.join(tmpdir(), "card-"));
		await writeWaived(folder, verdict);
		await expect(readFile(path.join(folder, "model_card.md"))).rejects.toThrow("ENOENT");
		await writeFile(path.join(folder, "model_card.md"), card);
		await writeWaived(folder, verdict);
		expect(await readFile(path.join(folder, "model_card.md"), "utf8")).toBe(waivedCard(card, verdict));
		await rm(folder, { recursive: true });
	});
});
