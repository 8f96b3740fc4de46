// A passed verdict becomes production: the very bytes that were judged, checked by digest, in the place of the model they were judged against.
import path from "node:path";
import { MANIFEST, parseManifest } from "../artefacts.ts";
import { documentText, sha256, writeDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { judge } from "../gate/gate.ts";
import { waivedOf } from "../gate/waivers.ts";
import type { Entry, Plan, Promotion, Report, Verdict } from "../generated/documents.d.ts";
import { entryData } from "../plan/changes.ts";
import { leaves } from "../plan/leaves.ts";
import type { Registry } from "../plan/registry.ts";
import { evaluationKey, modelKey, type Store } from "../plan/store.ts";
import { noteMeasured } from "../report/anchor.ts";
import { digestPlan, fromRoot, makeReportAgain } from "../report/report.ts";

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
	// First, since what an earlier version wrote differs in this alone.
	manifestOf(report);
	if (!verdict.passed) {
		throw new InvalidInput(`${verdict.experiment} has the verdict ${verdict.outcome}: only a passed one is promoted.`);
	}
	await checkArtefacts(report, store);
	await checkBaseline(plan, registry);
	await judgeAgain(inputs, store);
	await noteMeasured(report, registry);
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
	checkEntry(entry, version.entry);
	// What was registered before may have been swapped since, also once it is production.
	await registry.verify(version);
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

/** What the candidate was compared with must be the version that the registry holds under that number. */
async function checkBaseline({ experiment: { model, file }, baseline }: Plan, registry: Registry): Promise<void> {
	if (baseline === null) return;
	const { versions } = await registry.history(model);
	const known = versions.find(({ entry }) => entry.version === baseline.version)?.entry;
	for (const key of ["run", "manifest"] as const) {
		if (known?.[key] === baseline[key]) continue;
		throw new InvalidInput(
			`plan.json: baseline.${key}: found ${baseline[key]}; the registry's v${baseline.version} has ${known?.[key] ?? "no entry"}. Plan again: npx proving-ground plan ${file}`,
		);
	}
}

/** Files can be edited: the report is made again from the store, and the verdict given again on it. Throws InvalidInput where a file says otherwise. */
async function judgeAgain({ plan, report, verdict, now }: PromoteInputs, store: Store) {
	// Another seed may have been trained since; it moves no outcome.
	const again = { ...(await makeReportAgain(plan, report, store)), seeds: report.seeds };
	const mend = "Run report and gate again.";
	refuseDifferent("report.json", [report, again], mend);
	refuseDifferent("verdict.json", [verdict, judge(again as Report, now)], mend);
}

function refuseDifferent(file: string, [found, derived]: [object, object], mend: string): void {
	const [own, expected] = [found, derived].map((value) => leaves(value));
	const paths = [...new Set([...own!.keys(), ...expected!.keys()])];
	const differing = paths.filter((path) => own!.get(path) !== expected!.get(path));
	if (differing.length === 0) return;
	const named = differing.slice(0, 3).map((path) => {
		const [was, is] = [own, expected].map((values) => JSON.stringify(values!.get(path)) ?? "nothing");
		return `${path}: found ${was}, expected ${is}`;
	});
	const more = differing.length > 3 ? ` and ${differing.length - 3} more` : "";
	throw new InvalidInput(
		`${file} differs from what the store and the policy give now (${named.join("; ")}${more}): nothing is promoted. ${mend}`,
	);
}

/** The documents must be of one another: a verdict on another report, or a report on another plan, promotes nothing. */
function checkEvidence(plan: Plan, report: Report, verdict: Verdict): void {
	if (verdict.report !== sha256(documentText(report)))
		throw new InvalidInput("verdict.json was not made from this report.json: run gate again.");
	if (report.evidence.plan !== digestPlan(plan))
		throw new InvalidInput("report.json was not made from this plan.json: run report again.");
}

/** The bytes in the store must be those that were evaluated: every file of the manifest, by digest. */
async function checkArtefacts({ experiment: { model }, run, manifest }: Report, store: Store): Promise<void> {
	const key = modelKey(model, run);
	const listing = await store.get(`${key}/${MANIFEST}`);
	if (!listing) throw new InvalidInput(`${key}/${MANIFEST}: the store lacks this file: nothing is promoted.`);
	for (const { file, sha256: expected } of await parseManifest(listing, manifest, `${key}/${MANIFEST}`)) {
		const bytes = await store.get(`${key}/${file}`);
		const found = bytes ? sha256(bytes) : "no such file";
		if (found !== expected)
			throw new InvalidInput(
				`${key}/${file} is not the file that was judged (found ${found}, expected ${expected}): nothing is promoted.`,
			);
	}
}

/** What the registry holds of this evaluation must be what was measured now; only the verdict on it may be another, by a later policy. */
function checkEntry(derived: Omit<Entry, "version">, { version, ...held }: Entry): void {
	const ofNow = ({ registered_at: _, verdict: __, report: ___, waived: ____, ...measured }: Omit<Entry, "version">) =>
		measured;
	refuseDifferent(
		`the registry's entry of ${derived.model} v${version}`,
		[ofNow(held), ofNow(derived)],
		"What was registered stays: if its evaluation is gone from the store, change the experiment or its seed, and train again.",
	);
}

/** What anchors the evaluation's bytes in the registry. */
function manifestOf({ evidence, experiment }: Report): string {
	if (evidence.evaluation) return evidence.evaluation;
	throw new InvalidInput(
		`report.json was written by an earlier version and doesn't name its evaluation's manifest. Report again: npx proving-ground report ${experiment.file}`,
	);
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
		evaluation_manifest: manifestOf(report),
		verdict: sha256(documentText(verdict)),
		report: verdict.report,
		registered_at: now.toISOString(),
		baseline: verdict.baseline,
		scores: Object.fromEntries(overall),
		architecture: run.architecture,
		train: run.train,
		data: entryData(run, report.data.splits as Plan["data"]["splits"], plan.data),
		...(run.window ? { window: run.window } : {}),
		code: run.code,
		seed: run.seed,
		processes: run.processes,
		seconds: report.training.seconds,
		frames_trained: run.train.epochs * plan.data.splits.train.frames,
		...waivedOf(verdict),
	};
}
