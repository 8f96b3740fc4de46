// Pull requests as GitHub has them: emulate's stay at the commit that they were opened with, list no files, and merge what is stale.
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

export interface Pull {
	number: number;
	state: "open" | "closed";
	merged: boolean;
	merged_at: string | null;
	merge_commit_sha: string | null;
	head: { ref: string; sha: string; repo: { full_name: string } | null };
	base: { ref: string; sha: string };
	labels: { name: string }[];
	[key: string]: unknown;
}

export interface PullState {
	/** The head that a closed pull request was closed at. */
	heads: Map<number, string>;
	/** The commit that a pull request was merged as. */
	merges: Map<number, string>;
	/** Called with what was opened, and by whom. */
	opened(pull: Pull, login: string): void;
	/** Merges the two commits and gives the new commit to the server; null where they conflict. */
	merge: ((base: string, head: string, message: string) => Promise<string | null>) | null;
}

export function pullRoutes(state: PullState): Routes {
	const reader = createReader(state);
	return { ...readRoutes(reader), ...changeRoutes(state, reader), ...mergeRoutes(state, reader) };
}

type Reader = ReturnType<typeof createReader>;

/** Reads pull requests from emulate, with what it doesn't keep. */
function createReader(state: PullState) {
	/** The pull request with its head where the branch is now. */
	async function current(pull: Pull, upstream: Upstream): Promise<Pull> {
		let sha = state.heads.get(pull.number);
		if (!sha && pull.state === "open" && pull.head.repo) {
			const { status, body } = await upstream(
				"GET",
				`/repos/${pull.head.repo.full_name}/git/ref/heads/${pull.head.ref}`,
			);
			if (status === 200) sha = (body as { object: { sha: string } }).object.sha;
		}
		const merged = state.merges.get(pull.number) ?? pull.merge_commit_sha;
		return { ...pull, head: { ...pull.head, sha: sha ?? pull.head.sha }, merge_commit_sha: merged };
	}

	async function one(ask: Ask, upstream: Upstream): Promise<Pull | null> {
		const { status, body } = await upstream("GET", `${placeOf(ask)}/pulls/${ask.params["pull_number"]}`);
		return status === 200 ? current(body as Pull, upstream) : null;
	}

	async function transform(answer: Answer, upstream: Upstream): Promise<Answer> {
		if (answer.status >= 300) return answer;
		const { body } = answer;
		if (Array.isArray(body)) return { ...answer, body: await Promise.all(body.map((pull) => current(pull, upstream))) };
		return { ...answer, body: await current(body as Pull, upstream) };
	}

	return { current, one, transform };
}

function readRoutes({ current, one, transform }: Reader): Routes {
	return {
		// "Filter pulls by head user or head organization and branch name in the format of user:ref-name": a branch alone is no
		// filter. https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
		async [`GET ${repo}/pulls`](ask, upstream) {
			const url = new URL(ask.path, "http://localhost");
			if (!url.searchParams.get("head")?.includes(":")) url.searchParams.delete("head");
			return transform(await upstream("GET", url.pathname + url.search), upstream);
		},

		async [`GET ${repo}/pulls/{pull_number}`](ask, upstream) {
			return transform(await upstream("GET", ask.path), upstream);
		},

		// https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files; emulate's list is empty.
		async [`GET ${repo}/pulls/{pull_number}/files`](ask, upstream) {
			const pull = await one(ask, upstream);
			if (!pull) return notFound();
			const compared = await upstream("GET", `${placeOf(ask)}/compare/${pull.base.sha}...${pull.head.sha}`);
			if (compared.status !== 200) return compared;
			const { files } = compared.body as { files: { filename: string }[] };
			return paginate(
				ask,
				files.sort((a, b) => (a.filename < b.filename ? -1 : 1)),
			);
		},

		// "Lists the merged pull request that introduced the commit to the repository. If the commit is not present in the default
		// branch, will only return open pull requests associated with the commit."
		// https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
		async [`GET ${repo}/commits/{commit_sha}/pulls`](ask, upstream) {
			const place = placeOf(ask);
			const sha = ask.params["commit_sha"]!;
			const found: Pull[] = [];
			for (const listed of await all<Pull>(upstream, `${place}/pulls?state=all`)) {
				const pull = await current(listed, upstream);
				if (pull.state === "closed" && !pull.merged_at) continue;
				const compared = await upstream("GET", `${place}/compare/${pull.base.sha}...${pull.head.sha}`);
				const commits = compared.status === 200 ? (compared.body as { commits: { sha: string }[] }).commits : [];
				if (pull.merge_commit_sha === sha || commits.some((commit) => commit.sha === sha)) found.push(pull);
			}
			const merged = found.filter((pull) => pull.merged_at);
			return paginate(ask, merged.length > 0 ? merged : found);
		},
	};
}

function changeRoutes(state: PullState, { one, transform }: Reader): Routes {
	let opening: Promise<unknown> = Promise.resolve();

	async function open(ask: Ask, upstream: Upstream): Promise<Answer> {
		const place = placeOf(ask);
		const { head, base } = ask.body as { head: string; base: string };
		const [owner, ref] = head.includes(":") ? head.split(":") : [ask.params["owner"], head];
		const from = await upstream("GET", `/repos/${owner}/${ask.params["repo"]}/git/ref/heads/${ref}`);
		if (from.status !== 200) return invalid("PullRequest", "head", "invalid");
		const to = await upstream("GET", `${place}/git/ref/heads/${base}`);
		if (to.status !== 200) return invalid("PullRequest", "base", "invalid");
		const opened = await all<Pull>(upstream, `${place}/pulls?state=open&base=${base}`);
		const twin = opened.find((pull) => pull.head.ref === ref && pull.head.repo?.full_name.split("/")[0] === owner);
		if (twin) return invalid("PullRequest", "", "custom", `A pull request already exists for ${owner}:${ref}.`);
		const shaOf = ({ body }: Answer) => (body as { object: { sha: string } }).object.sha;
		if (shaOf(from) === shaOf(to)) return invalid("PullRequest", "", "custom", `No commits between ${base} and ${ref}`);
		const answer = await transform(await upstream("POST", ask.path, ask.body), upstream);
		if (answer.status === 201) state.opened(answer.body as Pull, ask.login);
		return answer;
	}

	return {
		// https://docs.github.com/en/rest/pulls/pulls#create-a-pull-request: 422 where the branch doesn't exist, holds nothing new, or
		// has an open pull request to the same base. emulate makes the branch, and a second pull request.
		// GitHub looks and makes in one step: of two that race for a branch, one is refused.
		[`POST ${repo}/pulls`]: (ask, upstream) => {
			const opened = opening.then(() => open(ask, upstream));
			opening = opened.catch(() => {});
			return opened;
		},

		async [`PATCH ${repo}/pulls/{pull_number}`](ask, upstream) {
			const before = await one(ask, upstream);
			if (!before) return notFound();
			if (ask.body["state"] === "closed") state.heads.set(before.number, before.head.sha);
			if (ask.body["state"] === "open") state.heads.delete(before.number);
			return transform(await upstream("PATCH", ask.path, ask.body), upstream);
		},
	};
}

function mergeRoutes(state: PullState, { one }: Reader): Routes {
	return {
		// https://docs.github.com/en/rest/pulls/pulls#merge-a-pull-request: 409 where `sha` isn't the head, 405 where it can't be merged.
		async [`PUT ${repo}/pulls/{pull_number}/merge`](ask, upstream) {
			const pull = await one(ask, upstream);
			if (!pull) return notFound();
			const { sha, ...body } = ask.body;
			if (pull.state === "closed") return refuse(405, "Pull Request is not mergeable");
			if (sha && sha !== pull.head.sha) return refuse(409, "Head branch was modified. Review and try the merge again.");
			if (!state.merge) return upstream("PUT", ask.path, body);
			const place = placeOf(ask);
			const base = await upstream("GET", `${place}/git/ref/heads/${pull.base.ref}`);
			const at = (base.body as { object: { sha: string } }).object.sha;
			const title = `Merge pull request #${pull.number} from ${pull.head.repo?.full_name.split("/")[0]}/${pull.head.ref}`;
			const merged = await state.merge(at, pull.head.sha, `${(body["commit_title"] as string) ?? title}\n`);
			if (!merged) return refuse(405, "Pull Request is not mergeable");
			const done = await upstream("PUT", ask.path, body);
			if (done.status !== 200) return done;
			state.heads.set(pull.number, pull.head.sha);
			state.merges.set(pull.number, merged);
			// emulate's own merge takes the head's tree, and drops what came to the base since: the branch goes to the true one.
			const moved = await upstream("PATCH", `${place}/git/refs/heads/${pull.base.ref}`, { sha: merged, force: true });
			if (moved.status !== 200) return moved;
			return { status: 200, body: { sha: merged, merged: true, message: "Pull Request successfully merged" } };
		},
	};
}
