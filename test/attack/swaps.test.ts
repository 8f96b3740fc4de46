// Bytes that were swapped between judging and production are refused and named, whatever was swapped and whenever
import { appendFile, mkdtemp, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText, sha256 } from "../../actions/lib/documents.ts";
import { judge } from "../../actions/lib/gate/gate.ts";
import type { EvalReport } from "../../actions/lib/generated/documents.d.ts";
import type { Registry } from "../../actions/lib/plan/registry.ts";
import { evaluationKey, modelKey, type Store } from "../../actions/lib/plan/store.ts";
import { promote } from "../../actions/lib/promote/promote.ts";
import { folder as registryIn } from "../../actions/lib/registries/folder.ts";
import { makeReport } from "../../actions/lib/report/report.ts";
import { folder as storeIn } from "../../actions/lib/stores/folder.ts";
import { makeScores } from "../fixtures/evaluation.ts";
import { leaveJudged, makeMeasured, manifestText, measuredFiles } from "../fixtures/judged.ts";
import { makeJobs } from "../fixtures/plan.ts";

const LINE = "perception-hydranet";
type Documents = Awaited<ReturnType<typeof leaveJudged>>;

let temporary: string;
let store: Store;
let registry: Registry;
const judgement = { approve: true, by: "ann", now: new Date("2026-01-02T03:04:05.000Z") };
const ports = () => ({ registry, store });

beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "swaps-"));
	store = storeIn(path.join(temporary, "store"));
	registry = registryIn(path.join(temporary, "registry"));
	const first = await leaveJudged(ports(), { name: "baseline", first: true, now: judgement.now });
	await promote({ ...first, ...judgement }, ports());
});
afterEach(() => rm(temporary, { recursive: true }));

const judged = (options: Parameters<typeof leaveJudged>[1] = {}) =>
	leaveJudged(ports(), { now: judgement.now, ...options });
const failed = () => judged({ scores: makeScores({ night: 0.3 }) });
const inStore = ({ report }: Documents, file: string) => store.locate(`${modelKey(LINE, report.run)}/${file}`);
const measured = ({ report }: Documents, file: string) =>
	store.locate(`${evaluationKey(LINE, report.run, report.evaluation)}/${file}`);
const inRegistry = (version: number, file: string) =>
	path.join(temporary, "registry", LINE, `v${String(version).padStart(6, "0")}`, file);

/** Edits a JSON file in place. */
async function edit<T>(file: string, change: (value: T) => unknown): Promise<void> {
	const value = JSON.parse(await readFile(file, "utf8")) as T;
	await writeFile(file, documentText(change(value)));
}

async function expectRefused(documents: Documents, named: RegExp | string): Promise<void> {
	await expect(promote({ ...documents, ...judgement }, ports())).rejects.toThrow(named);
	expect((await readApprovals()).map(({ version }) => version)).toEqual([1]);
}

async function readApprovals(): Promise<{ version: number }[]> {
	return (await registryIn(path.join(temporary, "registry")).history(LINE)).approvals;
}

describe("in the documents that a verdict rests on", () => {
	test("a verdict that was turned to pass", async () => {
		const documents = await failed();
		const verdict = { ...documents.verdict, outcome: "pass" as const, passed: true };
		await expectRefused({ ...documents, verdict }, /verdict\.json differs .* \(outcome: found "pass", expected "fail"/);
	});

	test("a verdict whose failed checks were removed", async () => {
		const documents = await failed();
		const checks = documents.verdict.checks.filter(({ blocking }) => !blocking);
		const verdict = { ...documents.verdict, outcome: "pass" as const, passed: true, checks };
		await expectRefused({ ...documents, verdict }, "verdict.json differs from what the store and the policy give now");
	});

	test("scores of a report, with a verdict that was given on them", async () => {
		const documents = await failed();
		const better = await judged();
		const report = { ...documents.report, scores: better.report.scores };
		const verdict = judge(report, judgement.now);
		expect(verdict.passed).toBe(true);
		await expectRefused({ ...documents, report, verdict }, /report\.json differs .*scores\./);
	});

	test("a report's policy, with a verdict that was given by it", async () => {
		const documents = await failed();
		const [rule] = documents.report.policy.rules;
		const rules = [{ ...rule!, slice: null, metric: "map", bound: "min" as const, value: 0 }];
		const report = { ...documents.report, policy: { ...documents.report.policy, rules } };
		const verdict = judge(report, judgement.now);
		expect(verdict.passed).toBe(true);
		await expectRefused({ ...documents, report, verdict }, /report\.json differs .*policy\.rules/);
	});

	test("a baseline that the registry doesn't have", async () => {
		const documents = await judged();
		const baseline = { ...documents.plan.baseline!, manifest: sha256("another") };
		const plan = { ...documents.plan, baseline };
		const evaluation = JSON.parse(await readFile(measured(documents, "eval_report.json"), "utf8")) as EvalReport;
		const forged = { ...evaluation, production: { ...evaluation.production!, manifest: baseline.manifest } };
		const jobs = { ...makeJobs(plan), evaluation: forged.run };
		const report = makeReport(plan, jobs, makeMeasured(forged), "/repository");
		const verdict = judge(report, judgement.now);
		await expectRefused(
			{ plan, report, verdict },
			/baseline\.manifest: found sha256:\w+; the registry's v1 has sha256:/,
		);
	});
});

describe("in the store, before anything is registered", () => {
	test.each<[string, (of: Documents) => Promise<void>, RegExp]>([
		[
			"weights",
			(of) => writeFile(inStore(of, "weights.safetensors"), "others"),
			/weights\.safetensors is not the file/,
		],
		["weights, as a link", (of) => asLink(inStore(of, "weights.safetensors")), /weights\.safetensors: found a link/],
		[
			"the manifest",
			(of) => edit(inStore(of, "manifest.json"), (was) => ({ ...(was as object), run: "x" })),
			/manifest\.json: found digest/,
		],
		["the evaluation", (of) => appendFile(measured(of, "eval_report.json"), " "), /eval_report\.json: found digest/],
		["the evaluation and its manifest", swapEvaluation, /report\.json differs/],
		["the model card", (of) => appendFile(measured(of, "model_card.md"), "better"), /model_card\.md: found digest/],
	])("%s", async (_, swap, named) => {
		const documents = await judged();
		await swap(documents);
		await expectRefused(documents, named);
	});

	test("weights and their manifest, both of another model", async () => {
		const documents = await judged();
		await writeFile(inStore(documents, "weights.safetensors"), "others");
		await writeFile(
			inStore(documents, "manifest.json"),
			manifestText(documents.report.run, { "weights.safetensors": "others" }),
		);
		await expectRefused(documents, /manifest\.json: found digest/);
	});

	test("a manifest that lists nothing", async () => {
		const documents = await judged();
		await writeFile(inStore(documents, "manifest.json"), manifestText(documents.report.run, {}));
		await expectRefused(documents, /manifest\.json: found digest/);
	});
});

describe("while it is pending", () => {
	let documents: Documents;
	beforeEach(async () => {
		documents = await judged();
		await promote({ ...documents, ...judgement, approve: false }, ports());
	});

	test.each<[string, () => Promise<void>, RegExp]>([
		[
			"weights in the registry",
			() => writeFile(inRegistry(2, "model/weights.safetensors"), "x"),
			/weights\.safetensors: found digest/,
		],
		[
			"weights in the registry, as a link",
			() => asLink(inRegistry(2, "model/weights.safetensors")),
			/found a link or a special file/,
		],
		[
			"the manifest in the registry",
			() => appendFile(inRegistry(2, "model/manifest.json"), " "),
			/manifest\.json: found digest/,
		],
		[
			"a file that no manifest lists",
			() => writeFile(inRegistry(2, "model/extra.py"), "x"),
			/extra\.py: the manifest doesn't list/,
		],
		[
			"the evaluation in the registry",
			() => appendFile(inRegistry(2, "evaluation/eval_report.json"), " "),
			/eval_report\.json: found digest/,
		],
		[
			"the entry's scores",
			() => edit<object>(inRegistry(2, "entry.json"), (was) => ({ ...was, scores: { map: 1 } })),
			/entry of perception-hydranet v2 differs .*scores\.map: found 1/,
		],
		[
			"the entry's manifest",
			() => edit<object>(inRegistry(2, "entry.json"), (was) => ({ ...was, manifest: sha256("x") })),
			/entry of perception-hydranet v2 differs .*manifest/,
		],
		[
			"the entry's number",
			() => edit<object>(inRegistry(2, "entry.json"), (was) => ({ ...was, version: 3 })),
			/entry\.json: found the entry of perception-hydranet v3/,
		],
		["the evaluation in the store", () => swapEvaluation(documents), /report\.json differs/],
		[
			"weights in the store",
			() => writeFile(inStore(documents, "weights.safetensors"), "x"),
			/is not the file that was judged/,
		],
	])("%s", async (_, swap, named) => {
		await swap();
		// A changed number makes the line unreadable, so that its approvals can't be listed either.
		if (named.source.includes("v3"))
			await expect(promote({ ...documents, ...judgement }, ports())).rejects.toThrow(named);
		else await expectRefused(documents, named);
	});

	test("an evaluation, judged again by who swapped it: the registry remembers which one was judged", async () => {
		await swapEvaluation(documents);
		const evaluation = JSON.parse(await readFile(measured(documents, "eval_report.json"), "utf8")) as EvalReport;
		const jobs = { ...makeJobs(documents.plan), evaluation: evaluation.run };
		const report = makeReport(documents.plan, jobs, makeMeasured(evaluation), "/repository");
		const verdict = judge(report, judgement.now);
		await expectRefused({ ...documents, report, verdict }, /the registry has noted sha256:\w+/);
		await rm(path.join(temporary, "registry", LINE, "evaluations", report.evaluation));
		await expectRefused(
			{ ...documents, report, verdict },
			/entry of perception-hydranet v2 differs .*evaluation_manifest/,
		);
	});
});

describe("once it is production", () => {
	test.each<[string, () => Promise<void>, RegExp]>([
		[
			"its entry",
			() => edit<object>(inRegistry(1, "entry.json"), (was) => ({ ...was, scores: { map: 0 } })),
			/entry\.json: found digest .* was approved/,
		],
		[
			"the approval that made it so",
			async () => {
				await promote({ ...(await judged()), ...judgement }, ports());
				const file = path.join(temporary, "registry", LINE, "approvals/000001.json");
				await edit<object>(file, (was) => ({ ...was, approved_by: "mallory" }));
			},
			/000001\.json: it was changed after the approval that follows it/,
		],
		[
			"an approval that isn't there any more",
			async () => {
				await promote({ ...(await judged()), ...judgement }, ports());
				const folder = path.join(temporary, "registry", LINE, "approvals");
				await rename(path.join(folder, "000002.json"), path.join(folder, "000001.json"));
			},
			/it was changed|is gone|isn't the one that came before/,
		],
		[
			"an approval of another form",
			() => writeFile(path.join(temporary, "registry", LINE, "approvals/000001.json"), "{}"),
			/this version can.t read it as approval\.json/,
		],
	])("%s", async (_, swap, named) => {
		await swap();
		await expect(registryIn(path.join(temporary, "registry")).current(LINE)).rejects.toThrow(named);
	});

	test("its weights, when another model is to be compared with it", async () => {
		const [own] = (await registry.history(LINE)).versions;
		await writeFile(inRegistry(1, "model/weights.safetensors"), "others");
		await expect(registry.verify(own!)).rejects.toThrow(/weights\.safetensors: found digest/);
	});
});

/** Puts the same bytes behind a link in a file's place: a later change of where it leads would go unseen. */
async function asLink(file: string): Promise<void> {
	const elsewhere = path.join(temporary, "elsewhere");
	await rename(file, elsewhere);
	await symlink(elsewhere, file);
}

/** Puts a better evaluation in the place of the one that was judged, with a manifest that lists it. */
async function swapEvaluation(documents: Documents): Promise<void> {
	const evaluation = JSON.parse(await readFile(measured(documents, "eval_report.json"), "utf8")) as EvalReport;
	const better = { ...evaluation, scores: makeScores({ night: -0.2 }) };
	const { report, figures } = makeMeasured(better);
	for (const [file, text] of Object.entries(measuredFiles(report, figures)))
		await writeFile(measured(documents, file), text);
}
