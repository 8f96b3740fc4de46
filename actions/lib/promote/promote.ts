// A passed verdict becomes production: the very bytes that were judged, checked by digest, in the place of the model they were judged against.
import path from "node:path";
import { documentText, sha256, writeDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { waivedOf } from "../gate/waivers.ts";
import type { Entry, Plan, Promotion, Report, Verdict } from "../generated/documents.d.ts";
import { entryData } from "../plan/changes.ts";
import type { Registry } from "../plan/registry.ts";
import { evaluationKey, modelKey, type Store } from "../plan/store.ts";
import { digestPlan, fromRoot } from "../report/report.ts";

export interface PromoteInputs {
	plan: Plan;
	report: Report;
	verdict: Verdict;
	/** Only registers, as pending, where false: a pull request that is not merged yet. */
	approve: boolean;
	/** Who merged. */
	by: string;
	now: Date;
}

export interface PromotePorts {
	registry: Registry;
	store: Store;
}

/** Registers the judged model and, on approval, makes it production. Safe to repeat. Throws InvalidInput where anything is not what was judged. */
export async function promote(inputs: PromoteInputs, { registry, store }: PromotePorts): Promise<Promotion> {
	const { plan, report, verdict, approve, by, now } = inputs;
	checkEvidence(plan, report, verdict);
	if (!verdict.passed) {
		throw new InvalidInput(`${verdict.experiment} has the verdict ${verdict.outcome}: only a passed one is promoted.`);
	}
	await checkArtefacts(report, store);
	const { model } = verdict;
	const before = (await registry.current(model))?.entry.version ?? null;
	if (plan.promoted === null && before !== verdict.baseline) {
		const { versions } = await registry.history(model);
		const own = versions.find(({ entry }) => entry.evaluation === verdict.evaluation)?.entry.version;
		// Promoted by an earlier, interrupted call: production is this very evaluation's version.
		if (own === undefined || own !== before) throw new InvalidInput(movedOn(verdict, before));
	}
	const entry = entryOf(inputs);
	const version = await registry.register(entry, {
		model: store.locate(modelKey(model, report.run)),
		evaluation: store.locate(evaluationKey(model, report.run, report.evaluation)),
	});
	const recorded = {
		schema: 1 as const,
		experiment: verdict.experiment,
		model,
		version: version.entry.version,
		run: verdict.run,
		manifest: verdict.manifest,
		verdict: sha256(documentText(verdict)),
		replaced: verdict.baseline,
		location: version.location,
		...waivedOf(verdict),
	};
	const { approvals } = await registry.history(model);
	const last = approvals.findLast((approval) => approval.version === version.entry.version);
	if (!approve && !last) return { ...recorded, status: "pending", approved_by: null, approved_at: null };
	// A model that was replaced stays so when it's looked at again; one that is brought back is judged against what is production now.
	const isOver = last && (!approve || plan.promoted !== null || approvals.at(-1) === last);
	const approval = isOver
		? last
		: await registry.approve(model, {
				version: version.entry.version,
				replaced: verdict.baseline,
				manifest: verdict.manifest,
				verdict: recorded.verdict,
				approved_by: by,
				approved_at: now.toISOString(),
			});
	return {
		...recorded,
		verdict: approval.verdict,
		status: "approved",
		approved_by: approval.approved_by,
		approved_at: approval.approved_at,
	};
}

/** Writes promotion.json, with places in the repository by their path from there, and the registry's entry beside it; returns what it wrote. */
export async function writePromotion(
	{ root, registry }: { root: string; registry: Registry },
	promotion: Promotion,
	file: string,
): Promise<Promotion> {
	const written = { ...promotion, location: fromRoot(root, promotion.location) };
	await writeDocument("promotion", written, file);
	const { versions } = await registry.history(promotion.model);
	const found = versions.find(({ entry }) => entry.version === promotion.version);
	if (found) await writeDocument("entry", found.entry, path.join(path.dirname(file), "entry.json"));
	return written;
}

function movedOn({ experiment, baseline }: Verdict, now: number | null): string {
	const judged = baseline === null ? "no production model" : `version ${baseline}`;
	return `${experiment} was judged against ${judged}, but production is ${now === null ? "none" : `version ${now}`} now. Plan, train and gate again (the training is adopted; only the comparison runs again).`;
}

/** The documents must be of one another: a verdict on another report, or a report on another plan, promotes nothing. */
function checkEvidence(plan: Plan, report: Report, verdict: Verdict): void {
	if (verdict.report !== sha256(documentText(report)))
		throw new InvalidInput("verdict.json was not made from this report.json: run gate again.");
	if (report.evidence.plan !== digestPlan(plan))
		throw new InvalidInput("report.json was not made from this plan.json: run report again.");
}

/** The bytes in the store must be those that were evaluated: every file of the manifest, by digest. */
async function checkArtefacts(report: Report, store: Store): Promise<void> {
	const key = modelKey(report.experiment.model, report.run);
	const manifest = await store.get(`${key}/manifest.json`);
	if (!manifest || sha256(manifest) !== report.manifest) {
		throw new InvalidInput(
			`${key}/manifest.json is not the one that was judged (${report.manifest}): nothing is promoted.`,
		);
	}
	const { files } = JSON.parse(Buffer.from(manifest).toString("utf8")) as { files: { file: string; sha256: string }[] };
	for (const { file, sha256: digest } of files) {
		const bytes = await store.get(`${key}/${file}`);
		if (!bytes || sha256(bytes) !== digest)
			throw new InvalidInput(`${key}/${file} is not the file that was judged: nothing is promoted.`);
	}
}

function entryOf({ plan, report, verdict, now }: PromoteInputs): Omit<Entry, "version"> {
	const { run } = plan;
	const overall = report.scores.filter((score) => score.slice === null).map((score) => [score.metric, score.candidate]);
	return {
		schema: 1,
		model: verdict.model,
		experiment: verdict.experiment,
		run: verdict.run,
		evaluation: verdict.evaluation,
		manifest: verdict.manifest,
		verdict: sha256(documentText(verdict)),
		report: verdict.report,
		registered_at: now.toISOString(),
		baseline: verdict.baseline,
		scores: Object.fromEntries(overall),
		architecture: run.architecture,
		train: run.train,
		data: entryData(run, report.data.splits as Plan["data"]["splits"], plan.data.slices),
		...(run.window ? { window: run.window } : {}),
		code: run.code,
		seed: run.seed,
		processes: run.processes,
		seconds: report.training.seconds,
		frames_trained: run.train.epochs * plan.data.splits.train.frames,
		...waivedOf(verdict),
	};
}
