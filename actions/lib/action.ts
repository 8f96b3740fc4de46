// What a stage does becomes what a workflow's author sees: runAction is the only place that catches.
import path from "node:path";
import * as core from "@actions/core";
import { readDocument } from "./documents.ts";
import { InvalidFile, InvalidInput, type Problem, ServiceError, toldByDisk } from "./errors.ts";
import type { Known } from "./experiment/author.ts";
import { headTree, treeBefore } from "./experiment/tree.ts";
import { requireHead } from "./follow/head.ts";
import type { Place } from "./follow/showing.ts";
import { scoreText } from "./gate/check_words.ts";
import type { Jobs, Plan, Verdict } from "./generated/documents.d.ts";
import { changedExperiments } from "./git/changed_files.ts";
import { type Git, openGit } from "./git/git.ts";
import { refuseReserved } from "./git/reserved.ts";
import type { GitHubOptions } from "./github/connect.ts";
import type { GitHub } from "./github/objects.ts";
import { unpackPlan } from "./plan/packed_plan.ts";
import { distinctProblems, documentsOf, type PlannedFiles, type PlanOptions } from "./plan/plan_files.ts";
import { type OpenOptions, openProject, type Project } from "./project.ts";
import { nearText } from "./report/noise.ts";
import { plainLine, plainText } from "./text/plain.ts";
import { liveLine, progressLine } from "./train/progress.ts";

/** Runs an action's body; an error becomes annotations and a failed step, with a stack only where it is a bug of ours. */
export async function runAction(body: () => Promise<void>): Promise<void> {
	takeToken();
	try {
		await body();
	} catch (error) {
		showError(error);
		process.exitCode = 1;
	}
}

let token = "";

/** Takes the token out of the environment, of which a process that is started may have a copy. */
function takeToken(): void {
	token = core.getInput("token") || token;
	delete process.env["INPUT_TOKEN"];
}

function requiredToken(): string {
	takeToken();
	if (token === "") throw new InvalidInput("The input token is required but was not given.");
	return token;
}

function showError(thrown: unknown): void {
	const error = toldByDisk(thrown);
	if (error instanceof InvalidFile) {
		for (const problem of error.problems) annotate(problem);
		if (error.cause) core.info(plainText(error.cause instanceof Error ? `${error.cause.stack}` : String(error.cause)));
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
function annotate(problem: Problem): void {
	core.error(plainText(problem.message), { file: problem.file, startLine: problem.line, startColumn: problem.column });
}

/** Puts what plans warn of on the author's own lines. */
export function showWarnings(plans: PlannedFiles["plans"]): void {
	const warnings = distinctProblems(plans.flatMap(({ plan }) => plan.warnings ?? []));
	for (const { file, line, column, message } of warnings)
		core.warning(plainText(message), { title: "Is this meant?", file, startLine: line, startColumn: column });
}

/** An input that must be given; throws InvalidInput where it isn't. */
export function requiredInput(name: string): string {
	const value = core.getInput(name);
	if (value === "") throw new InvalidInput(`The input ${name} is required but was not given.`);
	return value;
}

/** Whose gates apply: this checkout's where the input `head` names another, else those of the commit before a push, else of the last commit. Throws InvalidInput for a pull request alone, whose own would apply. */
export async function gatesInput(): Promise<Pick<PlanOptions, "gates">> {
	if (core.getInput("head") !== "") return {};
	const { context } = await import("./github/event.ts");
	const { pull_request, before } = context.payload;
	if (pull_request)
		throw new InvalidInput(
			"The input head is empty, but a pull request is judged by the gates of its base: check the base branch out, and the pull request's head into a folder that you name here.",
		);
	// The first push to a branch has nothing before it.
	const isKnown = typeof before === "string" && !/^0*$/.test(before);
	return { gates: await (isKnown ? treeBefore(workspaceRoot(), before) : headTree(workspaceRoot())) };
}

/** An input that is true or false; throws InvalidInput for anything else. */
export function booleanInput(name: string): boolean {
	const value = core.getInput(name);
	if (!["true", "false"].includes(value))
		throw new InvalidInput(`The input ${name}: found ${JSON.stringify(value)}; it must be true or false.`);
	return value === "true";
}

/** An input that is one of a few words; throws InvalidInput for anything else. */
export function choiceInput<T extends string>(name: string, allowed: readonly T[]): T {
	const value = core.getInput(name);
	const found = allowed.find((word) => word === value);
	if (found === undefined)
		throw new InvalidInput(`The input ${name}: found ${JSON.stringify(value)}; it must be ${allowed.join(" or ")}.`);
	return found;
}

/** The repository that the runner checked out. */
export async function openWorkspace(options: OpenOptions = {}): Promise<Project> {
	return openProject(workspaceRoot(), { warn: (message) => core.warning(plainText(message)), ...options });
}

/**
 * The repository with the experiments of the checkout that the input `head` names, such as a pull request's; this checkout's own
 * where it names none. Throws InvalidInput where it has what only a machine may keep. For jobs that may run that checkout's code.
 */
export async function openHead(options: OpenOptions = {}): Promise<Project> {
	const project = await openWorkspace(options);
	const head = core.getInput("head");
	if (head === "") return project;
	const root = checkoutRoots().at(-1)!;
	await refuseReserved(openGit(root), "HEAD", project.state);
	return project.at(root, "started");
}

/** Where the runner checked the repository out, and behind it where the input `head` says that another checkout lies. */
export function checkoutRoots(): string[] {
	const head = core.getInput("head");
	return [workspaceRoot(), ...(head === "" ? [] : [path.resolve(workspaceRoot(), head)])];
}

/** How many experiments the checkout that the input `head` names adds or changes since the input `since`. */
export async function countExperiments(): Promise<number> {
	const files = await changedExperiments(path.resolve(workspaceRoot(), requiredInput("head")), requiredInput("since"));
	return files.length;
}

/** Where the runner checked the repository out. */
export function workspaceRoot(): string {
	return process.env["GITHUB_WORKSPACE"] ?? process.cwd();
}

/** Where a document of an experiment is kept between the steps of a job. */
export function documentPath({ state }: Project, experiment: string, name: string): string {
	return path.join(documentsOf(state, experiment), `${name}.json`);
}

/** Stops a job that would run or promote what a fork's pull request brings; throws InvalidInput. */
export async function refuseFork(): Promise<void> {
	const { context } = await import("./github/event.ts");
	const { payload } = context;
	const head = payload.pull_request?.["head"]?.repo;
	// A fork that was deleted has no repository any more.
	if (payload.pull_request && (!head || head.id !== payload.repository?.["id"])) {
		throw new InvalidInput(
			"Pull requests from forks are planned but never run: they could run a stranger's code with this repository's rights.",
		);
	}
}

/** Who the event says has written: the pull request's author, or the authors of the commits that were pushed. Where it is none of the numbered pull request, GitHub says, as it does of a commit whose address tells no login. */
export async function knownAuthors(pullRequest: number | null): Promise<Known> {
	const { context } = await import("./github/event.ts");
	const { pull_request, commits } = context.payload;
	let author: unknown = pull_request?.["user"]?.login;
	if (author === undefined && pullRequest !== null) {
		const { openGitHub } = await import("./github/github.ts");
		const pull = await (await openGitHub(gitHubPlace())).pullRequest(pullRequest);
		requireHead(pull, context.sha);
		author = pull.author;
	}
	const lookUp = async (commit: string) => {
		const { openGitHub } = await import("./github/github.ts");
		return (await openGitHub(gitHubPlace())).authorOf(commit);
	};
	const pushed = (Array.isArray(commits) ? commits : []) as { id?: string; author?: { username?: string } }[];
	const named = pushed.flatMap(({ id, author }): [string, string][] =>
		id && author?.username ? [[id, author.username]] : [],
	);
	const asks = core.getInput("token") === "" ? {} : { lookUp };
	return { ...(typeof author === "string" ? { author } : {}), commits: new Map(named), ...asks };
}

/** The experiment files that an input names, or else those that changed since a revision. */
export async function chosenFiles({ root }: Project, named: string[], since: string): Promise<string[]> {
	if (named.length > 0) return named;
	if (since === "") throw new InvalidInput("The inputs `experiments` and `since` are both empty: set one of them.");
	return changedExperiments(root, since);
}

/** A document in the folder of another. */
export function documentBeside(file: string, name: string): string {
	return path.join(path.dirname(file), `${name}.json`);
}

/** Logs a line, whatever it is made of: no workflow command, and no second line. */
export function sayLine(line: string): void {
	core.info(plainLine(line));
}

const live = liveLine(process.stdout);

/** Logs how far the jobs are, now and then. */
export function sayProgress(jobs: Jobs): void {
	live.show(progressLine(jobs));
}

/** Puts each check that blocks on the line of the policy that asks for it, and each waiver that has no effect on its own. */
export function annotateChecks({ checks, policy, waivers }: Verdict): void {
	for (const { why, line, ...check } of waivers?.idle ?? []) {
		const title = plainLine(`${scoreText(check)}: the waiver has no effect`);
		core.warning(plainText(why), { title, file: waivers!.file, startLine: line });
	}
	for (const check of checks.filter(({ blocking }) => blocking)) {
		const title = plainLine(`${scoreText(check)}: ${check.outcome}`);
		const message = plainText([check.why, nearText(check)].filter(Boolean).join(" "));
		core.error(message, { title, file: policy.file, startLine: check.line });
	}
}

/** The plan that the inputs name, by its path or packed; null where they name none. */
export async function readPlan(): Promise<Plan | null> {
	const [file, packed] = [core.getInput("plan"), core.getInput("packed-plan")];
	if (packed !== "") return unpackPlan(packed, requiredInput("digest"));
	// Nothing to show at all is a mistake of the workflow's author.
	if (core.getInput("refused") === "") requiredInput("plan");
	return file === "" ? null : readDocument("plan", file);
}

/** A whole number that an input gives; null where it's empty. */
export function numberInput(name: string): number | null {
	const value = core.getInput(name);
	if (value === "") return null;
	if (!/^[1-9]\d{0,14}$/.test(value))
		throw new InvalidInput(`${name}: found ${JSON.stringify(value)}; it must be a number.`);
	return Number(value);
}

/** A job's token lives for 24 hours: what follows the last look needs it as well. */
const MOST_FOLLOWED = 1200;

/** Minutes that an input gives, from 0; throws InvalidInput for more than a job's token outlives. */
export function minutesInput(name: string): number {
	const value = requiredInput(name);
	if (!/^\d{1,6}$/.test(value) || Number(value) > MOST_FOLLOWED)
		throw new InvalidInput(
			`The input ${name}: found ${JSON.stringify(value)}; it must be a whole number from 0 to ${MOST_FOLLOWED}: a job's token expires after 24 hours.`,
		);
	return Number(value);
}

/** A whole number that an input must give; throws InvalidInput where it doesn't. */
export function requiredNumber(name: string): number {
	requiredInput(name);
	return numberInput(name)!;
}

/** How GitHub is reached, by the runner's environment and the action's inputs. */
export function gitHubPlace(): GitHubOptions {
	return {
		token: requiredToken(),
		author: requiredInput("author"),
		repository: process.env["GITHUB_REPOSITORY"] ?? "",
		apiUrl: process.env["GITHUB_API_URL"] ?? "https://api.github.com",
		warn: (message) => core.warning(plainText(message)),
	};
}

/** The pull request that an action's inputs name, with GitHub opened; null where they name none. Throws InvalidInput where the event is of another one, or the commit isn't its head. */
export async function openPullRequest(): Promise<{ github: GitHub; place: Place } | null> {
	const number = numberInput("pull-request");
	if (number === null) return null;
	const sha = requiredInput("sha");
	const { context } = await import("./github/event.ts");
	const own = context.payload.pull_request?.number;
	if (own !== undefined && own !== number)
		throw new InvalidInput(`The input pull-request: found ${number}; the event is of #${own}.`);
	const { openGitHub } = await import("./github/github.ts");
	const github = await openGitHub(gitHubPlace());
	requireHead(await github.pullRequest(number), sha);
	return { github, place: { number, head: { sha } } };
}

/** Git on the runner's checkout, with the token for its origin. */
export function openRepository(): Git {
	const server = process.env["GITHUB_SERVER_URL"] ?? "https://github.com";
	return openGit(workspaceRoot(), { token: requiredToken(), server });
}
