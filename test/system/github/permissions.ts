// The requests of a job become the permissions that its token needs, and what the workflow file grants beside them.
// Source: https://docs.github.com/en/rest/authentication/permissions-required-for-github-apps; where GitHub names several
// permissions for a route, any one of them is enough.

export type Level = "read" | "write";
/** As a workflow file has them: pull-requests: write */
export type Permissions = Record<string, Level | "none">;

interface Need {
	/** Any one of these. Empty: every token may. */
	anyOf: string[];
	level: Level;
}

const repo = "/repos/{owner}/{repo}";
const discussion = ["issues", "pull-requests"];

/** Operations by the permission that GitHub asks for; the level is read for GET and write for the rest. */
const table: [anyOf: string[], operations: string[]][] = [
	// "Metadata: read" is part of every token: https://docs.github.com/en/rest/collaborators/collaborators
	[[], [`GET ${repo}`, `GET ${repo}/collaborators/{username}/permission`, `GET ${repo}/tags`]],
	[
		["actions"],
		[
			`GET ${repo}/actions/runs`,
			`GET ${repo}/actions/runs/{run_id}`,
			`POST ${repo}/actions/runs/{run_id}/cancel`,
			`POST ${repo}/actions/runs/{run_id}/rerun`,
			`POST ${repo}/actions/runs/{run_id}/rerun-failed-jobs`,
			`POST ${repo}/actions/workflows/{workflow_id}/dispatches`,
			`GET ${repo}/actions/workflows/{workflow_id}/runs`,
			`GET ${repo}/environments`,
			`GET ${repo}/environments/{environment_name}`,
		],
	],
	[
		["checks"],
		[
			`POST ${repo}/check-runs`,
			`GET ${repo}/check-runs/{check_run_id}`,
			`PATCH ${repo}/check-runs/{check_run_id}`,
			`GET ${repo}/check-runs/{check_run_id}/annotations`,
			`GET ${repo}/commits/{ref}/check-runs`,
		],
	],
	[
		["contents"],
		[
			`GET ${repo}/branches`,
			`GET ${repo}/branches/{branch}`,
			`GET ${repo}/commits`,
			`GET ${repo}/commits/{ref}`,
			`GET ${repo}/compare/{basehead}`,
			`GET ${repo}/contents/{path}`,
			`PUT ${repo}/contents/{path}`,
			`DELETE ${repo}/contents/{path}`,
			`POST ${repo}/dispatches`,
			`POST ${repo}/git/blobs`,
			`GET ${repo}/git/blobs/{file_sha}`,
			`POST ${repo}/git/commits`,
			`GET ${repo}/git/commits/{commit_sha}`,
			`GET ${repo}/git/matching-refs/{ref}`,
			`GET ${repo}/git/ref/{ref}`,
			`POST ${repo}/git/refs`,
			`PATCH ${repo}/git/refs/{ref}`,
			`DELETE ${repo}/git/refs/{ref}`,
			`POST ${repo}/git/tags`,
			`GET ${repo}/git/tags/{tag_sha}`,
			`POST ${repo}/git/trees`,
			`GET ${repo}/git/trees/{tree_sha}`,
			`PUT ${repo}/pulls/{pull_number}/merge`,
		],
	],
	[
		["deployments"],
		[
			`GET ${repo}/deployments`,
			`POST ${repo}/deployments`,
			`GET ${repo}/deployments/{deployment_id}`,
			`GET ${repo}/deployments/{deployment_id}/statuses`,
			`POST ${repo}/deployments/{deployment_id}/statuses`,
		],
	],
	// Reactions and the list of issues, pull requests among them, are not to be had for "Pull requests".
	[
		["issues"],
		[
			`GET ${repo}/issues`,
			`POST ${repo}/issues`,
			`GET ${repo}/issues/{issue_number}`,
			`GET ${repo}/issues/comments/{comment_id}/reactions`,
			`POST ${repo}/issues/comments/{comment_id}/reactions`,
			// Since May 2025 "Pull requests: write" alone makes no label, though it adds those that there are.
			`POST ${repo}/labels`,
			`PATCH ${repo}/labels/{name}`,
			`DELETE ${repo}/labels/{name}`,
		],
	],
	[
		discussion,
		[
			`GET ${repo}/issues/comments/{comment_id}`,
			`PATCH ${repo}/issues/comments/{comment_id}`,
			`DELETE ${repo}/issues/comments/{comment_id}`,
			`PATCH ${repo}/issues/{issue_number}`,
			`GET ${repo}/issues/{issue_number}/comments`,
			`POST ${repo}/issues/{issue_number}/comments`,
			`GET ${repo}/issues/{issue_number}/labels`,
			`POST ${repo}/issues/{issue_number}/labels`,
			`PUT ${repo}/issues/{issue_number}/labels`,
			`DELETE ${repo}/issues/{issue_number}/labels/{name}`,
			`GET ${repo}/labels`,
			`GET ${repo}/labels/{name}`,
		],
	],
	[
		["pull-requests"],
		[
			`GET ${repo}/pulls`,
			`POST ${repo}/pulls`,
			`GET ${repo}/pulls/{pull_number}`,
			`PATCH ${repo}/pulls/{pull_number}`,
			`GET ${repo}/pulls/{pull_number}/commits`,
			`GET ${repo}/pulls/{pull_number}/files`,
			`POST ${repo}/pulls/{pull_number}/requested_reviewers`,
			`GET ${repo}/pulls/{pull_number}/reviews`,
			`GET ${repo}/commits/{commit_sha}/pulls`,
		],
	],
	[["statuses"], [`GET ${repo}/commits/{ref}/status`, `POST ${repo}/statuses/{sha}`]],
];

const needs = new Map<string, Need>(
	table.flatMap(([anyOf, operations]) =>
		operations.map((operation): [string, Need] => [
			operation,
			{ anyOf, level: operation.startsWith("GET ") ? "read" : "write" },
		]),
	),
);

/** Every operation that this project may ask GitHub for. */
export const knownOperations: readonly string[] = [...needs.keys()];

/** What a job does without the API, such as fetching by git, named like an operation. */
export function gitNeed(permission: string, level: string): string {
	return `needs ${permission}: ${level}`;
}

/** What a token needs for the operation; throws where the table doesn't know it. */
export function needOf(operation: string): Need {
	const [, permission, level] = /^needs ([\w-]+): (read|write)$/.exec(operation) ?? [];
	if (permission) return { anyOf: [permission], level: level as Level };
	const need = needs.get(operation);
	if (!need) throw new Error(`${operation}: add it to permissions.ts, with what GitHub's documentation asks for.`);
	return need;
}

/** Whether a token with these permissions may do the operation. */
export function mayDo(operation: string, permissions: Permissions): boolean {
	const { anyOf, level } = needOf(operation);
	return anyOf.length === 0 || anyOf.some((name) => covers(permissions[name], level));
}

function covers(granted: Level | "none" | undefined, level: Level): boolean {
	return granted === "write" || (granted === "read" && level === "read");
}

/** What a job's requests lack, and what it was granted that none of them needs. Both empty: the least rights. */
export function compareRights(
	operations: Iterable<string>,
	granted: Permissions,
): { missing: string[]; spare: string[] } {
	const all = [...new Set(operations)];
	const works = (permissions: Permissions) => all.filter((operation) => !mayDo(operation, permissions));
	const missing = works(granted).map((operation) => {
		const { anyOf, level } = needOf(operation);
		return `${anyOf.join(" or ")}: ${level} for ${operation}`;
	});
	const spare = Object.entries(granted).flatMap(([name, level]) => {
		const { [name]: _, ...without } = granted;
		if (level === "none") return [];
		if (works(without).length <= missing.length) return [`${name}: ${level}`];
		const lower = works({ ...granted, [name]: "read" }).length <= missing.length;
		return level === "write" && lower ? [`${name}: write, where read is enough`] : [];
	});
	return { missing, spare };
}
