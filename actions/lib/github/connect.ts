// A token and an address become a client of GitHub's API that waits where GitHub asks for it and makes nothing twice.
import { setTimeout as sleep } from "node:timers/promises";
import type { Octokit } from "@octokit/rest";
import { InvalidInput, ServiceError } from "../errors.ts";
import { withoutPrivate } from "../text/private.ts";
import { useProxy } from "./proxy.ts";
import { boundedFetch, type Limits, limitsOf, Unacceptable } from "./requests.ts";

/** Where and as whom to write. */
export interface GitHubOptions {
	token: string;
	/** owner/name */
	repository: string;
	/** The API's address; GITHUB_API_URL on a runner. */
	apiUrl: string;
	/** Login that our own comments are written by. */
	author: string;
	/** Told what could not be written that nothing depends on. */
	warn?: (message: string) => void;
	/** Milliseconds that a second takes which GitHub asks us to wait; fewer against a server that asks for none. */
	second?: number;
	/** In the place of those for GitHub; smaller against a server that misbehaves. */
	limits?: Partial<Limits>;
}

/** What each part of GitHub works with. */
export interface Client {
	octokit: Octokit;
	place: { owner: string; repo: string };
	author: string;
	second: number;
	limits: Limits;
	warn: (message: string) => void;
	/** A text as everybody may read it. */
	forAll: (text: string) => string;
}

/** Longest wait for a rate limit, in seconds: longer costs more on a runner than failing and being run again. */
const MOST_WAIT = 60;
/** Tries of a call that makes something. */
const TRIES = 3;
/** For a POST that is the same when it is sent twice. */
export const repeatable = { request: { retries: 3 } };

/** Connects; the SDK is loaded here, so that a stage that writes nothing doesn't wait for it. */
export async function connect(options: GitHubOptions): Promise<Client> {
	const { token, repository, apiUrl, author, warn = () => {}, second = 1000 } = options;
	const limits = limitsOf(options.limits);
	const [owner, repo, ...more] = repository.split("/");
	if (!owner || !repo || more.length > 0)
		throw new InvalidInput(`${JSON.stringify(repository)} is not a repository; it must be owner/name.`);
	useProxy();
	const [{ Octokit }, { retry }, { throttling }] = await Promise.all([
		import("@octokit/rest"),
		import("@octokit/plugin-retry"),
		import("@octokit/plugin-throttling"),
	]);
	const retryLimit = (after: number, _: object, __: object, attempt: number) => attempt < 2 && after <= MOST_WAIT;
	const octokit = new (Octokit.plugin(nameLimits, retry, throttling))({
		auth: token,
		baseUrl: apiUrl,
		userAgent: userAgent(),
		log: { debug() {}, info() {}, warn() {}, error() {} },
		request: { fetch: boundedFetch(apiUrl, limits) },
		// A limit is waited for by its headers alone: the other plugin's own pauses would only use it up.
		retry: { doNotRetry: [400, 401, 403, 404, 409, 410, 422, 429, 451], retryAfterBaseValue: second },
		throttle: {
			retryAfterBaseValue: second,
			// GitHub asks for a second between writes, and for three where people are notified. Typed as the plugin's own queues.
			write: paced(second) as never,
			notifications: paced(3 * second) as never,
			onRateLimit: retryLimit,
			onSecondaryRateLimit: retryLimit,
		},
	});
	octokit.hook.before("request", (options) => {
		// A creating call whose answer was lost would be made twice.
		if (options.method === "POST") options.request = { retries: 0, ...options.request };
	});
	// By its value too: of an App it has another form.
	const forAll = (text: string) => withoutPrivate(token === "" ? text : text.replaceAll(token, "(key)"));
	return { octokit, place: { owner, repo }, author, second, limits, warn, forAll };
}

/**
 * The throttling plugin tells a secondary limit by the words of its message alone; the header says it as well. And the retry
 * plugin repeats what was refused, too, where a request says how often it may be.
 */
function nameLimits({ hook }: Pick<Octokit, "hook">): void {
	hook.error("request", (error) => {
		// The plugins tell by the status whether another try could help.
		if ((error as Failure).cause instanceof Unacceptable) (error as Failure).status = 422;
		const { status, message, response, request } = error as Failure;
		if (status !== undefined && status < 500 && request?.request) request.request.retries = 0;
		if ((status === 403 || status === 429) && response?.headers?.["retry-after"] && !/secondary rate/i.test(message))
			(error as Error).message = `${message} (secondary rate limit)`;
		throw error;
	});
}

/** Lets requests through one by one, so many milliseconds apart. */
function paced(milliseconds: number) {
	let next = 0;
	return {
		key: () => ({
			async schedule(_: object, work: () => Promise<unknown>): Promise<unknown> {
				const wait = next - Date.now();
				next = Math.max(next, Date.now()) + milliseconds;
				if (wait > 0) await sleep(wait);
				return work();
			},
		}),
	};
}

function userAgent(): string {
	const { GITHUB_WORKFLOW: workflow, GITHUB_JOB: job } = process.env;
	// A header holds no line break, and a comment in it no bracket.
	const word = (text: string) => text.replaceAll(/[^\w. -]/g, "_").slice(0, 60);
	return workflow && job ? `proving-ground (${word(workflow)}/${word(job)})` : "proving-ground";
}

interface Failure {
	status?: number;
	message: string;
	cause?: unknown;
	request?: { request?: { retries?: number } };
	response?: { headers?: Record<string, string | undefined> };
}

/** Whether nobody knows if it was done, or it may be done at the next try. */
function isPassing({ status }: Failure): boolean {
	return status === undefined || status >= 500;
}

/** What GitHub answered, or one ServiceError that says what could not be done. */
export async function call<T>(what: string, request: () => Promise<T>): Promise<T> {
	try {
		return await request();
	} catch (error) {
		throw error instanceof ServiceError ? error : failed(what, error as Failure);
	}
}

/**
 * Makes what isn't there, and returns it. An answer may be lost and the thing made, so that only another look can tell:
 * it comes before every other try, and ends them.
 */
export async function converge<T>(
	{ second }: Client,
	what: string,
	make: () => Promise<T>,
	look: () => Promise<T | null>,
): Promise<T> {
	for (let attempt = 1; ; attempt += 1) {
		try {
			return await make();
		} catch (error) {
			const found = await look();
			if (found !== null) return found;
			if (attempt === TRIES || !isPassing(error as Failure)) throw failed(what, error as Failure);
			await sleep(attempt ** 2 * second);
		}
	}
}

/** Null for what isn't there. */
export async function orNull<T>(request: Promise<T>): Promise<T | null> {
	try {
		return await request;
	} catch (error) {
		if ((error as Failure).status === 404) return null;
		throw error;
	}
}

function failed(what: string, { status, response, message }: Failure): ServiceError {
	const id = response?.headers?.["x-github-request-id"];
	return new ServiceError(
		"GitHub",
		`could not ${what}: ${response ? status : "no answer:"} ${message}.${hint(status, response?.headers ?? {})}`,
		`request ${id ?? "without an id"}: ${message}`,
		response ? (status ?? null) : null,
	);
}

function hint(status: number | undefined, headers: Record<string, string | undefined>): string {
	if (status !== 403 && status !== 404 && status !== 429) return "";
	const reset = headers["x-ratelimit-remaining"] === "0" ? Number(headers["x-ratelimit-reset"]) : null;
	const after = headers["retry-after"] ?? (reset && Math.max(0, Math.ceil(reset - Date.now() / 1000)));
	if (after !== null) return ` The rate limit is reached: try again in ${Number(after)} s.`;
	return " Does the token have the permissions listed in the action's README? Personal tokens can't write check runs.";
}

/** GitHub may give a text back with other line ends and without trailing space. */
export function same(shown: string, wanted: string): boolean {
	const normal = (text: string) => text.replaceAll("\r\n", "\n").trimEnd();
	return normal(shown) === normal(wanted);
}
