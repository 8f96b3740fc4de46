// References as GitHub lets a workflow's token make them.
import { type Answer, type Ask, placeOf, type Routes, refuse, repo, type Upstream } from "./route.ts";

/** The workflow files of a commit, by path and blob. */
async function workflowsAt(sha: string, ask: Ask, upstream: Upstream): Promise<string> {
	const commit = await upstream("GET", `${placeOf(ask)}/git/commits/${sha}`);
	const tree = (commit.body as { tree?: { sha: string } }).tree?.sha;
	const { body } = await upstream("GET", `${placeOf(ask)}/git/trees/${tree}?recursive=1`);
	const entries = (body as { tree?: { path: string; sha: string; type: string }[] }).tree ?? [];
	return entries
		.filter(({ path, type }) => type === "blob" && path.startsWith(".github/workflows/"))
		.map((entry) => `${entry.path} ${entry.sha}`)
		.sort()
		.join("\n");
}

export function refRoutes(): Routes {
	return {
		// "Refusing to allow a GitHub App to create or update workflow without `workflows` permission": also for a tag on a commit whose
		// workflow files aren't those of the default branch's head.
		async [`POST ${repo}/git/refs`](ask, upstream): Promise<Answer> {
			const { ref, sha } = ask.body as { ref: string; sha: string };
			if (ask.login.endsWith("[bot]") && String(ref).startsWith("refs/tags/")) {
				const main = await upstream("GET", `${placeOf(ask)}/git/ref/heads/main`);
				const head = (main.body as { object: { sha: string } }).object.sha;
				const [own, now] = await Promise.all([sha, head].map((at) => workflowsAt(at, ask, upstream)));
				if (own !== now) return refuse(403, "Resource not accessible by integration");
			}
			return upstream(ask.method, ask.path, ask.body);
		},
	};
}
