// Plans cross from the job that made them to those that show and run them: packed into a job's output, and checked on the way in.
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { documentText, parseDocument, sha256 } from "../documents.ts";
import { InvalidInput, type Problem } from "../errors.ts";
import type { Plan } from "../generated/documents.d.ts";
import { type Spend, sumOf } from "./estimate.ts";
import { approvalOf, shortApproval } from "./identity.ts";
import type { PlannedFiles } from "./plan_files.ts";

/** What a job that trains needs of a plan: it plans again. */
export interface PlannedRun {
	name: string;
	file: string;
	/** Digest of what an approval of the spend covers, whole, and as much of it as people compare. */
	approval: string;
	short: string;
	/** Labels of the runner that starts the job. */
	runner: readonly string[];
}

/** What a workflow's matrix needs of a plan. */
export interface PlannedExperiment extends PlannedRun {
	/** What all plans of the pull request take, as JSON: one approval starts every one of them. */
	together: string;
	/** The plan, packed, and the digest of its text. */
	plan: string;
	digest: string;
}

/** GitHub takes a mebibyte of outputs from a job, two bytes for each character; the rest is for the files that are refused. */
const MAX_OUTPUT = 400_000;
/** An action's input is an environment variable, of which Linux takes 131,072 bytes with its name. */
const MAX_INPUT = 120_000;
/** No plan is larger; what unpacks to more was made to fill a runner's memory. */
const MAX_PLAN = 16 * 1024 * 1024;

/** Packs plans for a job's output; throws InvalidInput where they don't fit into one. */
export async function packPlans(plans: readonly Plan[]): Promise<PlannedExperiment[]> {
	const together = JSON.stringify(sumOf(plans));
	const packed = await Promise.all(
		plans.map(async (plan) => {
			const text = documentText(plan);
			const zipped = await promisify(gzip)(text, { level: 9 });
			return {
				name: plan.experiment.name,
				file: plan.experiment.file,
				approval: approvalOf(plan),
				short: shortApproval(approvalOf(plan)),
				together,
				runner: plan.machine.runner,
				plan: zipped.toString("base64"),
				digest: sha256(text),
			};
		}),
	);
	for (const { file, plan } of packed) {
		if (plan.length > MAX_INPUT)
			throw new InvalidInput(
				`${file}: its plan takes ${plan.length} characters packed, and an action's input takes at most ${MAX_INPUT}. Make it smaller: fewer slices in its data, or fewer rules in its policy.`,
			);
	}
	const size = JSON.stringify(packed).length;
	if (size > MAX_OUTPUT)
		throw new InvalidInput(
			`${plans.length} experiments at once: their plans take ${size} characters, and a job can pass on at most ${MAX_OUTPUT}. Split the pull request.`,
		);
	return packed;
}

/** The planned experiments without their plans, which together may be longer than an input can be. */
export function runsOf(experiments: readonly PlannedExperiment[]): PlannedRun[] {
	return experiments.map(({ name, file, approval, short, runner }) => ({ name, file, approval, short, runner }));
}

/** The runs that were planned, as the job that planned hands them on; throws InvalidInput where it's anything else. */
export function parseRuns(text: string): PlannedRun[] {
	const value = parseList(text);
	if (!value?.every(isRun)) throw new InvalidInput("runs: it must be the output `runs` of plan, a JSON list.");
	return value;
}

function isRun(value: unknown): value is PlannedRun {
	const { name, file, approval, short, runner } = (value ?? {}) as Record<string, unknown>;
	return (
		[name, file, short].every((word) => typeof word === "string") &&
		/^sha256:[0-9a-f]{64}$/.test(String(approval)) &&
		Array.isArray(runner) &&
		runner.every((label) => typeof label === "string")
	);
}

/** A line for each run that nobody has approved yet. */
export function waitingLines(runs: readonly PlannedRun[], approved: readonly PlannedRun[]): string[] {
	return runs
		.filter((run) => !approved.includes(run))
		.map(({ name, short }) => `${name} waits for an approval of its spend: comment /approve ${short}`);
}

/** A JSON list, empty where there is no text; null for anything else. */
function parseList(text: string): unknown[] | null {
	try {
		const value: unknown = JSON.parse(text === "" ? "[]" : text);
		return Array.isArray(value) ? value : null;
	} catch {
		return null;
	}
}

/** The plan in a packed text; throws InvalidInput where it's damaged, of another digest, or no plan. */
export async function unpackPlan(text: string, digest: string): Promise<Plan> {
	const where = "the packed plan";
	// Base64 without padding or with other characters is decoded all the same: what isn't gzip then fails here.
	const unzipped = await promisify(gunzip)(Buffer.from(text, "base64"), { maxOutputLength: MAX_PLAN }).catch(
		(error: Error) => {
			throw new InvalidInput(`${where}: it can't be unpacked: ${error.message}.`);
		},
	);
	if (sha256(unzipped) !== digest)
		throw new InvalidInput(`${where}: its digest is ${sha256(unzipped)}, not ${digest}: it is not what was planned.`);
	return parseDocument("plan", unzipped, where);
}

/** What all plans take together, as the job that planned hands it on; null where it has none. Throws InvalidInput where it's anything else. */
export function parseTogether(text: string): Spend | null {
	if (text === "") return null;
	const refuse = () => new InvalidInput("together: it must be `together` of plan's output `experiments`.");
	let value: Record<string, unknown>;
	try {
		value = Object(JSON.parse(text)) as Record<string, unknown>;
	} catch {
		throw refuse();
	}
	const amount = (name: keyof Spend) => {
		const found = value[name];
		if (typeof found !== "number" || !(found >= 0) || !Number.isFinite(found)) throw refuse();
		return found;
	};
	const estimated = (name: "seconds" | "cost_usd") => (value[name] === null ? null : amount(name));
	return {
		runs: amount("runs"),
		seconds: estimated("seconds"),
		cost_usd: estimated("cost_usd"),
		max_seconds: amount("max_seconds"),
		max_cost_usd: amount("max_cost_usd"),
	};
}

/** Problems of each file, tried in turn until all fit. */
const MOST_PROBLEMS = [1000, 100, 20, 5, 1];

/** The files that could not be planned, for a job's output: with as many of their problems as another job can be given; throws InvalidInput where they don't fit with one each. */
export function packRefused(refused: PlannedFiles["refused"]): string {
	for (const most of MOST_PROBLEMS) {
		const cut = refused.map(({ file, problems }) => ({ file, problems: firstOf(problems, most) }));
		const text = JSON.stringify(cut);
		if (Buffer.byteLength(text) <= MAX_INPUT) return text;
	}
	throw new InvalidInput(`${refused.length} experiments with mistakes at once can't be shown. Split the pull request.`);
}

function firstOf(problems: readonly Problem[], most: number): Problem[] {
	const shown = problems.slice(0, most);
	const left = problems.length - shown.length;
	if (left > 0) shown.push({ ...problems[most]!, message: `and ${left} more problems, which the job's log lists` });
	return shown;
}

/** The files that could not be planned, as the job that planned hands them on; throws InvalidInput where it's anything else. */
export function parseRefused(text: string): PlannedFiles["refused"] {
	const value = parseList(text);
	if (!value?.every(isRefused))
		throw new InvalidInput(
			"refused: it must be the output `refused` of plan, a JSON list of files with their problems.",
		);
	return value;
}

function isRefused(value: unknown): value is PlannedFiles["refused"][number] {
	const { file, problems } = (value ?? {}) as Record<string, unknown>;
	return typeof file === "string" && Array.isArray(problems) && problems.every(isProblem);
}

function isProblem(value: unknown): boolean {
	const { file, line, column, message } = (value ?? {}) as Record<string, unknown>;
	return (
		typeof file === "string" && typeof message === "string" && [line, column].every((at) => Number.isSafeInteger(at))
	);
}
