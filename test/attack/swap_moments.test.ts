// Eight things that can be swapped, at each of four moments on the way to production: refused by the command line, by name
import { appendFile, cp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import * as stages from "../../actions/cli/stages.ts";
import { documentText, readDocument, sha256 } from "../../actions/lib/documents.ts";
import { judge } from "../../actions/lib/gate/gate.ts";
import type { EvalReport, Plan } from "../../actions/lib/generated/documents.d.ts";
import type { Registry } from "../../actions/lib/plan/registry.ts";
import { evaluationKey, modelKey } from "../../actions/lib/plan/store.ts";
import { digestPlan } from "../../actions/lib/report/report.ts";
import { manifestText } from "../fixtures/judged.ts";
import { experiment, fileOf, makeTemplate, Repository } from "../lib/follow/merged/repository.ts";

const FILE = fileOf("second");
const STATISTICS = "statistics/candidate.npz";

let empty: string;
let judged: string;
let at: Repository;

/** What the stages run in; `registry` stands for the repository's own. */
const contextOf = (of: Repository, registry: Registry = of.project.registry): stages.Context => {
	const project = { ...of.project, registry };
	return { project, say: () => {}, live: new PassThrough() as unknown as NodeJS.WriteStream };
};

async function judgeHere(of: Repository, name: string): Promise<void> {
	const file = fileOf(name);
	await stages.plan(contextOf(of), file);
	await stages.train(contextOf(of), file, {});
	await stages.report(contextOf(of), file);
	await stages.gate(contextOf(of), file);
}

// Production, and a candidate that passed, both made by the stages.
beforeAll(async () => {
	empty = await makeTemplate();
	const made = await Repository.copy(empty);
	made.push({
		[fileOf("first")]: experiment(),
		[FILE]: experiment({ seed: 1 }),
		[fileOf("third")]: experiment({ seed: 2 }),
	});
	await judgeHere(made, "first");
	await stages.promote(contextOf(made), fileOf("first"), { by: "ann" });
	await judgeHere(made, "second");
	judged = made.home;
});
afterAll(async () => {
	for (const folder of [empty, judged]) await rm(folder, { recursive: true });
});
beforeEach(async () => {
	at = await Repository.copy(judged);
});
afterEach(() => at.remove());

const promote = (options: stages.Options = {}, registry?: Registry) =>
	stages.promote(contextOf(at, registry), FILE, { by: "ann", ...options });
const planFile = () => path.join(at.home, ".proving-ground/documents/second/plan.json");
const reportFile = (name: string) => path.join(at.home, "reports/second", name);
const approved = async () => (await at.approvals()).map(({ version }) => version);

async function edit<T>(file: string, change: (value: T) => unknown): Promise<void> {
	await writeFile(file, documentText(change(JSON.parse(await readFile(file, "utf8")) as T)));
}

/** The candidate's folders where they are used at a moment: in the store until they are registered. */
interface Places {
	model: string;
	evaluation: string;
	/** The version whose entry is there. */
	entry: string;
}

async function inStore(): Promise<Places> {
	const { run, evaluation } = await readDocument("report", reportFile("report.json"));
	const { locate } = at.project.store;
	return {
		model: locate(modelKey("line", run)),
		evaluation: locate(evaluationKey("line", run, evaluation)),
		entry: await inRegistry("first", "entry.json"),
	};
}

async function ofVersion(): Promise<Places> {
	const [model, evaluation, entry] = await Promise.all(
		["model", "evaluation", "entry.json"].map((file) => inRegistry("second", file)),
	);
	return { model: model!, evaluation: evaluation!, entry: entry! };
}

async function inRegistry(name: string, file: string): Promise<string> {
	const { versions } = await at.project.registry.history("line");
	const { location } = versions.find(({ entry }) => entry.experiment === name)!;
	return path.join(path.dirname(location), file);
}

/** Judges what was swapped again, so that only its origin is wrong. */
async function judgeSwapped(change: (report: Awaited<ReturnType<typeof reportHere>>) => object): Promise<void> {
	const report = change(await reportHere()) as Awaited<ReturnType<typeof reportHere>>;
	await writeFile(reportFile("report.json"), documentText(report));
	await writeFile(reportFile("verdict.json"), documentText(judge(report)));
}
const reportHere = () => readDocument("report", reportFile("report.json"));

/** How each thing is swapped, and what the refusal names. */
const SWAPS: Record<string, { swap: (places: Places) => Promise<void>; named: RegExp }> = {
	weights: {
		swap: ({ model }) => writeFile(path.join(model, "weights.safetensors"), "others"),
		named: /weights\.safetensors(:| is not the file)/,
	},
	manifest: {
		swap: async ({ model }) => {
			await writeFile(path.join(model, "weights.safetensors"), "others");
			const listing = manifestText("run", { "weights.safetensors": "others" });
			await writeFile(path.join(model, "manifest.json"), listing);
		},
		named: /model\/manifest\.json: found digest/,
	},
	entry: {
		swap: ({ entry }) => edit<object>(entry, (was) => ({ ...was, scores: { map: 0 } })),
		named: /entry(\.json| of line v\d)/,
	},
	report: {
		swap: () =>
			judgeSwapped((report) => ({ ...report, scores: report.scores.map((score) => ({ ...score, candidate: 0.9 })) })),
		named: /report\.json differs .*scores\.0\.candidate: found 0\.9/,
	},
	verdict: {
		swap: () =>
			edit<{ checks: object[] }>(reportFile("verdict.json"), (was) => ({ ...was, checks: was.checks.slice(1) })),
		named: /verdict\.json differs .*checks/,
	},
	evaluation: {
		swap: async ({ evaluation }) => {
			const file = path.join(evaluation, "eval_report.json");
			const was = JSON.parse(await readFile(file, "utf8")) as EvalReport;
			const text = documentText({ ...was, scores: was.scores.map((score) => ({ ...score, candidate: 0.9 })) });
			await writeFile(file, text);
			const others = ["figures.json", "model_card.md", STATISTICS];
			const texts = await Promise.all(others.map((name) => readFile(path.join(evaluation, name), "utf8")));
			const files = Object.fromEntries(others.map((name, place) => [name, texts[place]!]));
			await writeFile(
				path.join(evaluation, "manifest.json"),
				manifestText(was.run, { "eval_report.json": text, ...files }),
			);
		},
		named: /report\.json differs|evaluations?\/.*manifest\.json: found digest/,
	},
	statistics: {
		swap: ({ evaluation }) => appendFile(path.join(evaluation, STATISTICS), "more"),
		named: /statistics\/candidate\.npz: found digest/,
	},
	policy: {
		swap: async () => {
			const looser = (policy: Plan["policy"]) => ({ ...policy, rules: policy.rules.slice(0, 1) });
			await edit<Plan>(planFile(), (was) => ({ ...was, policy: looser(was.policy) }));
			const plan = digestPlan(await readDocument("plan", planFile()));
			await judgeSwapped((was) => ({ ...was, policy: looser(was.policy), evidence: { ...was.evidence, plan } }));
		},
		named: /recipes\/gates\/gate\.yaml \(rules.* changed since the plan/,
	},
};
/** Only read before anything is registered: what is swapped after that isn't looked at by the run that has read it. */
const DOCUMENTS = ["report", "verdict", "policy"];
const things = Object.keys(SWAPS);

test("eight things at four moments", () => expect(things).toHaveLength(8));

test("nothing is refused where nothing was swapped", async () => {
	await promote({ pending: true });
	await promote();
	await promote();
	expect(await approved()).toEqual([1, 2]);
});

describe("once it is judged", () => {
	test.each(things)("%s", async (thing) => {
		const { swap, named } = SWAPS[thing]!;
		await swap(await inStore());
		await expect(promote()).rejects.toThrow(named);
		if (thing !== "entry") expect(await approved()).toEqual([1]);
	});
});

describe("as it is registered, between the check and the copy", () => {
	/** Promotes while somebody swaps the thing right before the registry takes the files. */
	async function promoteWhile(thing: string) {
		const places = await inStore();
		const { registry } = at.project;
		const register: Registry["register"] = async (entry, files) => {
			await SWAPS[thing]!.swap(places);
			return registry.register(entry, files);
		};
		return promote({}, { ...registry, register });
	}

	test.each(things.filter((thing) => !DOCUMENTS.includes(thing)))("%s", async (thing) => {
		await expect(promoteWhile(thing)).rejects.toThrow(SWAPS[thing]!.named);
		const folder = path.join(at.home, ".proving-ground/registry/line/approvals");
		await expect(readFile(path.join(folder, "000002.json"))).rejects.toThrow("ENOENT");
	});

	test.each(DOCUMENTS)("%s: what was derived is promoted, and the next run refuses what lies there", async (thing) => {
		const verdict = sha256(documentText(await readDocument("verdict", reportFile("verdict.json"))));
		await promoteWhile(thing);
		expect((await at.approvals()).at(-1)).toMatchObject({ version: 2, verdict });
		await expect(promote()).rejects.toThrow(SWAPS[thing]!.named);
	});
});

describe("while it is pending", () => {
	beforeEach(async () => {
		await promote({ pending: true });
	});

	test.each(things)("%s", async (thing) => {
		const { swap, named } = SWAPS[thing]!;
		await swap(await ofVersion());
		await expect(promote()).rejects.toThrow(named);
		expect(await approved()).toEqual([1]);
	});
});

describe("once it is production", () => {
	beforeEach(async () => {
		await promote();
	});

	test.each(things)("%s", async (thing) => {
		const { swap, named } = SWAPS[thing]!;
		await swap(await ofVersion());
		await expect(promote()).rejects.toThrow(named);
		// Nor is anything compared with it.
		if (!DOCUMENTS.includes(thing)) await expect(stages.plan(contextOf(at), fileOf("third"))).rejects.toThrow(named);
	});

	test("evaluation in the store, whose statistics the next comparison would use again", async () => {
		const { run } = await readDocument("report", reportFile("report.json"));
		await SWAPS["evaluation"]!.swap(await inStore());
		await stages.plan(contextOf(at), fileOf("third"));
		const training = stages.train(contextOf(at), fileOf("third"), {});
		// The job itself holds the statistics against the report that names them.
		await expect(training).rejects.toThrow(new RegExp(`${run}.*manifest\\.json: found digest`));
	});
});

test("what the copies are made of is left out of them where somebody adds a file to the store", async () => {
	await cp(reportFile("report.json"), path.join((await inStore()).model, "extra.py"));
	await promote();
	await expect(readFile(await inRegistry("second", "model/extra.py"))).rejects.toThrow("ENOENT");
});
