// What a stage does becomes what a workflow's author sees: runAction is the only place that catches.
import path from "node:path";
import * as core from "@actions/core";
import type { Known } from "./author.ts";
import { changedExperiments } from "./changes.ts";
import { InvalidFile, InvalidInput, type Problem, ServiceError } from "./errors.ts";
import type { Jobs, Verdict } from "./generated/documents.d.ts";
import { plainLine, plainText } from "./plain.ts";
import { liveLine, progressLine } from "./progress.ts";
import { documentsOf, openProject, type Project } from "./project.ts";

/** Runs an action's body; an error becomes annotations and a failed step, with a stack only where it is a bug of ours. */
export async function runAction(body: () => Promise<void>): Promise<void> {
	try {
		await body();
	} catch (error) {
		showError(error);
		process.exitCode = 1;
	}
}

function showError(error: unknown): void {
	if (error instanceof InvalidFile) {
		for (const problem of error.problems) annotate(problem);
		return;
	}
	if (error instanceof InvalidInput) {
		core.error(plainText(error.message));
		return;
	}
	if (error instanceof ServiceError) {
		core.error(plainText(`${error.service}: ${error.message}`));
		if (error.cause) core.info(plainText(String(error.cause)));
		return;
	}
	core.error(plainText(`A bug in the action: ${error instanceof Error ? error.message : String(error)}`));
	if (error instanceof Error && error.stack) core.info(plainText(error.stack));
}

/** Puts a problem on its own line of the pull request. */
export function annotate(problem: Problem): void {
	core.error(plainText(problem.message), { file: problem.file, startLine: problem.line, startColumn: problem.column });
}

/** An input that must be given; throws InvalidInput where it isn't. */
export function requiredInput(name: string): string {
	const value = core.getInput(name);
	if (value === "") throw new InvalidInput(`The input ${name} is required, and was not given.`);
	return value;
}

/** An input that is true or false; throws InvalidInput for anything else. */
export function booleanInput(name: string): boolean {
	const value = core.getInput(name);
	if (!["true", "false"].includes(value))
		throw new InvalidInput(`The input ${name}: found ${JSON.stringify(value)}; it must be true or false.`);
	return value === "true";
}

/** An input that is a whole number, 1 or more; throws InvalidInput for anything else. */
export function numberInput(name: string): number {
	const value = core.getInput(name);
	if (!/^[1-9]\d{0,5}$/.test(value))
		throw new InvalidInput(`The input ${name}: found ${JSON.stringify(value)}; it must be a whole number, 1 or more.`);
	return Number(value);
}

/** The repository that the runner checked out. */
export async function openWorkspace(): Promise<Project> {
	return openProject(workspaceRoot());
}

/** Where the runner checked the repository out. */
export function workspaceRoot(): string {
	return process.env["GITHUB_WORKSPACE"] ?? process.cwd();
}

/** Where a document of an experiment is kept between stages: the same place as on the command line. */
export function documentPath(experiment: string, name: string): string {
	return path.join(documentsOf(workspaceRoot(), experiment), `${name}.json`);
}

/** Stops a job that would run or promote what a fork's pull request brings; throws InvalidInput. */
export async function refuseFork(): Promise<void> {
	const { context } = await import("@actions/github");
	const { payload } = context;
	const head = payload.pull_request?.["head"]?.repo;
	// A fork that was deleted has no repository any more.
	if (payload.pull_request && (!head || head.id !== payload.repository?.["id"])) {
		throw new InvalidInput(
			"A fork's pull request can be planned, never run: the code and data of a stranger would run with this repository's rights.",
		);
	}
}

/** Who the event says has written: the pull request's author, or the authors of the commits that were pushed. */
export async function knownAuthors(): Promise<Known> {
	const { context } = await import("@actions/github");
	const { pull_request, commits } = context.payload;
	const author: unknown = pull_request?.["user"]?.login;
	const pushed = (Array.isArray(commits) ? commits : []) as { id?: string; author?: { username?: string } }[];
	const named = pushed.flatMap(({ id, author }): [string, string][] =>
		id && author?.username ? [[id, author.username]] : [],
	);
	return { ...(typeof author === "string" ? { author } : {}), commits: new Map(named) };
}

/** The experiment files that an input names, or else those that changed since a revision. */
export async function chosenFiles({ root }: Project, named: string[], since: string): Promise<string[]> {
	if (named.length > 0) return named;
	if (since === "") throw new InvalidInput("Neither `experiments` nor `since` says which experiments to plan.");
	return changedExperiments(root, since);
}

/** A document in the folder of another. */
export function documentBeside(file: string, name: string): string {
	return path.join(path.dirname(file), `${name}.json`);
}

const live = liveLine(process.stdout);

/** Logs how far the jobs are, now and then. */
export function sayProgress(jobs: Jobs): void {
	live.show(progressLine(jobs));
}

/** Puts each check that blocks on the line of the policy that asks for it, and each waiver that has no effect on its own. */
export function annotateChecks({ checks, policy, waivers }: Verdict): void {
	for (const { metric, slice, why, line } of waivers?.idle ?? []) {
		const title = plainLine(`${metric} ${slice ?? "overall"}: the waiver has no effect`);
		core.warning(plainText(why), { title, file: waivers!.file, startLine: line });
	}
	for (const check of checks.filter(({ blocking }) => blocking)) {
		const title = plainLine(`${check.metric} ${check.slice ?? "overall"}: ${check.outcome}`);
		core.error(plainText(check.why), { title, file: policy.file, startLine: check.line });
	}
}

/** Where the pull request is and who writes there, by the runner's environment and the action's inputs; null where there is none. */
export function pullRequestPlace() {
	const number = core.getInput("pull-request");
	if (number === "") return null;
	if (!/^[1-9]\d*$/.test(number))
		throw new InvalidInput(`pull-request: found ${JSON.stringify(number)}; it must be a number.`);
	return {
		pullRequest: Number(number),
		sha: requiredInput("sha"),
		token: requiredInput("token"),
		author: requiredInput("author"),
		repository: process.env["GITHUB_REPOSITORY"] ?? "",
		apiUrl: process.env["GITHUB_API_URL"] ?? "https://api.github.com",
	};
}
