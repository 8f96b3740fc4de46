// Seeds of a training
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { documentText, writeDocument } from "../../../actions/lib/documents.ts";
import type { EvalReport, Plan, RunTrain } from "../../../actions/lib/generated/documents.d.ts";
import { identify } from "../../../actions/lib/plan/identity.ts";
import { evaluationKey, type Store } from "../../../actions/lib/plan/store.ts";
import { makeReport } from "../../../actions/lib/report/report.ts";
import { findSeeds } from "../../../actions/lib/report/seeds.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";
import { evaluationOf } from "../../../actions/lib/train/runs.ts";
import { makeEvaluation, makeScore, makeScores } from "../../fixtures/evaluation.ts";
import { makeMeasured } from "../../fixtures/judged.ts";
import { makeJobs, makePlan } from "../../fixtures/plan.ts";

type Score = EvalReport["scores"][number];

let temporary: string;
let store: Store;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "seeds-"));
	store = folder(temporary);
});
afterEach(() => rm(temporary, { recursive: true }));

/** The plan's training with another seed, or changed otherwise, under the id that this gives it. */
function training(changes: Partial<RunTrain> = {}): RunTrain {
	return identify({ ...makePlan().run, ...changes });
}

const planOf = (run: RunTrain, production: RunTrain | null = null): Plan => {
	const { baseline } = makePlan();
	return makePlan({ run, baseline: production && { ...baseline!, run: production.id } });
};

interface Left {
	scores?: Score[];
	/** What of the store's files is another than it would be. */
	document?: unknown;
	report?: (report: EvalReport) => unknown;
	finished?: boolean;
}

/** Leaves in the store what a training and its evaluation leave there; returns the evaluation. */
async function leave(run: RunTrain, { scores, document, report, finished = true }: Left = {}): Promise<EvalReport> {
	const plan = planOf(run);
	const evaluation = makeEvaluation(plan, scores ?? [makeScore()]);
	const key = evaluationKey(run.model, run.id, evaluation.run);
	await store.put(`documents/${run.id}.json`, typeof document === "string" ? document : documentText(document ?? run));
	await store.put(
		`documents/${evaluation.run}.json`,
		documentText(evaluationOf(plan, evaluation.candidate.manifest, 1000)),
	);
	const written = report ? report(evaluation) : evaluation;
	await store.put(`${key}/eval_report.json`, typeof written === "string" ? written : documentText(written));
	if (finished) await store.put(`${key}/manifest.json`, "{}");
	return evaluation;
}

const map = (candidate: number | null, changes: Partial<Score> = {}) => makeScore({ ...changes, candidate });
const found = (run: RunTrain, scores: Score[] = [makeScore()], production: RunTrain | null = null) => {
	const plan = planOf(run, production);
	return findSeeds(plan, makeEvaluation(plan, scores), store);
};

describe("finds the same training with other seeds", () => {
	test("and tells how each score is spread over them: n, standard deviation of n - 1, range", async () => {
		const [first, second, third] = [0, 1, 5].map((seed) => training({ seed }));
		await leave(third!, { scores: [map(0.36)] });
		const own = await leave(first!, { scores: [map(0.3)] });
		await leave(second!, { scores: [map(0.33)] });
		const seeds = await found(second!);
		expect(seeds).toMatchObject({
			candidate: {
				experiment: "more-night",
				runs: [
					{ seed: 0, run: first!.id, evaluation: own.run },
					{ seed: 1, run: second!.id },
					{ seed: 5, run: third!.id },
				],
				next: 2,
			},
			production: null,
		});
		const [score, ...others] = seeds!.candidate.scores;
		expect(others).toEqual([]);
		expect(score).toEqual({
			metric: "map",
			slice: null,
			seeds: 3,
			deviation: expect.closeTo(0.03, 12),
			low: 0.3,
			high: 0.36,
		});
	});

	test("of production too, on the data that it was trained on, if its test frames are the same", async () => {
		const data = makePlan().run.data;
		const before = { ...data, name: "scenes", version: `sha256:${"e".repeat(64)}` };
		const [production, again] = [0, 3].map((seed) => training({ seed, experiment: "baseline", data: before }));
		await leave(production!, { scores: [map(0.2)] });
		await leave(again!, { scores: [map(0.22)] });
		const own = training();
		await leave(own);
		const seeds = await found(own, [makeScore()], production!);
		expect(seeds!.production).toMatchObject({ experiment: "baseline", runs: [{ seed: 0 }, { seed: 3 }], next: 1 });
		expect(seeds!.production!.scores).toMatchObject([{ seeds: 2, deviation: expect.closeTo(0.02 / Math.SQRT2, 12) }]);
		expect(seeds!.candidate).toMatchObject({ runs: [{ seed: 0 }], next: 1, scores: [] });
	});

	test("a copy of the experiment under another name among them, and a seed once", async () => {
		const own = training();
		await leave(training({ experiment: "a-copy" }), { scores: [map(0.9)] });
		await leave(own, { scores: [map(0.3)] });
		await leave(training({ experiment: "another", seed: 1 }), { scores: [map(0.32)] });
		const seeds = await found(own);
		expect(seeds!.candidate.runs.map(({ seed, run }) => [seed, run.slice(0, -17)])).toEqual([
			[0, "more-night"],
			[1, "another"],
		]);
		expect(seeds!.candidate.scores).toMatchObject([{ seeds: 2, low: 0.3, high: 0.32 }]);
	});

	test("score by score: what a seed has no figure of counts only the others, latencies not at all", async () => {
		const own = training();
		const night = { slice: "night" };
		const latency = { metric: "latency_p95_ms" };
		await leave(own, { scores: [map(0.3), map(0.2, night), map(2, latency), map(null, { metric: "miou" })] });
		await leave(training({ seed: 1 }), {
			scores: [map(0.3), map(null, night), map(3, latency), map(0.5, { metric: "miou" })],
		});
		await leave(training({ seed: 2 }), {
			scores: [map(0.3), map(0.26, night), map(4, latency), map(null, { metric: "miou" })],
		});
		const seeds = await found(own, [map(0.3), map(0.2, night), map(2, latency), map(null, { metric: "miou" })]);
		expect(seeds!.candidate.scores).toEqual([
			{ metric: "map", slice: null, seeds: 3, deviation: 0, low: 0.3, high: 0.3 },
			{
				metric: "map",
				slice: "night",
				seeds: 2,
				deviation: expect.closeTo(0.06 / Math.SQRT2, 12),
				low: 0.2,
				high: 0.26,
			},
		]);
	});

	test("and none where there is no second seed: the report has no word of them", async () => {
		const own = training();
		await leave(own);
		expect(await found(own)).toBeNull();
		const plan = planOf(own, training({ seed: 7, experiment: "gone" }));
		const measured = makeMeasured(makeEvaluation(plan, makeScores()));
		expect(Object.keys(makeReport(plan, makeJobs(plan), measured, "/"))).not.toContain("seeds");
	});

	test("and puts them into a report that holds to its schema", async () => {
		const own = training();
		await leave(own);
		await leave(training({ seed: 1 }));
		const plan = planOf(own);
		const evaluation = makeEvaluation(plan, [makeScore()]);
		const seeds = await findSeeds(plan, evaluation, store);
		const report = makeReport(plan, makeJobs(plan), { ...makeMeasured(evaluation), seeds }, "/");
		expect(report.seeds).toEqual(seeds);
		await writeDocument("report", report, path.join(temporary, "report.json"));
	});
});

describe("takes no run for a seed that is another training", () => {
	const { data, train } = makePlan().run;
	const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
	test.each<[string, Partial<RunTrain>]>([
		["by other code", { code: digest("0") }],
		["in another image", { image: digest("0") }],
		["with another setting", { train: { ...train, epochs: 3 } }],
		["of another world size", { processes: 1 }],
		["from other weights", { weights: { manifest: digest("0"), file: "w", rename: {}, leave: [] } }],
		["on other data", { data: { ...data, version: digest("0") } }],
	])("%s", async (_, changes) => {
		const own = training();
		await leave(own);
		await leave(training({ seed: 1, ...changes }));
		expect(await found(own)).toBeNull();
	});

	test("of another line of models, whatever lies in its folders", async () => {
		const own = training();
		await leave(own);
		await leave(training({ seed: 1, model: "another-line" }));
		await leave(training({ seed: 2, model: "perception-hydranet-2" }));
		expect(await found(own)).toBeNull();
	});

	test("nor production's, where its own evaluation was on other frames or of other categories", async () => {
		const own = training();
		await leave(own);
		const manifests = { ...data.manifests, test: { ...data.manifests.test, sha256: digest("0") } };
		const categories = { ...data.categories, detection: ["vehicle"] };
		for (const other of [
			{ ...data, manifests },
			{ ...data, categories },
		]) {
			const [production, again] = [0, 1].map((seed) => training({ seed, experiment: "old", data: other }));
			await leave(production!);
			await leave(again!);
			expect(await found(own, [makeScore()], production!)).toBeNull();
		}
	});

	test("and no slice for the same that is chosen otherwise", async () => {
		const own = training();
		const night = [map(0.2, { slice: "night" }), map(0.3)];
		await leave(own, { scores: night });
		const moved = (report: EvalReport) => ({
			...report,
			slices: report.slices.map((slice) => ({ ...slice, where: { timeofday: ["night", "dusk"] } })),
		});
		await leave(training({ seed: 1 }), { scores: night, report: moved });
		expect((await found(own, night))!.candidate.scores).toMatchObject([{ metric: "map", slice: null, seeds: 2 }]);
	});
});

describe("passes over what can't be told", () => {
	const other = training({ seed: 1 });
	const statistics = (change: object) => (report: EvalReport) => ({
		...report,
		statistics: report.statistics.map((kept) => ({ ...kept, ...change })),
	});
	test.each<[string, Left]>([
		["an evaluation that isn't finished", { finished: false }],
		["a document that is no JSON", { document: "{" }],
		["a document of another version", { document: { schema: 0 } }],
		["a document of another run", { document: training({ seed: 2 }) }],
		["a document that was changed by hand", { document: { ...other, seed: 9 } }],
		["a document with a name that can't be", { document: { ...other, experiment: "\uD800`@octocat" } }],
		[
			"an evaluation's document in the place of a training's",
			{ document: { ...evaluationOf(planOf(other), "x", 1), id: other.id } },
		],
		["an evaluation that is no JSON", { report: () => "{" }],
		["an evaluation of another version", { report: (report) => ({ ...report, schema: 0 }) }],
		[
			"an evaluation of another run",
			{ report: (report) => ({ ...report, candidate: { ...report.candidate, run: "x" } }) },
		],
		["an evaluation under another's name", { report: (report) => ({ ...report, run: "x" }) }],
		["one on other frames", { report: statistics({ frames: `sha256:${"0".repeat(64)}` }) }],
		["one on other data", { report: statistics({ data: "x" }) }],
		["one by other code", { report: statistics({ code: "x" }) }],
		["one of another model", { report: statistics({ model: `sha256:${"0".repeat(64)}` }) }],
		["one that measured production alone", { report: statistics({ of: "production" }) }],
	])("%s", async (_, left) => {
		const own = training();
		await leave(own, { scores: [map(0.3)] });
		await leave(training({ seed: 3 }), { scores: [map(0.31)] });
		await leave(other, { ...left, scores: [map(0.9)] });
		expect((await found(own))!.candidate).toMatchObject({ runs: [{ seed: 0 }, { seed: 3 }], scores: [{ high: 0.31 }] });
	});

	test("and takes the next evaluation of a run where the first can't be read", async () => {
		const own = training();
		await leave(own);
		await leave(other);
		await store.put(`${evaluationKey(other.model, other.id, "aaa")}/manifest.json`, "{}");
		await store.put(`${evaluationKey(other.model, other.id, "aaa")}/eval_report.json`, "{");
		expect((await found(own))!.candidate.runs).toMatchObject([{ seed: 0 }, { seed: 1 }]);
	});

	test("a document of production that is of another run", async () => {
		const [production, again] = [0, 1].map((seed) => training({ seed, experiment: "old", processes: 4 }));
		await store.put(`documents/${production!.id}.json`, documentText(again));
		await leave(again!);
		await leave(training({ seed: 2, experiment: "old", processes: 4 }));
		const own = training();
		await leave(own);
		await leave(other);
		expect((await found(own, [makeScore()], production!))!.production).toBeNull();
	});

	test("an evaluation that lies in no place of evaluations", async () => {
		const own = training();
		await leave(own);
		const { run } = await leave(other, { finished: false });
		const key = evaluationKey(other.model, other.id, run);
		const place = key.replace("/evaluations/", "/drafts/");
		await store.put(`${place}/eval_report.json`, (await store.get(`${key}/eval_report.json`))!);
		await store.put(`${place}/manifest.json`, "{}");
		expect(await found(own)).toBeNull();
	});

	test("files with names that nobody gave", async () => {
		const own = training();
		await leave(own);
		await leave(other);
		const names = ["`@octocat`", "a\nb", "__proto__", "\u202Eevil", "x".repeat(200)];
		for (const name of names) await store.put(`${evaluationKey(own.model, name, "e")}/manifest.json`, "{}");
		await store.put(`models/${own.model}/manifest.json`, "{}");
		await store.put(`${evaluationKey(own.model, other.id, "e")}/statistics/manifest.json`, "{}");
		expect((await found(own))!.candidate.runs).toHaveLength(2);
	});
});

test("suggests no further seed of a production that wouldn't be the same training any more", async () => {
	const own = training();
	await leave(own);
	const start = { manifest: `sha256:${"9".repeat(64)}`, file: "weights.safetensors", rename: {}, leave: [] };
	const code = `sha256:${"0".repeat(64)}`;
	for (const [changes, next] of [
		[{}, 2],
		[{ code }, null],
		[{ weights: start }, null],
	] as const) {
		const [production, again] = [0, 1].map((seed) => training({ seed, experiment: "old", processes: 4, ...changes }));
		await leave(production!);
		await leave(again!);
		expect((await found(own, [makeScore()], production!))!.production!.next).toBe(next);
	}
});

test("reads no evaluation but those of the same training, and no document but those of its line", async () => {
	const own = training();
	await leave(own);
	await leave(training({ seed: 1 }));
	for (let n = 0; n < 40; n += 1) await leave(training({ seed: 1, processes: n + 3 }));
	for (let n = 0; n < 40; n += 1) await leave(training({ seed: n, model: `${own.model}-${n}` }));
	const asked: string[] = [];
	const get = (key: string) => {
		asked.push(key);
		return store.get(key);
	};
	const plan = planOf(own);
	const seeds = await findSeeds(plan, makeEvaluation(plan, [makeScore()]), { ...store, get });
	expect(seeds!.candidate.runs).toHaveLength(2);
	expect(asked.filter((key) => key.endsWith("eval_report.json"))).toHaveLength(2);
	expect(asked.filter((key) => key.startsWith("documents/"))).toHaveLength(42);
});
