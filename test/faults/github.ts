// The model of GitHub that settling has, with what is shown on pull requests: each call is safe to repeat, as its port promises.
import { InvalidInput } from "../../actions/lib/errors.ts";
import type { CheckRun, GitHub, Label } from "../../actions/lib/github/objects.ts";
import { BOT, type Server } from "../lib/follow/merged/github.ts";

/** What GitHub holds beside pull requests, tags, branches, issues and events. */
export class Shown {
	/** Bodies by pull request and marker. */
	readonly comments = new Map<string, string>();
	/** Check runs by commit and name. */
	readonly checks = new Map<string, CheckRun>();
	readonly labels = new Map<number, string[]>();
	readonly dispatched: string[] = [];
}

/** GitHub for one process. */
export function connect(server: Server, shown: Shown): GitHub {
	const base = server.connect();
	const open = () => server.pulls.filter(({ state }) => state === "open");
	const github: Partial<GitHub> = {
		...base,
		openPullRequests: async () => open(),
		createTag: async (name, sha) => {
			const at = server.tags.get(name) ?? sha;
			if (at !== sha) throw new InvalidInput(`The tag ${name} is at ${at} already.`);
			return base.createTag(name, sha);
		},
		openPullRequest: async ({ branch, base: ref }) => {
			const before = server.pulls.find(({ head }) => head.ref === branch);
			const pull = before ?? server.open("", "", branch, BOT);
			pull.base.ref = ref;
			return { number: pull.number, created: !before };
		},
		upsertComment: async (number, marker, body, keep) => {
			const key = `${number} ${marker}`;
			const before = shown.comments.get(key);
			if (before === body || (before !== undefined && keep?.(before))) return "unchanged";
			shown.comments.set(key, body);
			return before === undefined ? "created" : "updated";
		},
		commentsOf: async (number, prefix) =>
			[...shown.comments]
				.filter(([key, body]) => key.startsWith(`${number} `) && body.startsWith(prefix))
				.map(([, body]) => body),
		upsertCheckRun: async (check) => {
			const key = `${check.sha} ${check.name}`;
			const before = JSON.stringify(shown.checks.get(key));
			shown.checks.set(key, check);
			return before === JSON.stringify(check) ? "unchanged" : "created";
		},
		checkRuns: async (sha) =>
			[...shown.checks.values()]
				.filter((check) => check.sha === sha)
				.map(({ name, status, conclusion, title }) => ({ name, status, conclusion, title })),
		checkSummaries: async (sha, name) =>
			[...shown.checks.values()]
				.filter((check) => check.sha === sha && check.name === name)
				.map(({ summary }) => summary),
		labelled: async (label) => open().filter(({ number }) => shown.labels.get(number)?.includes(label)),
		hasReviewers: async () => true,
		setLabels: async (number, wanted: readonly Label[], own) => {
			const before = shown.labels.get(number) ?? [];
			const after = [...new Set([...before.filter((name) => !own(name)), ...wanted.map(({ name }) => name)])].sort();
			shown.labels.set(number, after);
			return JSON.stringify(before) === JSON.stringify(after) ? "unchanged" : "updated";
		},
		dispatchWorkflow: async (file, ref, inputs) => {
			// Started twice it does no more than started once.
			const started = JSON.stringify([file, ref, inputs]);
			if (!shown.dispatched.includes(started)) shown.dispatched.push(started);
		},
	};
	return github as GitHub;
}
