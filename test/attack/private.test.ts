// What concerns nobody is in no comment, check run, issue, pull request or summary, whatever text it comes in
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { renderComment, renderProblems } from "../../actions/lib/comment/comment.ts";
import { openGitHub } from "../../actions/lib/github/github.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import { renderPage } from "../../actions/lib/page/page.ts";
import { withoutPrivate } from "../../actions/lib/text/private.ts";
import { makeJudged } from "../fixtures/judged.ts";
import { makeJob, makeJobs } from "../fixtures/plan.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";

const PRIVATE: [string, string, string][] = [
	["an author's address", "by Ann <ann.lee+git@corp.example.com>", "by Ann <(e-mail address)>"],
	["an address alone", "ann@example.org", "(e-mail address)"],
	["a token", `GITHUB_TOKEN=ghs_${"a1B2".repeat(9)} used`, "GITHUB_TOKEN=(key) used"],
	["a token of one's own", `github_pat_${"a1B2_".repeat(9)}`, "(key)"],
	["an AWS key", "key AKIAIOSFODNN7EXAMPLE.", "key (key)."],
	["a header", `authorization: Bearer ${"abc123".repeat(6)}`, "authorization: Bearer (key)"],
	["a password in an address", "https://x-access-token:secret@github.com/a/b.git", "https://github.com/a/b.git"],
	["a runner's workspace", "/home/runner/work/road/road/experiments/a.yaml:3", "…/experiments/a.yaml:3"],
	["a store elsewhere", "in `/srv/store/models/line/run-1/model`", "in `…/run-1/model`"],
	["a temporary folder", "ENOENT: open '/tmp/x-12/y/z.json'", "ENOENT: open '…/y/z.json'"],
	["a folder", "(/var/lib/proving-ground/)", "(…/lib/proving-ground)"],
];

const PUBLIC = [
	"ann@users.noreply.github.com",
	"12+ann@users.noreply.github.com",
	"git@github.com:ann/road.git",
	"[Watch the job](https://github.com/ann/road/actions/runs/1/job/2)",
	"s3://bucket/models/line",
	"experiments/night.yaml and recipes/gates/x.yaml",
	"</details>\n\n<sub>Took 50 s.</sub>",
	"/stop or /explain map; 3/4 of 1/2",
	"actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8 # v5.0.0, tool@v1.2.3",
	`sha256:${"0123456789abcdef".repeat(4)}`,
	"a basic understanding of tokens",
	"mAP −0.200 on `night`, at most 5 ms",
];

describe("a text", () => {
	test.each(PRIVATE)("loses %s", (_, text, shown) => {
		expect(withoutPrivate(text)).toBe(shown);
		expect(withoutPrivate(shown)).toBe(shown);
	});

	test.each(PUBLIC)("keeps %s", (text) => {
		expect(withoutPrivate(text)).toBe(text);
	});

	test("is read in no time, however it is made", () => {
		const long = [
			"a".repeat(200_000),
			"a.".repeat(100_000),
			"/a".repeat(100_000),
			"a@".repeat(100_000),
			"a://".repeat(50_000),
		];
		const began = performance.now();
		for (const text of long) withoutPrivate(text);
		expect(performance.now() - began).toBeLessThan(30_000);
	});
});

const SECRETS = PRIVATE.map(([, text]) => text);
/** Pieces of them that would give one away. */
const TOLD =
	/corp\.example|ann@example|ghs_|github_pat_|AKIA|abc123|:secret@|\/home\/runner|\/srv|\/tmp\/x|\/var\/lib|bot-token/;

describe("what people read of an experiment", () => {
	test("has no half of an address where a text is cut", () => {
		const { plan } = makeJudged();
		for (let before = 130; before < 165; before += 1) {
			const diagnosis = `${"x".repeat(before)} ann.lee@corp.example.com`;
			const text = renderComment({ plan, jobs: makeJobs(plan, makeJob({ state: "failed", diagnosis })) });
			expect(text).not.toMatch(/ann\.l|lee@/);
		}
	});

	test.each(SECRETS)("says nothing of %s in a diagnosis, a place or a problem", (secret) => {
		const { plan, report, verdict, ...judged } = makeJudged();
		const failed = makeJobs(plan, makeJob({ state: "failed", diagnosis: secret }));
		const away = { ...report, files: [{ name: "model", location: secret }] };
		const shown = [
			renderComment({ plan, jobs: failed }),
			renderComment({ ...judged, plan, report: away, verdict }),
			renderProblems("a", [{ file: "experiments/a.yaml", line: 1, column: 1, message: secret }]),
			renderPage(away, verdict),
		];
		for (const text of shown) expect(TOLD.exec(text)?.[0]).toBeUndefined();
	});
});

describe("on GitHub", () => {
	let server: GitHubServer;
	let github: GitHub;
	beforeEach(async () => {
		server = await startGitHub();
		const { repository, url: apiUrl } = server;
		github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 0 });
	});
	afterEach(() => server.close());

	test("nothing of it is sent, whoever writes it: in a comment, a check run, an issue or a pull request", async () => {
		const text = [...SECRETS, "the token bot-token"].join("\n");
		await github.upsertComment(server.pullRequest, "<!-- a -->", `<!-- a -->\n${text}`);
		await github.upsertCheckRun({
			...{ name: "a", sha: server.sha, status: "completed", conclusion: "failure", title: text, summary: text },
			annotations: [{ path: "a.yaml", line: 1, level: "failure", title: text, message: text }],
		});
		await github.openIssue({ marker: "<!-- b -->", title: text, body: text, labels: [] });
		await github.closeIssue("<!-- b -->", text);
		const files = [{ path: "a.txt", content: "a" }];
		await github.commitFiles({ branch: "b", base: "main", message: "a", files });
		await github.openPullRequest({ branch: "b", base: "main", title: text, body: text, labels: [] });
		const sent = server.writes().map(({ body }) => JSON.stringify(body ?? ""));
		expect(sent.length).toBeGreaterThanOrEqual(5);
		for (const body of sent) expect(TOLD.exec(body)?.[0]).toBeUndefined();
		expect(sent.join()).toContain("(e-mail address)");
	});

	test("what was written so is found unchanged", async () => {
		const write = () => github.upsertComment(server.pullRequest, "<!-- a -->", `<!-- a -->\n${SECRETS.join("\n")}`);
		expect(await write()).toBe("created");
		expect(await write()).toBe("unchanged");
	});
});
