// A report
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText, sha256, writeDocument } from "../../../actions/lib/documents.ts";
import type { EvalReport } from "../../../actions/lib/generated/documents.d.ts";
import { evaluationKey, type Store } from "../../../actions/lib/plan/store.ts";
import { digestPlan, makeReport, makeReportAgain, readEvaluation } from "../../../actions/lib/report/report.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";
import { makeEvaluation, makeScores } from "../../fixtures/evaluation.ts";
import { makeMeasured, measuredFiles } from "../../fixtures/judged.ts";
import { makeJob, makeJobs, makeOverlap, makePlan } from "../../fixtures/plan.ts";

const plan = makePlan();
const jobs = makeJobs(plan);
const evaluation = makeEvaluation(plan, makeScores());
const measured = makeMeasured(evaluation);
const root = "/repository";

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "report-"));
});
afterEach(() => rm(temporary, { recursive: true }));

describe("joins the documents", () => {
	test("into one that holds to its schema", async () => {
		const report = makeReport(plan, jobs, measured, root);
		await writeDocument("report", report, path.join(temporary, "report.json"));
		expect(report).toMatchObject({
			run: plan.run.id,
			evaluation: evaluation.run,
			manifest: evaluation.candidate.manifest,
			measured_at: "2026-01-01T00:00:00.000Z",
			spent: { seconds: 50, cost_usd: 0 },
		});
	});

	test("with places inside the repository by their path from there, and all others as they are", () => {
		const [train, evaluate] = jobs.jobs;
		const stored = {
			...jobs,
			jobs: [
				{ ...train!, output: `${root}/store/model` },
				{ ...evaluate!, output: "s3://b/e" },
			],
		};
		expect(makeReport(plan, stored, measured, root).files).toEqual([
			{ name: "model", location: "store/model" },
			{ name: "evaluation", location: "s3://b/e" },
		]);
		expect(makeReport(plan, stored, measured, "/elsewhere").files[0]!.location).toBe(`${root}/store/model`);
	});

	test("with each row of numbers on a line of its own", async () => {
		const report = makeReport(plan, jobs, measured, root);
		const text = documentText(report);
		expect(JSON.parse(text)).toEqual(report);
		expect(text).toContain(`"recall": [${measured.figures.recall.join(", ")}],`);
		expect(documentText({ a: ["[\n  1\n]"], b: [[1, -2.5e-7], []] })).toBe(
			'{\n  "a": [\n    "[\\n  1\\n]"\n  ],\n  "b": [\n    [1, -2.5e-7],\n    []\n  ]\n}\n',
		);
	});

	test("the same on another day: an estimate or a promotion changes no digest", () => {
		const later = {
			...plan,
			promoted: 3,
			estimate: { ...plan.estimate, seconds: 99 },
			// What plans of before it was counted lack.
			data: { ...plan.data, overlap: makeOverlap(0) },
			warnings: [{ file: "x.yaml", line: 1, column: 1, message: "is this meant?" }],
		};
		expect(digestPlan(later)).toBe(digestPlan(plan));
		expect(digestPlan({ ...plan, baseline: null })).not.toBe(digestPlan(plan));
	});
});

describe("refuses documents that don't belong together", () => {
	test.each([
		[
			"another evaluation",
			{ ...evaluation, run: "other-0000000000000000" },
			"is for the evaluation other-0000000000000000",
		],
		[
			"another run",
			{ ...evaluation, candidate: { ...evaluation.candidate, run: "other-0000000000000000" } },
			"is for the run other-0000000000000000",
		],
		[
			"another production model",
			{ ...evaluation, production: { ...evaluation.production!, manifest: `sha256:${"0".repeat(64)}` } },
			"is for the production model sha256:000",
		],
		["no production model", { ...evaluation, production: null }, "is for the production model null"],
		[
			"other data",
			{ ...evaluation, data: { ...evaluation.data, version: `sha256:${"0".repeat(64)}` } },
			"is for the data version sha256:000",
		],
	])("%s", (_, report, message) => {
		expect(() => makeReport(plan, jobs, { ...measured, report }, root)).toThrow(message);
	});
});

describe("reads what the evaluation left", () => {
	const key = evaluationKey(plan.run.model, plan.run.id, evaluation.run);

	/** Leaves an evaluation with the manifest that lists it; `edited` is put in the place of a file afterwards. */
	async function leave(report: EvalReport, edited: Record<string, string> = {}): Promise<Store> {
		const store = folder(temporary);
		const files = { ...measuredFiles(report, measured.figures), ...edited };
		for (const [file, text] of Object.entries(files)) await store.put(`${key}/${file}`, text);
		return store;
	}

	test("again, with what the splits share where the report at hand was made once that was counted", async () => {
		const store = await leave(measured.report);
		const counting = makePlan({ data: { ...plan.data, overlap: makeOverlap(0) } });
		const report = makeReport(counting, jobs, measured, root);
		expect(report.data.overlap).toEqual(makeOverlap(0));
		expect((await makeReportAgain(counting, report, store)).data.overlap).toEqual(makeOverlap(0));
		const before = makeReport(plan, jobs, measured, root);
		expect(await makeReportAgain(counting, before, store)).toEqual(await makeReportAgain(plan, before, store));
	});

	test("from the store, with the digests of the bytes and of the manifest that lists them", async () => {
		expect(await readEvaluation(plan, jobs, await leave(measured.report))).toEqual(measured);
	});

	test.each(["eval_report.json", "figures.json", "model_card.md"])("and no %s that was edited since", async (file) => {
		const store = await leave(measured.report, { [file]: "{}\n" });
		await expect(readEvaluation(plan, jobs, store)).rejects.toThrow(
			`${key}/${file}: found digest ${sha256("{}\n")}; the evaluation's manifest lists sha256:`,
		);
	});

	test("and no figures but those that the report names", async () => {
		const store = await leave({ ...measured.report, artefacts: [] });
		await expect(readEvaluation(plan, jobs, store)).rejects.toThrow(
			"figures.json is not what the evaluation wrote: its digest is sha256:",
		);
	});

	test("and nothing without its manifest, which a job writes last", async () => {
		const store = await leave(measured.report);
		await rm(store.locate(`${key}/manifest.json`));
		await expect(readEvaluation(plan, jobs, store)).rejects.toThrow(
			"manifest.json: the job succeeded, but the store lacks this file",
		);
	});

	test("and nothing before it has succeeded, saying in which states the jobs are", async () => {
		const failed = makeJobs(plan, makeJob({ state: "failed", diagnosis: "no such frame" }));
		await expect(readEvaluation(plan, failed, folder(temporary))).rejects.toThrow(
			"there is nothing to report yet: train failed (no such frame)",
		);
	});

	test("and no document of another form", async () => {
		const store = await leave({ ...evaluation, scores: [{ metric: "map" }] } as never);
		await expect(readEvaluation(plan, jobs, store)).rejects.toThrow(
			"this version can't read it as eval_report.json: /scores/0 must have required property 'slice'",
		);
	});
});
