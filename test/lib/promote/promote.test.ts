// A promotion
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText, parseDocument } from "../../../actions/lib/documents.ts";
import type { Report } from "../../../actions/lib/generated/documents.d.ts";
import type { Registry } from "../../../actions/lib/plan/registry.ts";
import { modelKey, type Store } from "../../../actions/lib/plan/store.ts";
import { promote } from "../../../actions/lib/promote/promote.ts";
import { folder as registryIn } from "../../../actions/lib/registries/folder.ts";
import { folder as storeIn } from "../../../actions/lib/stores/folder.ts";
import { makeScores } from "../../fixtures/evaluation.ts";
import { leaveJudged } from "../../fixtures/judged.ts";

let temporary: string;
let store: Store;
let registry: Registry;
const now = new Date("2026-01-02T03:04:05.000Z");
const judgement = { approve: true, by: "ann", now };

beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "promote-"));
	store = storeIn(path.join(temporary, "store"));
	registry = registryIn(path.join(temporary, "registry"));
});
afterEach(() => rm(temporary, { recursive: true }));

function keyOf({ report }: { report: Report }): string {
	return modelKey(report.experiment.model, report.run);
}

const makeDocuments = (options: Parameters<typeof leaveJudged>[1] = {}) =>
	leaveJudged({ registry, store }, { now, ...options });

const ports = () => ({ registry, store });

describe("makes the judged model production", () => {
	test("the first of its line, then one in the place of the one it was judged against", async () => {
		const first = await promote({ ...(await makeDocuments({ name: "baseline", first: true })), ...judgement }, ports());
		expect(first).toMatchObject({
			version: 1,
			status: "approved",
			replaced: null,
			approved_by: "ann",
			approved_at: now.toISOString(),
		});
		const second = await promote({ ...(await makeDocuments()), ...judgement }, ports());
		expect(second).toMatchObject({ version: 2, status: "approved", replaced: 1 });
		const current = await registry.current("perception-hydranet");
		expect(current?.entry).toMatchObject({ version: 2, run: "more-night-0123456789abcdef", experiment: "more-night" });
	});

	test("with the days that its frames are of in its entry, and how many of them it saw", async () => {
		const documents = await makeDocuments({ name: "baseline", first: true, windowed: true });
		await promote({ ...documents, ...judgement }, ports());
		const { epochs } = documents.plan.run.train;
		const entry = (await registry.current("perception-hydranet"))?.entry;
		expect(entry).toMatchObject({ window: { from: "2026-11-01", to: "2026-11-28" }, frames_trained: 300 * epochs });
	});

	test("with what was waived in its entry and its promotion, where anything was", async () => {
		const first = await promote({ ...(await makeDocuments({ name: "baseline", first: true })), ...judgement }, ports());
		expect(first.waived).toBeUndefined();
		const scores = makeScores({ day: 0.2 });
		const lost = await makeDocuments({ scores });
		await expect(promote({ ...lost, ...judgement }, ports())).rejects.toThrow("ended in fail");
		const documents = await makeDocuments({ scores, waived: true });
		const promotion = await promote({ ...documents, ...judgement }, ports());
		const waived = [
			{
				metric: "map",
				slice: "day",
				bound: "max_drop",
				outcome: "fail",
				who: "ann",
				reason: "the labels are being checked",
				until: "2026-06-15",
			},
		];
		expect(promotion).toMatchObject({ version: 2, status: "approved", waived });
		await parseDocument("promotion", documentText(promotion), "promotion.json");
		const { versions } = await registry.history("perception-hydranet");
		expect(versions.map(({ entry }) => entry.waived)).toEqual([undefined, waived]);
	});

	test("once, however often it is asked", async () => {
		const documents = await makeDocuments({ first: true });
		const promotion = await promote({ ...documents, ...judgement }, ports());
		const again = await promote({ ...documents, ...judgement, by: "bob", now: new Date() }, ports());
		expect(again).toEqual(promotion);
		expect((await registry.history("perception-hydranet")).approvals).toHaveLength(1);
	});

	test("after a call that was interrupted between registering and approving", async () => {
		const documents = await makeDocuments({ first: true });
		const pending = await promote({ ...documents, ...judgement, approve: false }, ports());
		expect(pending).toMatchObject({ status: "pending", approved_by: null });
		expect(await registry.current("perception-hydranet")).toBeNull();
		expect(await promote({ ...documents, ...judgement }, ports())).toMatchObject({
			version: pending.version,
			status: "approved",
		});
	});
});

describe("refuses", () => {
	test("a verdict that did not pass", async () => {
		await promote({ ...(await makeDocuments({ name: "baseline", first: true })), ...judgement }, ports());
		const failed = await makeDocuments({ scores: makeScores({ night: 0.3 }) });
		expect(failed.verdict.outcome).toBe("fail");
		await expect(promote({ ...failed, ...judgement }, ports())).rejects.toThrow(
			"ended in fail: only a passed verdict is promoted",
		);
		expect((await registry.history("perception-hydranet")).versions).toHaveLength(1);
	});

	test("a verdict that was turned by hand", async () => {
		const documents = await makeDocuments({ first: true });
		const report = { ...documents.report, scores: [] };
		await expect(promote({ ...documents, report, ...judgement }, ports())).rejects.toThrow(
			"verdict.json was not given on this report.json",
		);
	});

	test("a report on another plan", async () => {
		const documents = await makeDocuments({ first: true });
		const plan = { ...documents.plan, policy: { ...documents.plan.policy, rules: [] } };
		await expect(promote({ ...documents, plan, ...judgement }, ports())).rejects.toThrow(
			"report.json was not made from this plan.json",
		);
	});

	test("artefacts that are not the judged bytes", async () => {
		const documents = await makeDocuments({ first: true });
		await writeFile(store.locate(`${keyOf(documents)}/weights.safetensors`), "other weights");
		await expect(promote({ ...documents, ...judgement }, ports())).rejects.toThrow(
			/weights\.safetensors is not the file that was judged \(found sha256:\w+, expected sha256:\w+\): nothing is promoted/,
		);
		expect((await registry.history("perception-hydranet")).versions).toEqual([]);
	});

	test("a manifest that is not the judged one", async () => {
		const documents = await makeDocuments({ first: true });
		await writeFile(store.locate(`${keyOf(documents)}/manifest.json`), "{}");
		await expect(promote({ ...documents, ...judgement }, ports())).rejects.toThrow(
			/manifest\.json: found digest sha256:\w+; expected sha256:/,
		);
	});

	test("a model whose opponent is production no more", async () => {
		const late = await makeDocuments({ name: "late", first: true });
		await promote({ ...(await makeDocuments({ name: "baseline", first: true })), ...judgement }, ports());
		await expect(promote({ ...late, ...judgement }, ports())).rejects.toThrow(
			"late was judged against no production model, and production is version 1 now: plan, train and gate again (the training is adopted, only the comparison is made anew).",
		);
		expect((await registry.history("perception-hydranet")).versions).toHaveLength(1);
	});
});
