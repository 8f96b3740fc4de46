// A report
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText, sha256, writeDocument } from "../../actions/lib/documents.ts";
import { digestPlan, makeReport, readEvaluation } from "../../actions/lib/report.ts";
import { folder } from "../../actions/lib/stores/folder.ts";
import { evaluationKey } from "../../actions/lib/train.ts";
import { makeEvaluation, makeJob, makeJobs, makePlan, makeScores } from "../fixtures.ts";

const plan = makePlan();
const jobs = makeJobs(plan);
const evaluation = makeEvaluation(plan, makeScores());
const measured = { report: evaluation, digest: sha256("eval_report.json"), card: "# card\n" };

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "report-"));
});
afterEach(() => rm(temporary, { recursive: true }));

describe("joins the documents", () => {
	test("into one that holds to its schema", async () => {
		const report = makeReport(plan, jobs, measured);
		await writeDocument("report", report, path.join(temporary, "report.json"));
		expect(report).toMatchObject({
			run: plan.run.id,
			evaluation: evaluation.run,
			manifest: evaluation.candidate.manifest,
			spent: { seconds: 50, cost_usd: 0 },
		});
	});

	test("the same on another day: an estimate or a promotion changes no digest", () => {
		const later = { ...plan, promoted: 3, estimate: { ...plan.estimate, seconds: 99 } };
		expect(digestPlan(later)).toBe(digestPlan(plan));
		expect(digestPlan({ ...plan, baseline: null })).not.toBe(digestPlan(plan));
	});
});

describe("refuses documents that don't belong together", () => {
	test.each([
		[
			"another evaluation",
			{ ...evaluation, run: "other-0000000000000000" },
			"is of the evaluation other-0000000000000000",
		],
		[
			"another run",
			{ ...evaluation, candidate: { ...evaluation.candidate, run: "other-0000000000000000" } },
			"is of the run other-0000000000000000",
		],
		[
			"another production model",
			{ ...evaluation, production: { ...evaluation.production!, manifest: `sha256:${"0".repeat(64)}` } },
			"is of the production model sha256:000",
		],
		["no production model", { ...evaluation, production: null }, "is of the production model null"],
		[
			"other data",
			{ ...evaluation, data: { ...evaluation.data, version: `sha256:${"0".repeat(64)}` } },
			"is of the data version sha256:000",
		],
	])("%s", (_, report, message) => {
		expect(() => makeReport(plan, jobs, { ...measured, report })).toThrow(message);
	});
});

describe("reads what the evaluation left", () => {
	const key = evaluationKey(plan.run.model, plan.run.id, evaluation.run);

	test("from the store, with the digest of the bytes", async () => {
		const store = folder(temporary);
		await store.put(`${key}/eval_report.json`, documentText(evaluation));
		await store.put(`${key}/model_card.md`, "# card\n");
		expect(await readEvaluation(plan, jobs, store)).toEqual({
			report: evaluation,
			digest: sha256(documentText(evaluation)),
			card: "# card\n",
		});
	});

	test("and nothing before it has succeeded, saying in which states the jobs are", async () => {
		const failed = makeJobs(plan, makeJob({ state: "failed", diagnosis: "no such frame" }));
		await expect(readEvaluation(plan, failed, folder(temporary))).rejects.toThrow(
			"there is nothing to report yet: train failed (no such frame)",
		);
	});

	test("and no document of another form", async () => {
		const store = folder(temporary);
		await store.put(`${key}/eval_report.json`, documentText({ ...evaluation, scores: [{ metric: "map" }] }));
		await store.put(`${key}/model_card.md`, "# card\n");
		await expect(readEvaluation(plan, jobs, store)).rejects.toThrow(
			"not a eval_report.json of this version: /scores/0 must have required property 'slice'",
		);
	});
});
