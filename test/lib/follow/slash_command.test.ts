// A comment's command
import { describe, expect, test } from "vitest";
import {
	answerCommand,
	approvalsIn,
	parseCommand,
	readCommentEvent,
} from "../../../actions/lib/follow/slash_command.ts";
import type { GitHub, PullRequest } from "../../../actions/lib/github/objects.ts";

describe("is read", () => {
	test.each<[string, ReturnType<typeof parseCommand>]>([
		["/stop", { name: "stop", argument: "" }],
		["/approve 12ab34cdef56 ", { name: "approve", argument: "12ab34cdef56" }],
		["/stop  \r\nplease", { name: "stop", argument: "" }],
		["/explain  map night ", { name: "explain", argument: "map night" }],
		["/explain $(rm -rf /) `x`", { name: "explain", argument: "$(rm -rf /) `x`" }],
		["/dance", "dance"],
		["/Stop", { name: "stop", argument: "" }],
		["/STOP!", { name: "stop", argument: "" }],
		[" /stop", { name: "stop", argument: "" }],
		["   /stop.", { name: "stop", argument: "" }],
		["/stop…\r\nit costs too much", { name: "stop", argument: "" }],
		["/stop, please", { name: "stop", argument: "please" }],
		["/Explain: map Night", { name: "explain", argument: "map Night" }],
		["/stop\u00a0please", { name: "stop", argument: "please" }],
		["    /stop", null],
		["\t/stop", null],
		["> /stop", null],
		["/stop/plan", null],
		["please /stop", null],
		["first\n/stop", null],
		["/stopnow!", "stopnow"],
		["/Dance.", "dance"],
		["/", null],
		["", null],
	])("%j", (body, command) => {
		expect(parseCommand(body)).toEqual(command);
	});

	test("with no more of its argument than anybody asks", () => {
		expect(parseCommand(`/explain ${"x".repeat(5000)}`)).toEqual({ name: "explain", argument: "x".repeat(200) });
	});
});

describe("approves", () => {
	const short = "12ab34cdef56";
	test.each<[string, string[]]>([
		[`/approve ${short}`, [short]],
		[`/approve ${short}7890`, [`${short}7890`]],
		[`/approve ${short} \t0123456789ab\r\nlooks good`, [short, "0123456789ab"]],
		[`/approve ${short.slice(1)}`, []],
		[`/approve ${short} please`, []],
		[`/approve ${short}…`, []],
		[`/approve ${short.toUpperCase()}`, []],
		[`/approve ${"0".repeat(65)}`, []],
		["/approve", []],
		[`/approved ${short}`, []],
		[`please /approve ${short}`, []],
		[`> /approve ${short}`, []],
		[`lgtm\n/approve ${short}`, []],
		[`/plan ${short}`, []],
		[` /Approve ${short}`, [short]],
	])("by %j the plans %j", (body, digests) => {
		expect(approvalsIn(body)).toEqual(digests);
	});
});

const pull: PullRequest = {
	number: 7,
	title: "",
	author: "ann",
	state: "open",
	merged: false,
	draft: false,
	head: { sha: "a".repeat(40), ref: "night", fork: false },
	base: { sha: "b".repeat(40), ref: "main" },
	labels: [],
	mergedBy: null,
	mergeCommit: null,
};

interface Asking {
	permission: string;
	/** What differs of the pull request. */
	now: object;
	login: string;
	/** Whether its last run has ended. */
	ends: boolean;
}

/** What was asked of GitHub, in order, while a comment was answered. */
async function asked(
	body: string,
	{ permission = "write", now = {}, login = "bob", ends = true }: Partial<Asking> = {},
) {
	const calls: unknown[][] = [];
	const note =
		<T>(name: string, answer: T) =>
		async (...args: unknown[]) => {
			calls.push([name, ...args]);
			return answer;
		};
	const github = {
		permissionOf: note("permissionOf", permission),
		pullRequest: async () => ({ ...pull, ...now }),
		react: note("react", undefined),
		dispatchWorkflow: note("dispatchWorkflow", undefined),
		cancelRuns: note("cancelRuns", 1),
		rerun: note("rerun", ends),
		commentsOf: async () => ["<!-- proving-ground: a -->\ncomments `/approve 12ab34cdef56`. A push"],
	} as unknown as GitHub;
	const event = { comment: { id: 3, body, login }, pullRequest: 7, branch: "main" };
	const answered = await answerCommand(event, { github, revert: note("revert", true) });
	return { answered, calls };
}

const follow = (inputs: object) => ["dispatchWorkflow", "follow.yml", "main", { "pull-request": "7", ...inputs }];
const fork = { head: { ...pull.head, fork: true } };

describe("does what a button would", () => {
	test.each<[string, object, unknown[][], string]>([
		["/plan", {}, [follow({})], "+1"],
		["/plan", fork, [["rerun", "experiment.yml", pull.head.sha]], "+1"],
		["/rerun", {}, [["rerun", "experiment.yml", pull.head.sha]], "+1"],
		["/rerun", { state: "closed" }, [], "confused"],
		["/stop", {}, [["cancelRuns", "experiment.yml", { headSha: pull.head.sha }], follow({ stop: "true" })], "+1"],
		["/stop", fork, [], "confused"],
		["/explain", {}, [follow({ explain: "*" })], "+1"],
		["/explain `$(x)` @team", {}, [follow({ explain: "`$(x)` @team" })], "+1"],
		["/explain map", fork, [], "confused"],
		["/rollback", {}, [], "confused"],
		["/rollback", { merged: true, state: "closed" }, [["revert", expect.objectContaining({ number: 7 })]], "+1"],
		["/dance", {}, [], "confused"],
	])("%s, %j", async (body, now, done, reaction) => {
		const { calls } = await asked(body, { now });
		expect(calls).toEqual([["permissionOf", "bob"], ...done, ["react", 3, reaction]]);
	});

	const rerun = ["rerun", "experiment.yml", pull.head.sha];
	const approve = "/approve 12ab34cdef56";
	test.each<[string, string, Partial<Asking>, unknown[][], string]>([
		["of the plan that is shown", approve, {}, [rerun], "+1"],
		["by more digits of it than are shown", `${approve}78`, {}, [rerun], "+1"],
		[
			"while its workflow runs",
			approve,
			{ ends: false },
			[rerun, ["dispatchWorkflow", "experiment.yml", "night", { "pull-request": "7" }]],
			"+1",
		],
		["of a plan that nobody is shown", "/approve 12ab34cdef57", {}, [], "confused"],
		["of one that is shown and one that isn't", `${approve} 0123456789ab`, {}, [], "confused"],
		["of none", "/approve", {}, [], "confused"],
		["of a fork's", approve, { now: fork }, [], "confused"],
		["of one that is closed", approve, { now: { state: "closed" } }, [], "confused"],
		["of one's own", approve, { login: "Ann" }, [], "-1"],
		["by a bot", approve, { login: "some-app[bot]" }, [], "-1"],
	])("for an approval %s: %s", async (_, body, options, done, reaction) => {
		const { calls } = await asked(body, options);
		expect(calls.slice(1)).toEqual([...done, ["react", 3, reaction]]);
	});

	test.each(["triage", "read", "none"])("for nobody who may only %s", async (permission) => {
		const { answered, calls } = await asked("/stop", { permission });
		expect(answered).toBe("refused");
		expect(calls).toEqual([
			["permissionOf", "bob"],
			["react", 3, "-1"],
		]);
	});

	test("and nothing at all where a comment is no command", async () => {
		expect(await asked("thanks!")).toEqual({ answered: "none", calls: [] });
	});
});

test("is taken from a comment on a pull request alone", () => {
	const payload = {
		comment: { id: 3, body: "/stop", user: { login: "bob" } },
		issue: { number: 7, pull_request: {} },
		repository: { default_branch: "main" },
	};
	expect(readCommentEvent(payload)).toEqual({
		comment: { id: 3, body: "/stop", login: "bob" },
		pullRequest: 7,
		branch: "main",
	});
	for (const other of [null, {}, { ...payload, issue: { number: 7 } }, { ...payload, comment: { id: "3" } }])
		expect(() => readCommentEvent(other)).toThrow("The event isn't a comment on a pull request");
});
