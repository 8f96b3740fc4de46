// A GitHub for tests: emulate's, behind an overlay that supplies and mends routes, holds GitHub's limits, records every request and
// lets things go wrong on demand.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createEmulator } from "emulate";
import { matchOperation } from "../contract/github/operations.ts";
import { type ActionsState, actionsRoutes, type WorkflowRun } from "./github/actions.ts";
import { type CheckState, checkRoutes } from "./github/checks.ts";
import { createFaults, type Fault } from "./github/faults.ts";
import { issueRoutes, type Reaction, refuseLongBody } from "./github/issues.ts";
import { gitNeed, mayDo, type Permissions } from "./github/permissions.ts";
import { type Pull, type PullState, pullRoutes } from "./github/pulls.ts";
import { createQueue, type Queue } from "./github/queue.ts";
import { refRoutes } from "./github/refs.ts";
import { type Answer, type Ask, type Routes, refuse, type Upstream } from "./github/route.ts";

/** Login whose token the actions get. */
export const BOT = "github-actions[bot]";

/** ann owns the repository, fan owns a fork, bob may write, and an app opens pull requests whose checks run. */
export const TOKENS = {
	"bot-token": BOT,
	"app-token": "proving-ground[bot]",
	"ann-token": "ann",
	"bob-token": "bob",
	"fan-token": "fan",
} as const;

export interface Recorded {
	method: string;
	path: string;
	body: unknown;
	/** Who asked; null for a token that GitHub doesn't know. */
	login: string | null;
	/** The workflow run and the job that asked, where one did. */
	run: string | null;
	job: string | null;
	/** As GitHub's description names it; null where the project has no use for it. */
	operation: string | null;
	/** The answer's; 0 where it was lost. */
	status: number;
}

export interface GitHubServer {
	/** GITHUB_API_URL of the overlay; a job's own, which tells its requests apart, is `${url}/_run/<run>/<job>`. */
	url: string;
	repository: string;
	/** The pull request that is open from the start; 0 where none was asked for. */
	pullRequest: number;
	/** Head commit of that pull request. */
	sha: string;
	requests: Recorded[];
	/** Requests since the last call that write. */
	writes(): Recorded[];
	/** The next request that matches does its work, and its answer never arrives. */
	loseAnswer(method: string, path: RegExp): void;
	fault(fault: Fault): void;
	/** What the token of the run's job may do from now on; without it a job may do anything. */
	grant(run: string, job: string, permissions: Permissions): void;
	/** Lets time pass for the tokens of jobs. */
	passHours(hours: number): void;
	actions: ActionsState;
	/** Which jobs may start. */
	queue: Queue;
	reactions: Map<number, Reaction[]>;
	/** Set by whoever holds the git repository. */
	git: { merge: PullState["merge"]; moved: (() => Promise<void>) | null };
	/** Asks as somebody, with nothing recorded and nothing going wrong; throws where GitHub refuses. */
	call<T>(method: string, path: string, body?: object, token?: string): Promise<T>;
	close(): Promise<void>;
}

/** Starts a server with a repository and, unless it is refused, an open pull request in it. */
export async function startGitHub({ opened = true } = {}): Promise<GitHubServer> {
	const github = await startEmulator();
	const requests: Recorded[] = [];
	const faults = createFaults();
	const grants: Grants = new Map();
	let hours = 0;
	const queue = createQueue();
	const actions: ActionsState = {
		dispatches: [],
		runs: [],
		cancelled: new Map(),
		deployments: [],
		deploymentStatuses: new Map(),
		environments: [],
		statuses: [],
	};
	const reactions = new Map<number, Reaction[]>();
	const git: GitHubServer["git"] = { merge: null, moved: null };
	const answer = createAnswer(github.url, { actions, reactions, git });
	const server = createServer((request, response) => {
		handle(request, response, { requests, faults, grants, now: () => hours, queue, answer, git }).catch(
			(error: Error) => {
				response.writeHead(500).end(JSON.stringify({ message: `the overlay failed: ${error.stack}` }));
			},
		);
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

	async function call<T>(method: string, path: string, body?: object, token = "ann-token"): Promise<T> {
		const login = TOKENS[token as keyof typeof TOKENS];
		const got = await answer({ method, path, body: body ?? null, token, login, base: url });
		if (got.status >= 300) throw new Error(`${method} ${path}: ${got.status} ${JSON.stringify(got.body)}`);
		return got.body as T;
	}

	for (const login of [BOT, "proving-ground[bot]", "bob"])
		await call("PUT", `/repos/ann/road/collaborators/${encodeURIComponent(login)}`, { permission: "push" });
	const pull = opened ? await openPull(call) : { number: 0, head: { sha: "" } };
	return {
		url,
		repository: "ann/road",
		pullRequest: pull.number,
		sha: pull.head.sha,
		requests,
		writes: () => requests.splice(0).filter(({ method }) => method !== "GET"),
		loseAnswer: (method, path) => faults.add({ method, path, worked: true, answer: null }),
		fault: faults.add,
		grant: (run, job, permissions) => void grants.set(`${run}/${job}`, { permissions, at: hours }),
		passHours: (more) => {
			hours += more;
		},
		actions,
		queue,
		reactions,
		git,
		call,
		async close() {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
			await github.close();
		},
	};
}

async function startEmulator() {
	return createEmulator({
		service: "github",
		port: 0,
		seed: {
			tokens: Object.fromEntries(Object.entries(TOKENS).map(([token, login]) => [token, { login, scopes: ["repo"] }])),
			github: {
				users: Object.values(TOKENS).map((login) => ({ login })),
				repos: [{ owner: "ann", name: "road", auto_init: true }],
			},
		},
	});
}

async function openPull(call: GitHubServer["call"]): Promise<{ number: number; head: { sha: string } }> {
	const main = await call<{ object: { sha: string } }>("GET", "/repos/ann/road/git/ref/heads/main");
	await call("POST", "/repos/ann/road/git/refs", { ref: "refs/heads/night", sha: main.object.sha });
	await call("PUT", "/repos/ann/road/contents/experiments/more-night.yaml", {
		message: "More night",
		content: "",
		branch: "night",
	});
	return call("POST", "/repos/ann/road/pulls", { title: "More night", head: "night", base: "main" });
}

interface Asked {
	method: string;
	path: string;
	body: object | null;
	token: string;
	login: string;
	permissions?: Permissions | undefined;
	base: string;
}

/** Answers as GitHub would: by a route of the overlay, or by emulate. */
function createAnswer(named: string, { actions, reactions, git }: Pick<GitHubServer, "actions" | "reactions" | "git">) {
	// emulate names its own address by host; on loopback the number is what is bound.
	const address = named.replace("localhost", "127.0.0.1");
	const checks: CheckState = new Map();
	const pulls: PullState = {
		heads: new Map(),
		merges: new Map(),
		opened: (pull, login) => {
			if (login === BOT) actions.runs.push(waitingRun(pull, actions.runs.length));
		},
		get merge() {
			return git.merge;
		},
	};
	const routes: Routes = {
		...actionsRoutes(actions),
		...issueRoutes(reactions),
		...checkRoutes(checks),
		...pullRoutes(pulls),
		...refRoutes(),
	};
	return async function answer({ method, path, body, token, login, permissions, base }: Asked): Promise<Answer> {
		const upstream: Upstream = async (how, where, what) => {
			const headers = { authorization: `token ${token}`, "content-type": "application/json" };
			const got = await fetch(address + where, {
				method: how,
				headers,
				...(what ? { body: JSON.stringify(what) } : {}),
			});
			const text = await got.text();
			// The next page is asked of us too, under the address that the asker has.
			const link = got.headers.get("link")?.replaceAll(named, base).replaceAll(address, base);
			return { status: got.status, body: text ? JSON.parse(text) : undefined, headers: link ? { link } : {} };
		};
		const matched = matchOperation(method, path);
		const route = matched && routes[matched.operation];
		if (!route) return upstream(method, path, body ?? undefined);
		const query = new URL(path, base).searchParams;
		const ask: Ask = { method, path, query, params: matched.params, body: { ...body }, login, permissions, base };
		return route(ask, upstream);
	};
}

/** What the token of a run's job may do, and the hour in which the job got it. */
type Grants = Map<string, { permissions: Permissions; at: number }>;

/** A job's token is renewed for so long at most: https://docs.github.com/en/actions/concepts/security/github_token */
const TOKEN_HOURS = 24;

/** The run of a pull request that the workflow's token opened: it waits until somebody approves it in the merge box. */
function waitingRun({ head }: Pull, before: number): WorkflowRun {
	return {
		id: before + 101,
		name: "experiment",
		path: ".github/workflows/experiment.yml",
		event: "pull_request",
		head_branch: head.ref,
		head_sha: head.sha,
		status: "completed",
		// https://docs.github.com/en/rest/actions/workflow-runs#list-workflow-runs-for-a-repository
		conclusion: "action_required",
		run_number: before + 1,
		run_attempt: 1,
		created_at: new Date().toISOString(),
	};
}

interface Parts {
	requests: Recorded[];
	faults: ReturnType<typeof createFaults>;
	grants: Grants;
	/** Hours since the start. */
	now: () => number;
	queue: Queue;
	answer: ReturnType<typeof createAnswer>;
	git: GitHubServer["git"];
}

async function handle(request: IncomingMessage, response: ServerResponse, parts: Parts): Promise<void> {
	const { requests, faults, grants, now, queue, answer, git } = parts;
	const chunks: Buffer[] = [];
	for await (const chunk of request) chunks.push(chunk as Buffer);
	const text = Buffer.concat(chunks).toString("utf8");
	const body = text ? (JSON.parse(text) as object) : null;
	const method = request.method ?? "GET";
	const [, prefix = "", run = null, job = null, path = "/"] =
		/^(\/_run\/([^/]+)\/([^/]+))?(\/.*)$/.exec(request.url ?? "/") ?? [];
	if (run && path === "/_start") {
		await queue.start(run, body as object);
		response.writeHead(204).end();
		return;
	}
	const token = (request.headers.authorization ?? "").replace(/^(bearer|token) /i, "");
	const login = TOKENS[token as keyof typeof TOKENS] ?? null;
	const [, need, level] = /^\/_needs\/([\w-]+)\/(read|write)$/.exec(path) ?? [];
	const operation = need ? gitNeed(need, level!) : (matchOperation(method, path)?.operation ?? null);
	const recorded: Recorded = { method, path, body: body ?? undefined, login, run, job, operation, status: 0 };
	requests.push(recorded);
	const base = `http://${request.headers.host}${prefix}`;
	// A job's token is the workflow's; with another it is somebody else.
	const grant = run && job && (login ?? BOT) === BOT ? grants.get(`${run}/${job}`) : undefined;
	const permissions = grant?.permissions;
	const isExpired = grant !== undefined && now() - grant.at > TOKEN_HOURS;
	const asked = { method, path, body, token, login: login ?? "", permissions, base };

	const fault = faults.take(method, path);
	const refused =
		(isExpired ? refuse(401, "Bad credentials") : refuseRequest(recorded, permissions)) ??
		(need ? { status: 204 } : null);
	const got = fault && !fault.worked ? null : (refused ?? (await answer(asked)));
	if (got && got.status < 300 && method !== "GET" && /\/(git\/refs|contents|merge)/.test(path)) await git.moved?.();
	const final = fault ? fault.answer : got;
	if (!final) {
		request.socket.destroy();
		return;
	}
	recorded.status = final.status;
	const id = { "content-type": "application/json; charset=utf-8", "x-github-request-id": `TEST:${requests.length}` };
	response.writeHead(final.status, { ...id, ...final.headers });
	response.end(final.body === undefined || final.status === 204 ? undefined : JSON.stringify(final.body));
}

/** What GitHub refuses before it looks at the route. */
function refuseRequest(recorded: Recorded, permissions: Permissions | undefined): Answer | null {
	const { method, path, body, login, operation } = recorded;
	// https://docs.github.com/en/rest/authentication/authenticating-to-the-rest-api#failed-login-limit
	if (!login && !path.startsWith("/_needs/")) return refuse(401, "Bad credentials");
	if (permissions && operation && !mayDo(operation, permissions))
		return refuse(403, "Resource not accessible by integration");
	return refuseLongBody(method, path, { ...(body as object) });
}

/** Whether GitHub counts the request as creating content, of which it takes 80 a minute and 500 an hour. */
export function createsContent({ method, operation }: Recorded): boolean {
	return method !== "GET" && /\/(issues|comments|pulls|check-runs|labels|reactions)(\/|$)/.test(operation ?? "");
}
