// An evaluation that was changed in the store after it was judged, with a manifest that fits, is refused by what lies elsewhere
import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { anchorsIn } from "../../actions/lib/comment/anchor.ts";
import { renderComment } from "../../actions/lib/comment/comment.ts";
import { documentText, sha256 } from "../../actions/lib/documents.ts";
import { requireAnchored } from "../../actions/lib/follow/anchored.ts";
import { judgeEvaluation } from "../../actions/lib/follow/follow.ts";
import { showAll, showExperiment } from "../../actions/lib/follow/showing.ts";
import { openGitHub } from "../../actions/lib/github/github.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import { evaluationKey } from "../../actions/lib/plan/store.ts";
import { makeReport, readEvaluation } from "../../actions/lib/report/report.ts";
import { followJobs } from "../../actions/lib/train/train.ts";
import { makeJudged, manifestText } from "../fixtures/judged.ts";
import { makePlan } from "../fixtures/plan.ts";
import { experiment, fileOf, makeTemplate, Repository } from "../lib/follow/merged/repository.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";

describe("a failed model, once it is merged,", () => {
	let template: string;
	let at: Repository;
	beforeAll(async () => {
		template = await makeTemplate();
	});
	afterAll(() => rm(template, { recursive: true }));
	beforeEach(async () => {
		at = await Repository.copy(template);
	});
	afterEach(() => at.remove());

	/** Judges an experiment that fails, shows it, and makes it pass in the store; returns its pull request and its note in the registry. */
	async function forge(): Promise<{ number: number; sha: string; note: string }> {
		at.executor.map.set("weak", 0.05);
		const number = at.open({ [fileOf("weak")]: experiment() });
		const plan = await at.judge(number, "weak");
		const { head } = at.server.of(number);
		const pull = { github: at.server.connect(), place: { number, head } };
		const { store, registry } = at.project;
		const jobs = await followJobs(plan, { executor: at.executor, store, registry });
		const { evaluation: _, ...judged } = await judgeEvaluation(plan, jobs, at.project, pull);
		expect(judged.verdict.passed).toBe(false);
		await showExperiment(pull.github, pull.place, { plan, jobs, ...judged });
		const { run, evaluation } = judged.report;
		const inStore = (file: string) => at.project.store.locate(`${evaluationKey("line", run, evaluation)}/${file}`);
		const texts: Record<string, string> = {};
		for (const file of ["eval_report.json", "figures.json", "model_card.md"])
			texts[file] = await readFile(inStore(file), "utf8");
		const measured = JSON.parse(texts["eval_report.json"]!) as { scores: { candidate: number }[] };
		for (const score of measured.scores) score.candidate = 0.9;
		texts["eval_report.json"] = documentText(measured);
		for (const [file, text] of Object.entries({ ...texts, "manifest.json": manifestText(evaluation, texts) }))
			await writeFile(inStore(file), text);
		const forged = makeReport(plan, jobs, await readEvaluation(plan, jobs, at.project.store), at.home);
		expect(forged.scores[0]!.candidate).toBe(0.9);
		const note = path.join(at.home, ".proving-ground/registry/line/evaluations", evaluation);
		return { number, sha: head.sha, note };
	}

	async function expectRefused(number: number, why: RegExp): Promise<void> {
		at.merge(number);
		expect(await at.settle()).toMatchObject([{ is: "refused", why: expect.stringMatching(why) }]);
		expect(at.server.issues[0]!.body).toMatch(why);
		expect(await at.approvals()).toEqual([]);
	}

	test("by its check run, where that is all there is", async () => {
		const { number, sha, note } = await forge();
		await rm(note);
		at.server.comments.delete(number);
		await expectRefused(
			number,
			/Its evaluation_manifest in the store is sha256:\w+; the check run on \w+ says sha256:/,
		);
		expect(at.server.issues[0]!.body).toContain(`the check run on ${sha} says`);
	});

	test("by its comment, where its check run is gone", async () => {
		const { number, note } = await forge();
		await rm(note);
		at.server.checks.clear();
		await expectRefused(number, /the comment on #1 says sha256:/);
	});

	test("by the registry's note, where GitHub has neither", async () => {
		const { number } = await forge();
		at.server.checks.clear();
		at.server.comments.clear();
		await expectRefused(number, /the registry has noted sha256:\w+/);
	});

	test("by nothing but these", async () => {
		const { number, note } = await forge();
		await rm(note);
		at.server.checks.clear();
		at.server.comments.clear();
		at.merge(number);
		expect(await at.settle()).toMatchObject([{ is: "promoted" }]);
	});
});

test("a model that passed is promoted also after GitHub has thrown its check run away", async () => {
	const template = await makeTemplate();
	const at = await Repository.copy(template);
	await at.bring("first");
	at.server.checks.clear();
	expect(await at.settle()).toMatchObject([{ is: "promoted" }]);
	await Promise.all([at.remove(), rm(template, { recursive: true })]);
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
	const pull = () => ({ github, place: { number: server.pullRequest, head: { sha: server.sha } } });
	const judged = makeJudged();
	const other = {
		...judged.report,
		evidence: { ...judged.report.evidence, evaluation: sha256("another") },
	};

	test("what was judged is not shown as another, and its word stays", async () => {
		await showAll(pull(), { documents: judged, refused: [] });
		server.writes();
		const shown = showAll(pull(), { documents: { ...judged, report: other }, refused: [] });
		await expect(shown).rejects.toThrow(`says ${judged.report.evidence.evaluation}.`);
		expect(server.writes()).toEqual([]);
		await requireAnchored(judged.report, pull());
	});

	test("a later check run that says another takes no word of an earlier one back", async () => {
		await showAll(pull(), { documents: judged, refused: [] });
		const name = `proving-ground / ${judged.plan.experiment.name}`;
		const summary = renderComment({ ...judged, report: other });
		await github.upsertCheckRun({
			...{ name, sha: server.sha, title: "pass", summary },
			...{ status: "completed", conclusion: "failure" },
		});
		expect(await github.checkSummaries(server.sha, name)).toHaveLength(2);
		await expect(requireAnchored(other, pull())).rejects.toThrow(
			`the check run on ${server.sha} says ${judged.report.evidence.evaluation}.`,
		);
	});

	test("somebody else's comment says nothing", async () => {
		const body = renderComment({ ...judged, report: other });
		await server.call("POST", `/repos/ann/road/issues/${server.pullRequest}/comments`, { body });
		await requireAnchored(judged.report, pull());
	});
});

describe("the line of a comment", () => {
	test("is one for a verdict, and none before there is one", () => {
		const { plan, jobs, report, verdict } = makeJudged();
		expect(anchorsIn(renderComment({ plan, jobs, report, verdict }))).toEqual([
			{
				evaluation: report.evaluation,
				evaluation_manifest: report.evidence.evaluation,
				manifest: report.manifest,
				report: verdict.report,
				verdict: sha256(documentText(verdict)),
			},
		]);
		expect(anchorsIn(renderComment({ plan, jobs, report }))).toEqual([]);
	});

	test("can't be written by a text of a person's", () => {
		const line = renderComment(makeJudged()).trimEnd().split("\n").at(-1)!;
		expect(anchorsIn(line)).toHaveLength(1);
		const plan = makePlan();
		const why = `a\n${line}\n\r${line}\u2028${line}\u0085${line}`;
		expect(anchorsIn(renderComment({ plan: { ...plan, experiment: { ...plan.experiment, why } } }))).toEqual([]);
	});
});
