// The model card beside a report
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { cardWithOverlap } from "../../../actions/lib/report/card.ts";
import { writeReport } from "../../../actions/lib/report/report.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { makeOverlap } from "../../fixtures/plan.ts";

const card = "# Model card: x\n\n## By slice\n\n| a |\n\n## Limitations\n\n- few frames\n";

test("says what the splits share before the limitations, and why drives are shared", () => {
	expect(cardWithOverlap(card, makeOverlap(1))).toBe(
		"# Model card: x\n\n## By slice\n\n| a |\n\n## Splits\n\n0 frames and 1 drive of test are also in train, 0 frames and 1 drive of val are also in train, 0 frames and 1 drive of test are also in val. Drives may be shared: `one long drive is all there is`.\n\n## Limitations\n\n- few frames\n",
	);
});

test("says it last where it has no limitations, and nothing where it wasn't counted", () => {
	expect(cardWithOverlap("# Mine\n", makeOverlap(null))).toMatch(
		/^# Mine\n\n## Splits\n\n0 frames .*; no drive is named\.\n$/,
	);
	expect(cardWithOverlap(card, undefined)).toBe(card);
});

test("is written with it, by what the report says", async () => {
	const root = await mkdtemp(path.join(tmpdir(), "card-"));
	const { report } = makeJudged();
	const counted = { ...report!, data: { ...report!.data, overlap: makeOverlap(0) } };
	const { card: file } = await writeReport(root, counted, card);
	expect(await readFile(file, "utf8")).toBe(cardWithOverlap(card, makeOverlap(0)));
	await rm(root, { recursive: true });
});
