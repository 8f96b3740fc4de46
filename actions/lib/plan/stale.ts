// A plan and what planning again gives become what has changed between them, named by the files that say so.
import { InvalidInput } from "../errors.ts";
import type { Plan, Report } from "../generated/documents.d.ts";
import { leaves } from "./leaves.ts";

/** Settings that a sentence names of one file. */
const MOST = 3;

/** Throws InvalidInput where a plan isn't what planning again gives. That production has moved since changes nothing here. */
export function refuseStale(planned: Plan, now: Plan): void {
	const changed = changedSince(planned, now);
	if (changed.length === 0) return;
	const { file } = now.experiment;
	throw new InvalidInput(
		`${listed(changed)} ${changed.length > 1 ? "have" : "has"} changed since the plan; plan it again: npx proving-ground plan ${file}`,
	);
}

/** Throws InvalidInput where a report is of another training, policy or experiment than planning again gives. */
export function refuseEarlier(report: Report, now: Plan): void {
	const isSame =
		// What starts from production is another training once production has moved, and the report remains of the one it was.
		(report.run === now.run.id || startsFromProduction(now)) &&
		differences(wordsOf(report.experiment), wordsOf(now.experiment)).length === 0 &&
		differences(withoutLines(report.policy), withoutLines(now.policy)).length === 0;
	if (isSame) return;
	const { name, file } = now.experiment;
	throw new InvalidInput(
		`reports/${name}/report.json is of an earlier plan than ${file} and what it names give now; plan, train and report again: npx proving-ground plan ${file}`,
	);
}

/** What has changed, each with the settings that tell it. */
function changedSince(planned: Plan, now: Plan): string[] {
	const { experiment, run, policy } = now;
	const { file, recipe, data, machine } = experiment;
	const words = differences(wordsOf(planned.experiment), wordsOf(experiment));
	// Another recipe's settings are told by its name.
	const isOther = (word: "recipe" | "data" | "machine" | "gates") => planned.experiment[word] !== experiment[word];
	const unless = (word: Parameters<typeof isOther>[0], found: () => string[]) => (isOther(word) ? [] : found());
	const own = (plan: Plan) => ({
		seed: plan.run.seed,
		window: plan.run.window,
		replay: plan.replay && { share: plan.replay.share, data: plan.run.replay?.data.name },
		weights: startOf(plan),
	});
	const places: [string, string[]][] = [
		[file, [...words, ...differences(own(planned), own(now))]],
		[
			`${file} or recipes/models/${recipe}.yaml`,
			unless("recipe", () => differences({ train: planned.run.train }, { train: run.train })),
		],
		[
			`recipes/models/${recipe}.yaml`,
			unless("recipe", () =>
				differences({ architecture: planned.run.architecture }, { architecture: run.architecture }),
			),
		],
		[`the data of recipes/data/${data}.yaml`, unless("data", () => differences(planned.run.data, run.data))],
		[
			`the data of recipes/data/${run.replay?.data.name}.yaml`,
			planned.run.replay?.data.name === run.replay?.data.name
				? differences({ replay: planned.run.replay?.data }, { replay: run.replay?.data })
				: [],
		],
		[`recipes/machines/${machine}.yaml`, unless("machine", () => differences(placeOf(planned), placeOf(now)))],
		[policy.file, unless("gates", () => differences(rulesOf(planned), rulesOf(now)))],
		[policy.waivers?.file ?? planned.policy.waivers?.file ?? "", differences(waiversOf(planned), waiversOf(now))],
		[".github/proving-ground.yaml", differences(trackingOf(planned), trackingOf(now))],
		["the trainer's code", planned.run.code === run.code ? [] : [""]],
	];
	return places.flatMap(([place, found]) => (found.length > 0 ? [`${place}${settings(found)}`] : []));
}

/** What the author wrote; who the author is may become known later. */
function wordsOf({ authors: _, ...words }: Plan["experiment"]) {
	return words;
}

/** What the weights to start from are by their name, not by what production happens to be. */
function startOf(plan: Plan) {
	if (!plan.run.weights || !plan.weights) return null;
	const { manifest, ...how } = plan.run.weights;
	return startsFromProduction(plan) ? { ...how, production: true } : { ...how, from: plan.weights.from, manifest };
}

function startsFromProduction({ weights }: Plan): boolean {
	return weights?.from.startsWith("production (") ?? false;
}

function placeOf({ run, machine, conditions: { loader, network } }: Plan) {
	return { ...machine, processes: run.processes, loader, network };
}

function rulesOf({ policy: { drift, rules } }: Plan) {
	return withoutLines({ drift, rules });
}

function waiversOf({ policy }: Plan) {
	return withoutLines({ waivers: { ...policy.waivers?.entries } });
}

function trackingOf({ conditions }: Plan) {
	return { tracking: conditions.tracking };
}

/** A comment moves lines and decides nothing. */
function withoutLines(value: unknown): unknown {
	return JSON.parse(JSON.stringify(value ?? null), (key, inner) => (key === "line" ? undefined : inner));
}

/** The settings that differ, each with what it was and is; by name alone where there is more to it than a short value. */
function differences(before: unknown, now: unknown): string[] {
	const [old, own] = [leaves(before), leaves(now)];
	return [...new Set([...old.keys(), ...own.keys()])]
		.filter((path) => (old.get(path) ?? null) !== (own.get(path) ?? null))
		.map((path) => {
			const [was, is] = [old, own].map((of) => String(of.get(path) ?? "") || "none");
			return `${path}${`${was}${is}`.length > 40 ? "" : `: ${was}, now ${is}`}`;
		});
}

function settings(found: readonly string[]): string {
	const named = found.filter((setting) => setting !== "");
	const more = named.length > MOST ? ` and ${named.length - MOST} more` : "";
	return named.length === 0 ? "" : ` (${named.slice(0, MOST).join("; ")}${more})`;
}

function listed(names: readonly string[]): string {
	return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
