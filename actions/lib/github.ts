// A comment and a check run become what GitHub shows: made once, then changed in place, and left alone where nothing changed.
import type { Octokit } from "@octokit/rest";
import { InvalidInput, ServiceError } from "./errors.ts";

/** Where and as whom to write. */
export interface GitHubOptions {
	token: string;
	/** owner/name */
	repository: string;
	/** The API's address; GITHUB_API_URL on a runner. */
	apiUrl: string;
	/** Login that our own comments are written by. */
	author: string;
}

export interface CheckRun {
	name: string;
	/** The commit it is shown on. */
	sha: string;
	status: "queued" | "in_progress" | "completed";
	conclusion: "success" | "failure" | "neutral" | "cancelled" | null;
	title: string;
	summary: string;
}

export type Written = "created" | "updated" | "unchanged";

export interface GitHub {
	/** Makes or changes the one comment that begins with the marker and is ours; safe to repeat, one comment also after a lost answer. */
	upsertComment(pullRequest: number, marker: string, body: string): Promise<Written>;
	/** Makes or changes the check run of its name on its commit; safe to repeat. */
	upsertCheckRun(check: CheckRun): Promise<Written>;
}

interface Comment {
	id: number;
	body: string;
}

/** Opens GitHub; the SDK is loaded here, so that a stage that writes nothing doesn't wait for it. */
export async function openGitHub({ token, repository, apiUrl, author }: GitHubOptions): Promise<GitHub> {
	const [owner, repo, ...more] = repository.split("/");
	if (!owner || !repo || more.length > 0)
		throw new InvalidInput(`${JSON.stringify(repository)} is no repository; it is owner/name.`);
	const octokit = await connect(token, apiUrl);
	const place = { owner, repo };

	/** Our comments with the marker, oldest first, over all pages. */
	async function ours(pullRequest: number, marker: string): Promise<Comment[]> {
		const comments = await call("list comments", () =>
			octokit.paginate(octokit.rest.issues.listComments, { ...place, issue_number: pullRequest, per_page: 100 }),
		);
		// Anyone may write the marker: it must stand at the very start, and the author must be us.
		return comments
			.filter((comment) => comment.user?.login === author && (comment.body ?? "").startsWith(marker))
			.map(({ id, body }) => ({ id, body: body ?? "" }))
			.sort((a, b) => a.id - b.id);
	}

	async function create(pullRequest: number, marker: string, body: string): Promise<void> {
		try {
			await call("create comment", () =>
				octokit.rest.issues.createComment({ ...place, issue_number: pullRequest, body }),
			);
		} catch (error) {
			// The answer may be lost and the comment there: only another look can tell.
			if ((await ours(pullRequest, marker)).length === 0) throw error;
		}
	}

	/** The check run of this name on the commit that GitHub shows: the last that was made. */
	async function latest({ name, sha }: CheckRun) {
		const { data } = await call("list check runs", () =>
			octokit.rest.checks.listForRef({ ...place, ref: sha, check_name: name, filter: "latest", per_page: 100 }),
		);
		// Another app may use the name, and its runs are not ours to change; only some servers say whose a run is.
		return data.check_runs
			.filter((run) => run.name === name && (!run.app?.slug || `${run.app.slug}[bot]` === author))
			.sort((a, b) => b.id - a.id)[0];
	}

	async function start(check: CheckRun, before: number): Promise<void> {
		const { name, sha, status, conclusion, title, summary } = check;
		const state = conclusion ? { status: "completed" as const, conclusion } : { status };
		try {
			await call("create check run", () =>
				octokit.rest.checks.create({ ...place, name, head_sha: sha, ...state, output: { title, summary } }),
			);
		} catch (error) {
			// As with a comment, only another look can tell whether it is there.
			const found = await latest(check);
			if (!found || found.id <= before || !isAt(found, check)) throw error;
		}
	}

	return {
		async upsertComment(pullRequest, marker, body) {
			const before = await ours(pullRequest, marker);
			if (before.length === 0) await create(pullRequest, marker, body);
			const [oldest, ...twins] = before.length === 0 ? await ours(pullRequest, marker) : before;
			if (!oldest)
				throw new ServiceError(
					"GitHub",
					`The comment on pull request ${pullRequest} was made by another login than ${author}: set the input author.`,
				);
			// Two runs that raced have each made one: both keep the oldest.
			for (const { id } of twins)
				await call("delete comment", () =>
					octokit.rest.issues.deleteComment({ ...place, comment_id: id }).catch(acceptGone),
				);
			if (before.length === 0 && same(oldest.body, body)) return "created";
			if (same(oldest.body, body)) return twins.length > 0 ? "updated" : "unchanged";
			await call("update comment", () => octokit.rest.issues.updateComment({ ...place, comment_id: oldest.id, body }));
			return "updated";
		},

		async upsertCheckRun(check) {
			const { status, conclusion, title, summary } = check;
			const found = await latest(check);
			// GitHub never takes back that a run is completed, so a job that runs again on the same commit needs a new run.
			if (!found || (found.status === "completed" && !isAt(found, check))) {
				await start(check, found?.id ?? 0);
				return found ? "updated" : "created";
			}
			const shown = isAt(found, check) && found.output.title === title;
			if (shown && same(found.output.summary ?? "", summary)) return "unchanged";
			const state = conclusion ? { status: "completed" as const, conclusion } : { status };
			await call("update check run", () =>
				octokit.rest.checks.update({ ...place, check_run_id: found.id, ...state, output: { title, summary } }),
			);
			return "updated";
		},
	};
}

async function connect(token: string, apiUrl: string): Promise<Octokit> {
	const [{ Octokit }, { retry }, { throttling }] = await Promise.all([
		import("@octokit/rest"),
		import("@octokit/plugin-retry"),
		import("@octokit/plugin-throttling"),
	]);
	const Client = Octokit.plugin(retry, throttling);
	const client = new Client({
		auth: token,
		baseUrl: apiUrl,
		userAgent: "proving-ground",
		log: { debug() {}, info() {}, warn() {}, error() {} },
		throttle: {
			// Waiting longer than a minute costs more on a runner than failing and being run again.
			onRateLimit: (after: number, _: object, __: object, attempt: number) => attempt < 2 && after <= 60,
			onSecondaryRateLimit: (after: number, _: object, __: object, attempt: number) => attempt < 2 && after <= 60,
		},
	});
	client.hook.before("request", (options) => {
		// A creating call whose answer was lost would be made twice.
		if (options.method === "POST") options.request = { ...options.request, retries: 0 };
	});
	return client;
}

/** A comment that another run, or an earlier try whose answer was lost, has deleted is gone as it should be. */
function acceptGone(error: { status?: number }): void {
	if (error.status !== 404) throw error;
}

function isAt(found: { status: string; conclusion: string | null }, { status, conclusion }: CheckRun): boolean {
	return found.status === status && (found.conclusion ?? null) === conclusion;
}

/** GitHub may give a body back with other line ends and without trailing space. */
function same(shown: string, wanted: string): boolean {
	const normal = (text: string) => text.replaceAll("\r\n", "\n").trimEnd();
	return normal(shown) === normal(wanted);
}

async function call<T>(what: string, request: () => Promise<T>): Promise<T> {
	try {
		return await request();
	} catch (error) {
		const { status, response, message } = error as {
			status?: number;
			response?: { headers?: Record<string, string> };
			message?: string;
		};
		const id = response?.headers?.["x-github-request-id"];
		const hint =
			status === 403 || status === 404
				? " Has the token the permissions that the action's README names? Personal tokens can't write check runs."
				: "";
		throw new ServiceError(
			"GitHub",
			`could not ${what}: ${status ?? "no answer"} ${message ?? ""}.${hint}`,
			`request ${id ?? "without an id"}: ${message}`,
		);
	}
}
