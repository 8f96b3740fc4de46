// Issues, labels, comments and reactions as GitHub has them, where emulate's differ.
import {
	type Answer,
	type Ask,
	all,
	invalid,
	notFound,
	paginate,
	placeOf,
	type Routes,
	refuse,
	repo,
	type Upstream,
} from "./route.ts";

interface Discussion {
	number: number;
	title: string;
	state: string;
	created_at: string;
	labels: { name: string }[];
	user: { login: string };
	[key: string]: unknown;
}

export interface Reaction {
	id: number;
	content: string;
	user: { login: string };
	created_at: string;
}

/** A pull request as an issue: "GitHub's REST API considers every pull request an issue". */
function asIssue(pull: Discussion, base: string, place: string): Discussion {
	const { number, title, state, created_at, labels, user, body, closed_at, updated_at } = pull;
	const at = `${base}${place}/pulls/${number}`;
	return { number, title, state, created_at, labels, user, body, closed_at, updated_at, pull_request: { url: at } };
}

async function numbered(ask: Ask, upstream: Upstream): Promise<Answer> {
	const place = placeOf(ask);
	const number = ask.params["issue_number"];
	const issue = await upstream("GET", `${place}/issues/${number}`);
	if (issue.status !== 404) return issue;
	const pull = await upstream("GET", `${place}/pulls/${number}`);
	return pull.status === 200 ? { ...pull, body: asIssue(pull.body as Discussion, ask.base, place) } : pull;
}

async function refuseNewLabels(ask: Ask, upstream: Upstream): Promise<Answer> {
	const known = await all<{ name: string }>(upstream, `${placeOf(ask)}/labels`);
	const asked = ask.body["labels"] as string[];
	const isNew = (name: string) => !known.some((label) => same(label.name, name));
	if (ask.permissions && ask.permissions["issues"] !== "write" && asked.some(isNew))
		return refuse(403, "Resource not accessible by integration");
	return upstream(ask.method, ask.path, ask.body);
}

/** When comments were made, and edited last, in whole seconds as GitHub tells them; emulate takes two looks at its clock for a new one. */
function commentRoutes(): Routes {
	const edited = new Map<number, string>();
	const timed = (comment: { id: number; created_at: string }) => {
		const created_at = `${comment.created_at.slice(0, 19)}Z`;
		return { ...comment, created_at, updated_at: edited.get(comment.id) ?? created_at };
	};
	return {
		async [`GET ${repo}/issues/{issue_number}/comments`](ask, upstream) {
			const answer = await upstream("GET", ask.path);
			return answer.status === 200
				? { ...answer, body: (answer.body as Parameters<typeof timed>[0][]).map(timed) }
				: answer;
		},
		async [`PATCH ${repo}/issues/comments/{comment_id}`](ask, upstream) {
			const answer = await upstream("PATCH", ask.path, ask.body);
			if (answer.status !== 200) return answer;
			edited.set(Number(ask.params["comment_id"]), now());
			return { ...answer, body: timed(answer.body as Parameters<typeof timed>[0]) };
		},
	};
}

export function issueRoutes(reactions: Map<number, Reaction[]>): Routes {
	return {
		...commentRoutes(),

		// "Note: GitHub's REST API considers every pull request an issue [...] you can identify pull requests by the pull_request
		// key." https://docs.github.com/en/rest/issues/issues#list-repository-issues; emulate leaves them out.
		async [`GET ${repo}/issues`](ask, upstream) {
			const place = placeOf(ask);
			const state = ask.query.get("state") ?? "open";
			const issues = await all<Discussion>(upstream, `${place}/issues?state=${state}`);
			const pulls = await all<Discussion>(upstream, `${place}/pulls?state=${state}`);
			const wanted = (ask.query.get("labels") ?? "").split(",").filter(Boolean);
			const creator = ask.query.get("creator");
			const list = [...issues, ...pulls.map((pull) => asIssue(pull, ask.base, place))]
				.filter(({ labels }) => wanted.every((name) => labels.some((label) => same(label.name, name))))
				.filter(({ user }) => !creator || user.login === creator)
				.sort((a, b) => b.number - a.number);
			return paginate(ask, ask.query.get("direction") === "asc" ? list.reverse() : list);
		},

		[`GET ${repo}/issues/{issue_number}`]: numbered,

		// https://docs.github.com/en/rest/issues/issues#update-an-issue: "Pull requests too"; emulate answers 404 for them.
		async [`PATCH ${repo}/issues/{issue_number}`](ask, upstream) {
			const answer = await upstream("PATCH", ask.path, ask.body);
			if (answer.status !== 404) return answer;
			const { labels, ...rest } = ask.body;
			if (labels) await upstream("PUT", `${ask.path}/labels`, { labels });
			const pull = `${placeOf(ask)}/pulls/${ask.params["issue_number"]}`;
			if (Object.keys(rest).length > 0) await upstream("PATCH", pull, rest);
			return numbered(ask, upstream);
		},

		// Adding a label that the repository lacks makes it, which since May 2025 needs "Issues: write".
		[`POST ${repo}/issues/{issue_number}/labels`]: refuseNewLabels,
		[`PUT ${repo}/issues/{issue_number}/labels`]: refuseNewLabels,

		// Names of labels are compared without case: https://docs.github.com/en/rest/issues/labels#create-a-label
		async [`POST ${repo}/labels`](ask, upstream) {
			const labels = await all<{ name: string }>(upstream, `${placeOf(ask)}/labels`);
			if (labels.some(({ name }) => same(name, String(ask.body["name"]))))
				return invalid("Label", "name", "already_exists");
			return upstream("POST", ask.path, ask.body);
		},

		// https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment: 200 where it is there already.
		async [`POST ${repo}/issues/comments/{comment_id}/reactions`](ask, upstream) {
			const comment = await upstream("GET", `${placeOf(ask)}/issues/comments/${ask.params["comment_id"]}`);
			if (comment.status !== 200) return notFound();
			const id = Number(ask.params["comment_id"]);
			const list = reactions.get(id) ?? [];
			reactions.set(id, list);
			const content = String(ask.body["content"]);
			const before = list.find((reaction) => reaction.content === content && reaction.user.login === ask.login);
			if (before) return { status: 200, body: before };
			const reaction = { id: id * 100 + list.length, content, user: { login: ask.login }, created_at: now() };
			list.push(reaction);
			return { status: 201, body: reaction };
		},

		[`GET ${repo}/issues/comments/{comment_id}/reactions`]: (ask) =>
			paginate(ask, reactions.get(Number(ask.params["comment_id"])) ?? []),
	};
}

/** The longest text of an issue, a pull request or a comment; GitHub refuses a longer one with 422. */
const LONGEST_BODY = 65_536;

/** GitHub's refusal of a text that is too long; null where it may pass. */
export function refuseLongBody(method: string, path: string, body: Record<string, unknown>): Answer | null {
	const text = body["body"];
	if (method === "GET" || !/\/(issues|pulls|comments)(\/|$)/.test(path) || typeof text !== "string") return null;
	if ([...text].length <= LONGEST_BODY) return null;
	return invalid("IssueComment", "body", "unprocessable", `body is too long (maximum is ${LONGEST_BODY} characters)`);
}

function same(a: string, b: string): boolean {
	return a.toLowerCase() === b.toLowerCase();
}

function now(): string {
	return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
