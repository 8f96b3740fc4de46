// The train stage
import { describe, expect, test, vi } from "vitest";
import { documentText, sha256 } from "../../../actions/lib/documents.ts";
import type { Version } from "../../../actions/lib/plan/registry.ts";
import { evaluationKey, modelKey, type Store } from "../../../actions/lib/plan/store.ts";
import { claimsOf } from "../../../actions/lib/train/claims.ts";
import type { Executor, Job, Run } from "../../../actions/lib/train/executor.ts";
import { evaluationOf } from "../../../actions/lib/train/runs.ts";
import {
	followJobs,
	isEvaluated,
	isSettled,
	lookAtJobs,
	renewJobs,
	startJobs,
	stopJobs,
	unseenJobs,
} from "../../../actions/lib/train/train.ts";
import { makeEvaluation, makeScores } from "../../fixtures/evaluation.ts";
import { makeEntry, manifestText } from "../../fixtures/judged.ts";
import { makeJob, makePlan } from "../../fixtures/plan.ts";

/** A place where jobs go from state to state as the test says. */
function scripted() {
	const jobs = new Map<string, Job>();
	const started: Run[] = [];
	const stopped: string[] = [];
	const executor: Executor = {
		async start(run) {
			const { id, kind } = run.document;
			const state = jobs.get(id)?.state;
			if (state === "running" || state === "succeeded") return;
			started.push(run);
			jobs.set(id, makeJob({ id, kind, state: "running", seconds: 1 }));
		},
		look: async (id) => jobs.get(id) ?? makeJob({ id, state: "absent", attempt: 0, seconds: null }),
		async stop(id) {
			stopped.push(id);
		},
		list: async () => [...jobs.values()],
	};
	const kept = new Map<string, Uint8Array>();
	const store: Store = {
		get: async (key) => kept.get(key) ?? null,
		async put(key, bytes) {
			if (kept.has(key)) return false;
			kept.set(key, Buffer.from(bytes));
			return true;
		},
		list: async (prefix) => [...kept.keys()].filter((key) => key.startsWith(prefix)),
		locate: (key) => `/store/${key}`,
	};
	const settle = (id: string, state: Job["state"], more: Partial<Job> = {}) => {
		jobs.set(id, { ...jobs.get(id)!, state, ...more });
		if (state === "succeeded")
			kept.set(`${modelKey(plan.run.model, id)}/manifest.json`, Buffer.from(manifestText(id, { weights: "" })));
	};
	const versions: Version[] = [];
	const registry = {
		noted: async (_: string, evaluation: string) =>
			versions.find(({ entry }) => entry.evaluation === evaluation)?.entry.evaluation_manifest ?? null,
	};
	return { ports: { executor, store, registry }, started, stopped, settle, kept, versions };
}

const plan = makePlan();
const evaluation = evaluationOf(plan, sha256(manifestText(plan.run.id, { weights: "" })), 1000);

describe("takes the next step", () => {
	test("starts the training, then the evaluation of what it made", async () => {
		const { ports, started, settle } = scripted();
		const first = await startJobs(plan, ports);
		expect(first.jobs.map(({ kind, state }) => [kind, state])).toEqual([["train", "running"]]);
		settle(plan.run.id, "succeeded");
		const second = await lookAtJobs(plan, first, ports);
		expect(second.evaluation).toBe(evaluation.id);
		expect(second.jobs.map(({ kind, state }) => [kind, state])).toEqual([
			["train", "succeeded"],
			["evaluate", "running"],
		]);
		expect(started.map((run) => run.inputs)).toEqual([
			{ production: "/registry/v1/model" },
			{ candidate: `/store/${modelKey(plan.run.model, plan.run.id)}`, production: "/registry/v1/model" },
		]);
		settle(evaluation.id, "succeeded");
		const done = await lookAtJobs(plan, second, ports);
		expect([isSettled(done), isEvaluated(done)]).toEqual([true, true]);
	});

	test("adopts what is there, and says so", async () => {
		const { ports, started, settle } = scripted();
		await startJobs(plan, ports);
		settle(plan.run.id, "succeeded");
		await startJobs(plan, ports);
		settle(evaluation.id, "succeeded");
		const again = await startJobs(plan, ports);
		expect(again.jobs.map(({ adopted }) => adopted)).toEqual([true, true]);
		expect(started).toHaveLength(2);
	});

	test("makes the comparison again, not the training, when production has moved", async () => {
		const { ports, started, settle } = scripted();
		await startJobs(plan, ports);
		settle(plan.run.id, "succeeded");
		await startJobs(plan, ports);
		const moved = makePlan({ baseline: { ...plan.baseline!, version: 2, manifest: `sha256:${"8".repeat(64)}` } });
		const jobs = await startJobs(moved, ports);
		expect(jobs.evaluation).not.toBe(evaluation.id);
		expect(started.map((run) => run.document.kind)).toEqual(["train", "evaluate", "evaluate"]);
	});

	test("starts again what failed or was stopped, and only when asked to start", async () => {
		const { ports, started, settle } = scripted();
		const jobs = await startJobs(plan, ports);
		settle(plan.run.id, "failed", { diagnosis: "the machine went away" });
		const seen = await lookAtJobs(plan, jobs, ports);
		expect([isSettled(seen), isEvaluated(seen), seen.jobs[0]!.diagnosis]).toEqual([
			true,
			false,
			"the machine went away",
		]);
		expect(started).toHaveLength(1);
		await startJobs(plan, ports);
		expect(started).toHaveLength(2);
	});

	test("starts an evaluation again that failed or was stopped only when asked to start, whoever looks", async () => {
		const { ports, started, settle } = scripted();
		await startJobs(plan, ports);
		settle(plan.run.id, "succeeded");
		await startJobs(plan, ports);
		settle(evaluation.id, "stopped");
		const seen = await lookAtJobs(plan, unseenJobs(plan), ports);
		expect(seen.jobs.map(({ state }) => state)).toEqual(["succeeded", "stopped"]);
		expect(started).toHaveLength(2);
		await startJobs(plan, ports);
		expect(started).toHaveLength(3);
	});

	test("starts from the weights that the plan names", async () => {
		const { ports, started } = scripted();
		await startJobs(
			makePlan({
				weights: {
					location: "/registry/v1/model",
					from: "version 1",
					manifest: `sha256:${"9".repeat(64)}`,
					transfer: null,
				},
			}),
			ports,
		);
		expect(started[0]!.inputs).toEqual({ weights: "/registry/v1/model", production: "/registry/v1/model" });
	});

	test("refuses a run that the store has with another document, and starts nothing", async () => {
		const { ports, started, kept } = scripted();
		kept.set(`documents/${plan.run.id}.json`, Buffer.from(documentText({ ...plan.run, seed: 1 })));
		await expect(startJobs(plan, ports)).rejects.toThrow("with another document: it isn't adopted");
		expect(started).toEqual([]);
	});
});

describe("writes down which pull request asks", () => {
	test("before the executor is asked to start, so that nothing runs which is claimed by nobody", async () => {
		const { ports, settle } = scripted();
		const claimed: [string, number[]][] = [];
		const executor: Executor = {
			...ports.executor,
			async start(run) {
				claimed.push([run.document.kind, await claimsOf(run.document.id, ports.store)]);
				return ports.executor.start(run);
			},
		};
		const asked = { ...ports, executor, pullRequest: 7 };
		const jobs = await startJobs(plan, asked);
		settle(plan.run.id, "succeeded");
		await lookAtJobs(plan, jobs, asked);
		expect(claimed).toEqual([
			["train", [7]],
			["evaluate", [7]],
		]);
	});

	test("each once, also where it adopts what another has started", async () => {
		const { ports } = scripted();
		for (const pullRequest of [12, 7, 12]) await startJobs(plan, { ...ports, pullRequest });
		expect((await claimsOf(plan.run.id, ports.store)).sort((a, b) => a - b)).toEqual([7, 12]);
	});

	test("and none where a person started it by hand, or another run begins with the same words", async () => {
		const { ports } = scripted();
		await startJobs(plan, ports);
		await ports.store.put(`claims/${plan.run.id}-more/7`, "");
		expect(await claimsOf(plan.run.id, ports.store)).toEqual([]);
	});

	test("of its own repository, where another one on the same store has a pull request of that number", async () => {
		const { ports } = scripted();
		vi.stubEnv("GITHUB_REPOSITORY", "acme/other");
		await startJobs(plan, { ...ports, pullRequest: 7 });
		vi.stubEnv("GITHUB_REPOSITORY", "acme/perception");
		expect(await claimsOf(plan.run.id, ports.store)).toEqual([]);
		await startJobs(plan, { ...ports, pullRequest: 12 });
		await ports.store.put(`claims/${plan.run.id}/acme/perception/.DS_Store`, "");
		expect(await claimsOf(plan.run.id, ports.store)).toEqual([12]);
		vi.unstubAllEnvs();
	});

	test("and starts nothing where that can't be written", async () => {
		const { ports, started } = scripted();
		const store: Store = { ...ports.store, put: () => Promise.reject(new Error("the disk is full")) };
		await expect(startJobs(plan, { ...ports, store, pullRequest: 7 })).rejects.toThrow("the disk is full");
		expect(started).toEqual([]);
	});
});

const kept = {
	...makeEvaluation(plan, makeScores()).statistics[0]!,
	model: evaluation.candidate.manifest,
	evaluation: "evaluate-earlier",
};
const own = evaluationKey(plan.run.model, plan.run.id, "evaluate-earlier");
const others = evaluationKey(plan.run.model, plan.baseline!.run, "evaluate-production");

/** What the evaluation gets beside the models, where these statistics lie in the store, `judged` by what the registry names. */
async function inputsWith(
	statistics: Record<string, Partial<typeof kept>>,
	{ judged = true, swap = (_: Map<string, Uint8Array>) => {} } = {},
) {
	const { ports, started, settle, kept: stored, versions } = scripted();
	for (const [key, changes] of Object.entries(statistics)) {
		const report = { ...makeEvaluation(plan, makeScores()), statistics: [{ ...kept, ...changes }] };
		const files = { "eval_report.json": documentText(report) };
		const listing = manifestText(report.run, files);
		await ports.store.put(`${key}/eval_report.json`, files["eval_report.json"]);
		await ports.store.put(`${key}/manifest.json`, listing);
		const [, , run = "", , id = ""] = key.split("/");
		const entry = { ...makeEntry(id), version: 1, run, evaluation_manifest: sha256(listing) };
		if (judged) versions.push({ entry, location: "/registry/v1/model" });
	}
	swap(stored);
	const jobs = await startJobs(plan, ports);
	settle(plan.run.id, "succeeded");
	await lookAtJobs(plan, jobs, ports);
	const { candidate: _, production: __, ...inputs } = started[1]!.inputs;
	return inputs;
}

test("measures nothing of a model whose manifest was cut on its way", async () => {
	const { ports, started, settle, kept } = scripted();
	const jobs = await startJobs(plan, ports);
	settle(plan.run.id, "succeeded");
	const key = `${modelKey(plan.run.model, plan.run.id)}/manifest.json`;
	kept.set(key, kept.get(key)!.slice(0, 40));
	await expect(lookAtJobs(plan, jobs, ports)).rejects.toThrow(key);
	expect(started).toHaveLength(1);
});

describe("gives the evaluation what was measured before", () => {
	test("of each model that an evaluation has measured on these frames by this code", async () => {
		expect(await inputsWith({})).toEqual({});
		expect(await inputsWith({ [own]: {} })).toEqual({ "measured-candidate": `/store/${own}` });
		const model = plan.baseline!.manifest;
		expect(await inputsWith({ [own]: {}, [others]: { model } })).toEqual({
			"measured-candidate": `/store/${own}`,
			"measured-production": `/store/${others}`,
		});
		// In an evaluation of another candidate it was production.
		expect(await inputsWith({ [others]: { model, of: "production" } })).toEqual({
			"measured-production": `/store/${others}`,
		});
	});

	test.each([
		["another model", { model: `sha256:${"e".repeat(64)}` }],
		["another version of the data", { data: "another" }],
		["other frames", { frames: `sha256:${"e".repeat(64)}` }],
		["another code", { code: `sha256:${"e".repeat(64)}` }],
		["a version of the report that is not read", { of: "somebody" as "candidate" }],
	])("but nothing of %s", async (_, changes) => {
		expect(await inputsWith({ [own]: changes })).toEqual({});
	});

	test("but nothing of an evaluation that the registry doesn't know, that is gone, or that is this very one", async () => {
		expect(await inputsWith({ [own]: {} }, { judged: false })).toEqual({});
		expect(await inputsWith({ [own]: {} }, { swap: (stored) => stored.delete(`${own}/manifest.json`) })).toEqual({});
		expect(await inputsWith({ [own]: {} }, { swap: (stored) => stored.delete(`${own}/eval_report.json`) })).toEqual({});
		expect(await inputsWith({ [evaluationKey(plan.run.model, plan.run.id, evaluation.id)]: {} })).toEqual({});
	});
});

describe("refuses what was measured before where it isn't what was judged", () => {
	test.each(["eval_report.json", "manifest.json"])("by its %s", async (file) => {
		const swap = (stored: Map<string, Uint8Array>) => stored.set(`${own}/${file}`, Buffer.from("{}"));
		await expect(inputsWith({ [own]: {} }, { swap })).rejects.toThrow(
			new RegExp(`evaluate-earlier/${file.replace(".", "\\.")}: found digest sha256:.* Remove /store/models/`),
		);
	});
});

describe("follows the jobs", () => {
	test("to their end, looking and telling", async () => {
		const { ports, settle } = scripted();
		let looks = 0;
		const jobs = await followJobs(plan, ports, {
			pollMs: 1,
			onLook: (seen) => {
				looks += 1;
				const last = seen.jobs.at(-1)!;
				if (looks % 3 === 0 && last.state === "running") settle(last.id, "succeeded");
			},
		});
		expect(isEvaluated(jobs)).toBe(true);
		expect(looks).toBeGreaterThan(4);
	});

	test("stops a job that runs past its machine's deadline", async () => {
		const { ports, settle, stopped } = scripted();
		const jobs = await startJobs(plan, ports);
		settle(plan.run.id, "running", { seconds: plan.machine.max_minutes * 60 + 1 });
		const seen = await lookAtJobs(plan, jobs, ports);
		expect(stopped).toEqual([plan.run.id]);
		expect(seen.jobs[0]!.diagnosis).toBe(
			"It ran longer than the 60 minutes that its machine allows, and was asked to stop.",
		);
	});

	test("stops a job once the plan has cost more than its machine's budget, the training counted with the evaluation", async () => {
		const { ports, settle, stopped } = scripted();
		const budgeted = makePlan({ machine: { ...plan.machine, max_cost_usd: 10 } });
		const first = await startJobs(budgeted, ports);
		settle(plan.run.id, "running", { cost_usd: 10 });
		expect((await lookAtJobs(budgeted, first, ports)).jobs[0]!.diagnosis).toBeNull();
		settle(plan.run.id, "succeeded", { cost_usd: 9.5 });
		const second = await lookAtJobs(budgeted, first, ports);
		expect(stopped).toEqual([]);
		settle(evaluation.id, "running", { cost_usd: 0.75 });
		const third = await lookAtJobs(budgeted, second, ports);
		expect(stopped).toEqual([evaluation.id]);
		expect(third.jobs.map(({ diagnosis }) => diagnosis)).toEqual([
			null,
			"It has cost $10.25, more than the $10.00 that its machine allows, and was asked to stop.",
		]);
	});

	test("stops no job for its cost where its machine has no budget, and none that has ended", async () => {
		const { ports, settle, stopped } = scripted();
		const jobs = await startJobs(plan, ports);
		settle(plan.run.id, "running", { cost_usd: 1e6 });
		await lookAtJobs(plan, jobs, ports);
		settle(plan.run.id, "failed", { cost_usd: 1e6 });
		await lookAtJobs(makePlan({ machine: { ...plan.machine, max_cost_usd: 1 } }), jobs, ports);
		expect(stopped).toEqual([]);
	});

	test("asks every running job to stop, and no other", async () => {
		const { ports, settle, stopped } = scripted();
		const jobs = await startJobs(plan, ports);
		const asked = await stopJobs(jobs, ports.executor);
		expect(asked.jobs).toEqual([{ ...jobs.jobs[0], diagnosis: "It was asked to stop." }]);
		expect((await renewJobs(asked, ports.executor)).jobs[0]).toMatchObject({
			state: "running",
			diagnosis: "It was asked to stop.",
		});
		settle(plan.run.id, "stopped", { diagnosis: "Stopped after saving a checkpoint." });
		expect((await renewJobs(asked, ports.executor)).jobs[0]).toMatchObject({
			state: "stopped",
			diagnosis: "Stopped after saving a checkpoint.",
		});
		await stopJobs({ ...jobs, jobs: [makeJob({ state: "succeeded" })] }, ports.executor);
		expect(stopped).toEqual([plan.run.id]);
	});
});
