// Pull requests and issues become what the stages ask of them, and one is opened once.
import { plainLine } from "../text/plain.ts";
import { type Client, call, converge, orNull } from "./connect.ts";
import { addLabels } from "./labels.ts";
import type { GitHub, PullRequest } from "./objects.ts";
import { readPages } from "./requests.ts";

/** GitHub refuses a longer title. */
const MAX_TITLE = 256;

/** The token has a thousand requests an hour. */
const LATELY_MS = 300_000;

type Found =
	| "pullRequest"
	| "approversOf"
	| "openPullRequests"
	| "pullRequestsOf"
	| "pullRequestsFrom"
	| "pullRequestsOn"
	| "labelled"
	| "permissionOf";

export function pulls(client: Client): Pick<GitHub, Found | "openPullRequest" | "openIssue" | "closeIssue"> {
	const { octokit, place, author, limits, forAll } = client;

	async function list(state: "open" | "all", head?: string): Promise<PullRequest[]> {
		const asked = { ...place, ...(head === undefined ? {} : { head: `${place.owner}:${head}` }) };
		const found = await call("list pull requests", () =>
			readPages(
				octokit.paginate.iterator(octokit.rest.pulls.list, {
					...asked,
					state,
					sort: "created",
					direction: "asc",
					per_page: 100,
				}),
				limits,
			),
		);
		return found.map(toPullRequest);
	}

	let lately: { at: number; open: Promise<PullRequest[]> } | undefined;

	/** The open pull requests as they were some minutes ago at most: each experiment that is shown asks for its line's. */
	function openLately(): Promise<PullRequest[]> {
		if (!lately || Date.now() - lately.at > LATELY_MS) {
			const asked = { at: Date.now(), open: list("open") };
			lately = asked;
			// What failed is asked again.
			asked.open.catch(() => {
				if (lately === asked) lately = undefined;
			});
		}
		return lately.open;
	}

	async function pullRequest(number: number): Promise<PullRequest> {
		const { data } = await call(`read pull request ${number}`, () =>
			octokit.rest.pulls.get({ ...place, pull_number: number }),
		);
		return toPullRequest(data);
	}

	/** Those of a branch of this repository, oldest first. */
	async function on(branch: string): Promise<PullRequest[]> {
		return (await list("all", branch)).filter(({ head }) => head.ref === branch && !head.fork);
	}

	/** Those that something has happened to since a time, which are read from the last one back. */
	async function changedSince(since: Date): Promise<PullRequest[]> {
		const isOld = ({ updated_at }: { updated_at: string }) => Date.parse(updated_at) < since.getTime();
		const asked = {
			...place,
			state: "all" as const,
			sort: "updated" as const,
			direction: "desc" as const,
			per_page: 100,
		};
		const found = await call("list pull requests", () =>
			readPages(octokit.paginate.iterator(octokit.rest.pulls.list, asked), limits, (page) => page.some(isOld)),
		);
		return found.filter((one) => !isOld(one)).map(toPullRequest);
	}

	/** Our issues with the marker, oldest first, whatever their state. */
	async function issuesWith(marker: string) {
		const found = await call("list issues", () =>
			readPages(
				octokit.paginate.iterator(octokit.rest.issues.listForRepo, {
					...place,
					creator: author,
					state: "all",
					per_page: 100,
				}),
				limits,
			),
		);
		return found
			.filter(({ user, body, pull_request }) => user?.login === author && !pull_request && body?.startsWith(marker))
			.map(({ number, state, state_reason, body }) => ({ number, state, reason: state_reason, body: body ?? "" }))
			.sort((a, b) => a.number - b.number);
	}

	async function close(
		number: number,
		how: { state_reason: "completed" | "not_planned"; body?: string },
	): Promise<void> {
		await call("close an issue", () =>
			octokit.rest.issues.update({ ...place, issue_number: number, state: "closed", ...how }),
		);
	}

	async function reopen(number: number, body: string): Promise<void> {
		await call("open an issue again", () =>
			octokit.rest.issues.update({ ...place, issue_number: number, state: "open", state_reason: "reopened", body }),
		);
	}

	return {
		pullRequest,
		async approversOf(number) {
			const reviews = await call(`list the reviews of pull request ${number}`, () =>
				readPages(
					octokit.paginate.iterator(octokit.rest.pulls.listReviews, { ...place, pull_number: number, per_page: 100 }),
					limits,
				),
			);
			// Oldest first; a comment takes nothing back.
			const states = new Map(
				reviews.filter(({ state }) => state !== "COMMENTED").map(({ user, state }) => [user?.login ?? "", state]),
			);
			return [...states].flatMap(([login, state]) => (state === "APPROVED" && login !== "" ? login : []));
		},

		async openPullRequests() {
			lately = undefined;
			return openLately();
		},

		async pullRequestsOf(sha) {
			const found = await call("list the pull requests of a commit", () =>
				readPages(
					octokit.paginate.iterator(octokit.rest.repos.listPullRequestsAssociatedWithCommit, {
						...place,
						commit_sha: sha,
						per_page: 100,
					}),
					limits,
				),
			);
			// The list doesn't say who has merged.
			return Promise.all(found.map(({ number }) => pullRequest(number)));
		},

		pullRequestsOn: on,

		async pullRequestsFrom(prefix, since) {
			return (await (since ? changedSince(since) : list("all"))).filter(
				({ head }) => !head.fork && head.ref.startsWith(prefix),
			);
		},

		async labelled(label) {
			const wanted = label.toLowerCase();
			const having = ({ labels }: PullRequest) => labels.some((name) => name.toLowerCase() === wanted);
			return (await openLately()).filter(having);
		},

		async permissionOf(login) {
			// In an address .. would be another one.
			if (!/^[\w-]+(\[bot\])?$/.test(login)) return "none";
			const answer = await call("read a permission", () =>
				orNull(octokit.rest.repos.getCollaboratorPermissionLevel({ ...place, username: login })),
			);
			const { permission = "none", role_name = permission } = answer?.data ?? {};
			// An organisation names roles of its own; each stands on one of these.
			return LEVELS.find((level) => level === role_name) ?? LEVELS.find((level) => level === permission) ?? "none";
		},

		async openPullRequest({ branch, base, title, body, labels }) {
			const look = async () => {
				const [found] = await on(branch);
				return found ? { ...found, created: false } : null;
			};
			const make = async () => {
				const fields = { ...place, head: branch, base, title: plainLine(forAll(title), MAX_TITLE), body: forAll(body) };
				const { data } = await octokit.rest.pulls.create(fields);
				return { ...toPullRequest(data), created: true };
			};
			const opened = (await look()) ?? (await converge(client, "open a pull request", make, look));
			const { number, state, created } = opened;
			const missing = labels.filter(({ name }) => !opened.labels.includes(name));
			// An earlier run may have been stopped before it labelled.
			if (state === "open") await addLabels(client, number, missing);
			return { number, created };
		},

		async openIssue({ marker, title, body, labels }) {
			const [before] = await issuesWith(marker);
			const text = forAll(body.startsWith(marker) ? body : `${marker}\n${body}`);
			// What was settled has come back. Where somebody wants none of it, it stays closed.
			if (before?.state === "closed" && before.reason === "completed") await reopen(before.number, text);
			if (before) return { number: before.number, created: false };
			const look = async () => (await issuesWith(marker))[0]?.number ?? null;
			const made = await converge(
				client,
				"open an issue",
				async () =>
					(
						await octokit.rest.issues.create({
							...place,
							title: plainLine(forAll(title), MAX_TITLE),
							body: text,
							labels,
						})
					).data.number,
				look,
			);
			// Two runs that raced have each opened one: both keep the oldest.
			const [oldest, ...twins] = await issuesWith(marker);
			for (const { number, state } of twins) if (state === "open") await close(number, { state_reason: "not_planned" });
			return { number: oldest?.number ?? made, created: (oldest?.number ?? made) === made };
		},

		async closeIssue(marker, why) {
			for (const { number, state, body } of await issuesWith(marker))
				if (state === "open") await close(number, { state_reason: "completed", body: `${body}\n\n${forAll(why)}` });
		},
	};
}

const LEVELS = ["admin", "maintain", "write", "triage", "read", "none"] as const;

interface Side {
	sha: string;
	ref: string;
	repo: { id: number } | null;
}

interface Shown {
	number: number;
	title: string;
	user: { login: string } | null;
	state: string;
	draft?: boolean | undefined;
	merged_at: string | null;
	merged_by?: { login: string } | null;
	merge_commit_sha: string | null;
	labels: { name: string }[];
	head: Side;
	base: Side;
}

function toPullRequest(shown: Shown): PullRequest {
	const { number, title, user, state, draft = false, merged_at, merged_by, labels, head, base } = shown;
	const merged = merged_at !== null;
	return {
		number,
		title,
		author: user?.login ?? "ghost",
		state: state === "open" ? "open" : "closed",
		merged,
		draft,
		// A fork that was deleted has no repository any more.
		head: { sha: head.sha, ref: head.ref, fork: head.repo?.id !== base.repo?.id },
		base: { sha: base.sha, ref: base.ref },
		labels: labels.map(({ name }) => name),
		mergedBy: merged_by?.login ?? null,
		// Before a merge it is a trial that GitHub makes.
		mergeCommit: merged ? shown.merge_commit_sha : null,
	};
}
