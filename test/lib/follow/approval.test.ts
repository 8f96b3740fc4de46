// The approval of a spend
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { approvedOf, requireApproved, whoIsAsked } from "../../../actions/lib/follow/approval.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { GitHub } from "../../../actions/lib/github/objects.ts";
import { approvalOf, shortApproval } from "../../../actions/lib/plan/identity.ts";
import { makePlan } from "../../fixtures/plan.ts";
import { TRAINING } from "../../system/github/actions.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";

const repo = "/repos/ann/road";
const plan = makePlan();
const approval = approvalOf(plan);
const short = shortApproval(approval);
const other = `sha256:${"f".repeat(64)}`;

let server: GitHubServer;
let github: GitHub;
beforeEach(async () => {
	// Its pull request is ann's; bob may write, and fan may not.
	server = await startGitHub();
	const { repository, url: apiUrl } = server;
	github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 2 });
});
afterEach(() => server.close());

const pull = () => ({ github, place: { number: server.pullRequest } });
const says = (body: string, who: string) =>
	server.call<{ id: number }>("POST", `${repo}/issues/${server.pullRequest}/comments`, { body }, `${who}-token`);
const isApproved = async () => (await approvedOf([{ approval }], "comment", pull())).length === 1;

describe("is asked of", () => {
	test.each<[string, object[], boolean, string]>([
		["the environment's reviewers", [TRAINING], false, "reviewers"],
		["them whatever the configuration says", [TRAINING], true, "reviewers"],
		["people by a comment, where there is no environment", [], false, "comment"],
		["nobody, where the configuration says so", [], true, "nobody"],
		[
			"people, where the environment only waits",
			[{ ...TRAINING, protection_rules: [{ id: 1, type: "wait_timer" }] }],
			false,
			"comment",
		],
		["people, where another one has reviewers", [{ ...TRAINING, name: "production" }], false, "comment"],
	])("%s", async (_, environments, unapprovedSpending, asked) => {
		server.actions.environments.push(...(environments as typeof server.actions.environments));
		expect(await whoIsAsked(github, { unapprovedSpending })).toBe(asked);
	});
});

describe("is given", () => {
	test("by a comment of somebody with write access who isn't the author, for the plan that it names alone", async () => {
		expect(await isApproved()).toBe(false);
		await says(`/approve ${short}`, "bob");
		const runs = [{ approval: other }, { approval }];
		expect(await approvedOf(runs, "comment", pull())).toEqual([runs[1]]);
	});

	test("for several plans at once, by their whole digests too", async () => {
		await says(`/approve ${short} ${other.slice("sha256:".length)}`, "bob");
		expect(await approvedOf([{ approval: other }, { approval }], "comment", pull())).toHaveLength(2);
	});

	test.each([
		["its author", "ann"],
		["somebody who may only read", "fan"],
		["a bot", "app"],
		["the workflow's own token", "bot"],
	])("not by %s", async (_, who) => {
		await says(`/approve ${short}`, who);
		expect(await isApproved()).toBe(false);
	});

	test("not by a comment that was edited into one", async () => {
		const { id } = await says("looks good to me", "bob");
		await new Promise((resolve) => setTimeout(resolve, 1100));
		await server.call("PATCH", `${repo}/issues/comments/${id}`, { body: `/approve ${short}` });
		expect((await server.call<{ body: string }>("GET", `${repo}/issues/comments/${id}`)).body).toContain(short);
		expect(await isApproved()).toBe(false);
	});

	test("not by a comment that quotes one, nor by one that was taken back", async () => {
		await says(`> /approve ${short}`, "bob");
		await says(`Shall I write\n/approve ${short}`, "bob");
		const { id } = await says(`/approve ${short}`, "bob");
		expect(await isApproved()).toBe(true);
		await server.call("DELETE", `${repo}/issues/comments/${id}`);
		expect(await isApproved()).toBe(false);
	});

	test("not any more where its author may write no more", async () => {
		await says(`/approve ${short}`, "bob");
		await server.call("DELETE", `${repo}/collaborators/bob`);
		expect(await isApproved()).toBe(false);
	});

	test("by nobody where the environment has reviewers or the configuration asks nobody: GitHub isn't asked for comments", async () => {
		server.requests.splice(0);
		for (const asked of ["reviewers", "nobody"] as const)
			expect(await approvedOf([{ approval }], asked, pull())).toHaveLength(1);
		expect(server.requests).toEqual([]);
	});
});

describe("is required of a training", () => {
	const refusal = (unapprovedSpending = false) =>
		requireApproved(plan, pull(), { unapprovedSpending }).then(
			() => null,
			(error: unknown) => {
				if (!(error instanceof InvalidInput)) throw error;
				return error.message;
			},
		);

	test("that GitHub has asked nobody about", async () => {
		expect(await refusal()).toBe(
			`Nobody has approved plan ${short}…: the environment training has no required reviewers, and on #${server.pullRequest} nobody with write access, other than its author, has commented \`/approve ${short}\`. A comment that was edited doesn't count.`,
		);
		expect(await refusal(true)).toBeNull();
		await says(`/approve ${short}`, "bob");
		expect(await refusal()).toBeNull();
	});

	test("and given where its job waits for reviewers", async () => {
		server.actions.environments.push(TRAINING);
		expect(await refusal()).toBeNull();
	});

	test("of none without a pull request, such as on a laptop", async () => {
		await requireApproved(plan, null, { unapprovedSpending: false });
		expect(server.requests).toEqual([]);
	});
});
