// A comment
import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import {
	checkRunOf,
	checkRunOfProblems,
	type Documents,
	renderComment,
	renderProblems,
} from "../../../actions/lib/comment/comment.ts";
import { labelsOf, lineLabel } from "../../../actions/lib/comment/labels.ts";
import { type DocumentName, parseDocument } from "../../../actions/lib/documents.ts";
import { makeEvaluation, makeScore, makeScores, spreadOf } from "../../fixtures/evaluation.ts";
import { makeJudged, makeNoisy, makePromotion, makeSeeds, makeWaived, withSeeds } from "../../fixtures/judged.ts";
import { makeDifference, makeJob, makeJobs, makePlan, makeRule } from "../../fixtures/plan.ts";
import { renderMarkdown } from "../../screenshot.ts";
import { cases } from "../../soak.ts";

const hasRenderer = (() => {
	try {
		execFileSync("cmark-gfm", ["--version"]);
		return true;
	} catch {
		return false;
	}
})();

/** A training that started from production and replayed old data, and whose own checks found something. */
function makeGuarded(): Documents {
	const { run } = makePlan();
	const weights = {
		location: "/registry/v1/model",
		from: "production (version 1)",
		manifest: `sha256:${"9".repeat(64)}`,
		transfer: {
			loaded: Array.from({ length: 112 }, (_, number) => `backbone.${number}`),
			renamed: [["encoder.0", "backbone.0"]] as [string, string][],
			left: [["heads.lanes.place.weight", "[4, 32, 1, 1] there, [4, 48, 1, 1] here"]] as [string, string][],
			fresh: ["heads.lanes.place.weight"],
		},
	};
	const judged = makeJudged(makeScores(), {
		weights,
		replay: { location: "/data/scenes", share: 0.2, frames: 900 },
		run: { ...run, replay: { share: 0.2, data: run.data } },
	});
	const { report } = judged;
	const sentences = ["brightness: mean 92 → 61, drift 0.43 (allowed 0.10)", "attribute timeofday: night 3 % → 33 %"];
	const training = {
		...report!.training,
		data_wait_percent: 34.2,
		energy_kwh: 0.0123,
		tracking_url: "https://wandb.ai/team/perception-hydranet/runs/more-night-0123456789abcdef",
		epochs: report!.training.epochs.map((epoch, number) => ({
			...epoch,
			weights: { detection: 1 + number / 10, segmentation: 1, lanes: 0.9 },
		})),
		checks: {
			...report!.training.checks,
			drift: { drifted: ["brightness"], share: 0.25, sentences, columns: [] },
			determinism: { steps: 2, difference: 0.0123, band: 0.001, agrees: false },
		},
	};
	return { ...judged, report: { ...report!, training } };
}

/** A first model, with nothing to compare it with. */
function makeUnproven(changes: Partial<Documents["plan"]> = {}): Documents {
	const alone = makeScores().map((score) => ({ ...score, production: null, delta: null, ...spreadOf("delta", null) }));
	return makeJudged(alone, { baseline: null, changes: [], ...changes });
}

describe("is one document that a reviewer can decide from", () => {
	const judged = makeJudged();
	const running = makeJob({
		state: "running",
		url: "https://console.example/jobs/more-night",
		cost_usd: 0.12,
		progress: {
			stage: "train",
			epoch: 1,
			epochs: 2,
			step: 30,
			steps: 74,
			loss: 1.2,
			metric: { map: 0.1 },
			seconds_left: 95,
		},
	});
	const peers = [
		{ pullRequest: 12, experiments: ["fewer-lanes"] },
		{ pullRequest: 15, experiments: ["rain", "fog", "snow", "hail"] },
	];
	const broken = makeJob({
		state: "failed",
		diagnosis: "The loss is not a finite number at step 12 (epoch 1), on the frames images/train-000017.jpg.",
	});
	const { policy } = makePlan();
	const rules = [makeRule({ bound: "min", value: 0.2, reason: "a first model must see something" }), ...policy.rules];
	const first = makeUnproven({ policy: { ...policy, rules } });
	test.each<[string, Documents]>([
		["planned", { plan: judged.plan }],
		["to_approve", { plan: judged.plan, peers, approval: "3fa2c1", asked: "reviewers" }],
		[
			"running",
			{
				plan: { ...judged.plan, estimate: { ...judged.plan.estimate, max_cost_usd: 1.5 } },
				jobs: makeJobs(judged.plan, running),
			},
		],
		["broken", { plan: judged.plan, jobs: makeJobs(judged.plan, broken) }],
		["measured", { plan: judged.plan, jobs: judged.jobs, report: judged.report }],
		["first", first],
		["unproven", makeUnproven()],
		["evaluating", { plan: judged.plan, jobs: makeJobs(judged.plan, makeJob({ state: "succeeded" })) }],
		["passed", judged],
		["promoted", { ...judged, promotion: makePromotion(judged) }],
		["failed", makeJudged(makeScores({ overall: 0.09, day: 0.01, night: 0.2 }))],
		["inconclusive", makeJudged(makeScores({ night: 0.05 }))],
		["noisy", makeNoisy()],
		["guarded", makeGuarded()],
		["waived", makeWaived()],
		["waived_in_vain", makeWaived({ overall: 0.2 })],
	])("when %s", async (state, documents) => {
		// What was judged changes with each document's form.
		const shown = renderComment(documents).replaceAll(/(?<==sha256:)[0-9a-f]{64}/g, "…");
		await expect(shown).toMatchFileSnapshot(`comments/${state}.md`);
	});

	test("with a later attempt named, and no word on a checkpoint that nobody knows of", () => {
		const text = renderComment({ plan: judged.plan, jobs: makeJobs(judged.plan, { ...running, attempt: 2 }) });
		expect(text).toContain(" Attempt 2. ");
		expect(text).not.toMatch(/resumed|checkpoint/);
	});

	test("with a job that was asked to stop, and why", () => {
		const asked = { ...running, diagnosis: "It was asked to stop." };
		const documents = { plan: judged.plan, jobs: makeJobs(judged.plan, asked) };
		const text = renderComment(documents);
		expect(text).toContain("### ⏳ `more-night` is stopping\n");
		expect(text).toContain("> `It was asked to stop.`");
		expect(checkRunOf(documents, "abc").title).toBe("Stopping: train");
	});

	test.each([
		["https://console.example/a b|c)", "[Watch the job](https://console.example/a%20b%7cc%29)."],
		["http://localhost:6006/", "[Watch the job](http://localhost:6006/)."],
		["javascript:alert(1)", null],
		["file:///etc/passwd", null],
		["https://github.com@evil.example/", null],
		["no address", null],
	])("with a link to a running job only where it is one: %s", (url, shown) => {
		const text = renderComment({ plan: judged.plan, jobs: makeJobs(judged.plan, { ...running, url }) });
		if (shown) expect(text).toContain(shown);
		else expect(text).not.toMatch(/Watch the job|evil|javascript|passwd|no address/);
	});

	test.each<[Documents["asked"], string]>([
		[
			"comment",
			"GitHub asks nobody before this spends, because the environment `training` has no required reviewers: it starts once somebody with write access, other than the author, comments `/approve 3fa2c1`. A push makes a new plan, which needs its own approval. To be asked otherwise, add required reviewers to the environment, or set `unapproved_spending: true` in `.github/proving-ground.yaml` on the base branch.",
		],
		[
			"nobody",
			"Plan `3fa2c1…` starts without an approval: the environment `training` has no required reviewers, and `.github/proving-ground.yaml` allows unapproved spending.",
		],
	])("with what starts it where GitHub asks no reviewers, but %s", (asked, sentence) => {
		const documents = { plan: judged.plan, approval: "3fa2c1", asked: asked! };
		expect(renderComment(documents)).toContain(`\n\n${sentence}\n\n`);
		const together = { runs: 3, seconds: 60, cost_usd: 1, max_seconds: 120, max_cost_usd: 2 };
		expect(renderComment({ ...documents, together })).toContain(
			" All 3 runs of this pull request together take about 60 s and $1.00, at most 2 min and $2.00.",
		);
	});

	test("with another pull request whose experiment of the same name keeps it waiting", () => {
		const same = { pullRequest: 12, experiments: ["more-night", "rain"] };
		const text = renderComment({ plan: judged.plan, peers: [same, { pullRequest: 15, experiments: ["rain"] }] });
		expect(text).toContain(
			" #12 may hold the place of `more-night`: experiments of one name are trained one after the other, and one that waits for its approval or its runner keeps the place until it ends.",
		);
		expect(renderComment({ plan: judged.plan, peers })).not.toContain("keeps the place");
	});

	test("with other pull requests of its line whose experiments are not known", () => {
		const text = renderComment({ plan: judged.plan, peers: [{ pullRequest: 7, experiments: [] }] });
		expect(text).toContain("Also training the line `perception-hydranet`: #7. When one");
	});

	test("in the order in which it is decided: verdict, changes, checks, slices, latency, the rest folded", () => {
		const text = renderComment(makeJudged(makeScores({ night: 0.2 })));
		const places = [
			" failed ",
			"**What changed**",
			"**Checks not passed**",
			"**Slices that moved**",
			"**Latency**",
			"<details>",
		].map((part) => text.indexOf(part));
		expect(places).toEqual(places.toSorted((a, b) => a - b));
		expect(Math.min(...places)).toBeGreaterThan(0);
	});

	test("with many counts of the data that differ folded away, and the counts nowhere twice", () => {
		const { data, changes } = makePlan();
		const difference = makeDifference();
		for (let n = 0; n < 12; n += 1) difference.slices[`slice-${n}`] = { frames: [n, n + 1] };
		const text = renderComment({ plan: makePlan({ data: { ...data, difference } }) });
		expect(text).toContain(
			"<summary>Data compared with `scenes`, on which production v1 was trained: 16 counts</summary>",
		);
		expect(changes.map(({ path }) => path)).toContain("data.splits.train.frames");
		expect(text.match(/\| 900 \| 1200 \|/g)).toHaveLength(1);
	});

	test("with only the content said to differ where no count does", () => {
		const { data } = makePlan();
		const { from, splits } = makeDifference();
		const same = { from, splits: { train: splits.val, val: splits.val, test: splits.test }, slices: {} };
		expect(renderComment({ plan: makePlan({ data: { ...data, difference: same } }) })).toContain(
			"**Data compared with `scenes`, on which production v1 was trained:** the counts are the same, the files differ.",
		);
	});

	test("that says in its first line that checks were waived, and nowhere that the model is no worse", () => {
		const documents = makeWaived();
		const text = renderComment({ ...documents, promotion: { ...makePromotion(documents) } });
		expect(text.split("\n")[1]).toBe(
			"### ✅ `more-night` passed with 1 waived check: mAP −0.200 on `day`; 3 of 4 checks against production v1 passed. Promoted as v2.",
		);
		expect(text).not.toContain("no worse than");
		expect(checkRunOf(documents, "abc")).toMatchObject({
			conclusion: "success",
			title: "pass with 1 waived check: 3 of 4 checks against production v1 passed, 1 failed, 0 inconclusive",
		});
	});

	test("that names what got worse within the limits, worst first, and not what was waived", () => {
		const fell = (documents: Documents) => renderComment(documents).match(/^.* got worse within the limits.*$/m)?.[0];
		const less = makeJudged(
			makeScores().map((score) =>
				score.metric === "map"
					? makeScore({ slice: score.slice, drop: score.slice ? 0.02 : 0.004, spread: 0.001 })
					: score,
			),
		);
		expect(less.verdict?.outcome).toBe("pass");
		expect(fell(less)).toMatchInlineSnapshot(
			`"4 scores got worse within the limits (95 % intervals exclude zero), worst first: mAP −0.020 on \`day\`, mAP −0.020 on \`night\`, latency p95 +0.10 ms overall and 1 more."`,
		);
		expect(fell(makeWaived())).not.toContain("`day`");
		expect(fell(makeJudged(makeScores({ overall: 0.01, night: 0.2 })))).toBeUndefined();
	});

	test("with the policy's line and reason beside every check", () => {
		const text = renderComment(makeJudged());
		const all = text.slice(text.indexOf("<summary>All 4 checks</summary>"));
		const rows = all.slice(0, all.indexOf("</details>")).split("\n").slice(4, 8);
		for (const row of rows) expect(row).toMatch(/\| line \d+ \| `[a-z ]+` \|$/);
		expect(rows[3]).toContain("| line 20 | `the planner waits for this model` |");
	});

	test("with the fold named where the checks lie that the table leaves out, and in which order they stand", () => {
		const { verdict, ...rest } = makeJudged(makeScores({ night: 0.2 }));
		const failed = verdict!.checks.find(({ outcome }) => outcome === "fail")!;
		const checks = Array.from({ length: 17 }, (_, n) => ({ ...failed, metric: `m${n}`, actual: -n, value: 1 }));
		const text = renderComment({ ...rest, verdict: { ...verdict!, checks } });
		expect(text).toContain(
			"**Checks not passed** (order: blocking, failed, then furthest beyond the limit, as a share of it)",
		);
		expect(text).toContain("…and 2 more rows (`m1` `night`, `m0` `night`), all in “All 17 checks” below.");
		expect(text).toContain("<summary>All 17 checks</summary>");
	});

	test("with latencies by their repeats, which are no frames", () => {
		const text = renderComment(makeJudged());
		expect(text.match(/^\| .*latency p95 .*\| 200 repeats \|/gm)).toHaveLength(2);
	});

	test("with the whole account of a check that can't be told", () => {
		const { verdict, ...rest } = makeJudged(makeScores({ night: 0.05 }));
		const why = `${"−0.050 can't be told from a drop of at most 0.050. ".repeat(6)}It may be chance.`;
		const checks = verdict!.checks.map((check) => ({ ...check, why }));
		expect(renderComment({ ...rest, verdict: { ...verdict!, checks } })).toContain(`: \`${why}\``);
	});

	test("with the worst slice first", () => {
		const text = renderComment(makeJudged(makeScores({ day: 0.3, night: 0.2 })));
		const moved = text.slice(text.indexOf("**Slices that moved**"));
		expect(moved.indexOf("`day`")).toBeLessThan(moved.indexOf("`night`"));
	});
});

describe("goes with a check run", () => {
	const judged = makeJudged();
	test.each([
		["queued", null, { plan: judged.plan }],
		["in_progress", null, { plan: judged.plan, jobs: makeJobs(judged.plan, makeJob({ state: "running" })) }],
		["completed", "failure", { plan: judged.plan, jobs: makeJobs(judged.plan, makeJob({ state: "failed" })) }],
		["completed", "cancelled", { plan: judged.plan, jobs: makeJobs(judged.plan, makeJob({ state: "stopped" })) }],
		["completed", "success", judged],
		["completed", "failure", makeJudged(makeScores({ night: 0.2 }))],
		["completed", "failure", makeJudged(makeScores({ night: 0.05 }))],
		["completed", "neutral", makeUnproven()],
	] as [string, string | null, Documents][])("%s %s", (status, conclusion, documents) => {
		expect(checkRunOf(documents, "abc")).toMatchObject({ status, conclusion, sha: "abc" });
	});

	test("with each rule that isn't met on its line of the policy, those that block first", () => {
		const { annotations } = checkRunOf(makeWaived({ overall: 0.2 }), "abc");
		expect(annotations).toMatchInlineSnapshot(`
			[
			  {
			    "level": "failure",
			    "line": 6,
			    "message": "−0.200 (−0.220 to −0.180) is outside the limit (a drop of at most 0.030), with 95 % confidence.",
			    "path": "recipes/gates/perception.yaml",
			    "title": "mAP overall: fail",
			  },
			  {
			    "level": "notice",
			    "line": 12,
			    "message": "−0.200 (−0.220 to −0.180) is outside the limit (a drop of at most 0.050), with 95 % confidence.",
			    "path": "recipes/gates/perception.yaml",
			    "title": "mAP on day: fail, waived",
			  },
			  {
			    "level": "warning",
			    "line": 15,
			    "message": "It ended on 2026-06-14.",
			    "path": "recipes/gates/waivers.yaml",
			    "title": "mAP overall: the waiver has no effect",
			  },
			]
		`);
		expect(checkRunOf(makeJudged(), "abc").annotations).toEqual([]);
	});

	test("that is a failure with every problem on the author's line, where a file can't be planned", async () => {
		const problems = [
			{
				file: "experiments/more-night.yaml",
				line: 3,
				column: 1,
				message: "unknown key modell; allowed: data, gates, machine, model, recipe, why. Did you mean model?",
			},
			{ file: "experiments/more-night.yaml", line: 9, column: 11, message: "train.epochs: found -1; it must be >= 1" },
		];
		await expect(renderProblems("more-night", problems)).toMatchFileSnapshot("comments/problems.md");
		const check = checkRunOfProblems("more-night", problems, "abc");
		expect(check).toMatchObject({ status: "completed", conclusion: "failure", title: "Can't be planned: 2 problems" });
		expect(check.annotations).toEqual([
			expect.objectContaining({
				path: "experiments/more-night.yaml",
				line: 3,
				level: "failure",
				message: problems[0]!.message,
			}),
			expect.objectContaining({ line: 9 }),
		]);
	});

	test("and, of a file with thousands of problems, with a comment that GitHub takes", () => {
		const message = "é".repeat(2_000);
		const problems = Array.from({ length: 5_000 }, (_, n) => ({ file: "x.yaml", line: n + 1, column: 1, message }));
		const text = renderProblems("more-night", problems);
		expect(Buffer.byteLength(text)).toBeLessThan(65_536);
		expect(text).toMatch(/…and \d+ more rows/);
	});

	test("and doesn't show a verdict that was given on an earlier evaluation", () => {
		const { verdict, ...rest } = makeJudged();
		expect(checkRunOf({ ...rest, verdict: { ...verdict, evaluation: "another-0000000000000000" } }, "abc").status).toBe(
			"in_progress",
		);
	});
});

describe("goes with labels", () => {
	const plan = makePlan();
	const at = (job: Parameters<typeof makeJob>[0]) => ({ plan, jobs: makeJobs(plan, makeJob(job)) });

	test.each<[string, Documents]>([
		["model:planned", { plan }],
		["model:running", at({ state: "running" })],
		["model:running", at({ state: "succeeded" })],
		["model:failed", at({ state: "failed" })],
		["model:passed", makeJudged()],
		["model:failed", makeJudged(makeScores({ night: 0.2 }))],
		["model:inconclusive", makeJudged(makeScores({ night: 0.05 }))],
	])("%s", (name, documents) => {
		const check = checkRunOf(documents, "abc");
		expect(labelsOf([check, check])).toEqual([
			{ name, color: expect.stringMatching(/^[0-9a-f]{6}$/), description: expect.stringMatching(/^.{1,100}$/) },
		]);
	});

	test("of the line that it trains, within GitHub's 50 characters and no two lines with the same", () => {
		expect(lineLabel("perception-hydranet").name).toBe("line:perception-hydranet");
		const names = ["x".repeat(60), "x".repeat(61), "a,b", "a_b"].map((model) => lineLabel(model).name);
		expect(new Set(names).size).toBe(4);
		for (const name of names) expect(name).toMatch(/^line:[\w.-]{1,45}$/);
	});
});

describe("stays under GitHub's limit", () => {
	test.each(cases([50, 1_000], [5_000]))(
		"with %d slices, rules and changes, cut at a row that says where the rest is",
		(count) => {
			const name = (n: number) => `slice-${n}-${"x".repeat(60)}`;
			const slices = Array.from({ length: count }, (_, n) => ({
				name: name(n),
				where: { key: "value" },
				category: null,
				protected: false,
				frames: 100,
				objects: 100,
			}));
			const scores = [
				makeScore(),
				...slices.map((slice, n) => makeScore({ slice: slice.name, drop: (n % 2 ? 0.2 : -0.2) + n / 1e6 })),
			];
			const base = makePlan();
			const changes = slices.map((slice) => ({ path: `train.${slice.name}`, production: 1, candidate: 2 }));
			const judged = makeJudged(scores, {
				data: { ...base.data, slices },
				changes,
				policy: {
					...base.policy,
					rules: base.policy.rules.flatMap((rule) => Array(20).fill(rule)),
				},
			});
			const text = renderComment(judged);
			expect(text.length).toBeLessThan(65_536);
			expect(Buffer.byteLength(text)).toBeLessThan(65_536);
			expect(text).toMatch(/ failed \d+ of \d+ checks: /);
			expect(text).toMatch(/…and \d+ more rows? \(.*\), all in report\.json/);
			// A row cut in its middle would end the table without its last cell.
			for (const row of text.split("\n").filter((line) => line.startsWith("|"))) expect(row.endsWith("|")).toBe(true);
			expect(text.match(/<details>/g)?.length).toBe(text.match(/<\/details>/g)?.length);
		},
	);

	test("with names as long as they can be", () => {
		const judged = makeJudged();
		judged.plan.experiment.why = "@everyone ".repeat(50_000);
		judged.plan.changes = [
			{ path: "x".repeat(100_000), production: "y".repeat(100_000), candidate: "|".repeat(100_000) },
		];
		expect(Buffer.byteLength(renderComment(judged))).toBeLessThan(65_536);
	});
});

/** Strings that do something in one Markdown, HTML or GitHub context or another. */
const hostile = [
	"@octocat",
	"@org/team",
	"user@example.com",
	"#1",
	"GH-1",
	"owner/repo#1",
	"a5c3785ed8d6a35868bc169f07e40e889087fd2e",
	"https://evil.example",
	"www.evil.example",
	"<https://evil.example>",
	"[click](https://evil.example)",
	"![x](https://evil.example/x.png)",
	"[ref]: https://evil.example",
	"[^1]",
	"<img src=x onerror=alert(1)>",
	"<a href=javascript:alert(1)>x</a>",
	"</code>@octocat<code>",
	"</details></details>",
	"<!--",
	"-->",
	"<!-- proving-ground: other -->",
	"<script>alert(1)</script>",
	"<style>*{display:none}</style>",
	"| a | b |",
	"a|b",
	"\\|",
	"a\nb",
	"a\r\n\r\n# heading",
	"- item",
	"1. item",
	"> quote",
	"```",
	"~~~",
	"`",
	"``",
	"*bold*",
	"**bold**",
	"_em_",
	"__em__",
	"~~gone~~",
	"$x^2$",
	":rocket:",
	"&lt;b&gt;",
	"&#64;octocat",
	"&commat;octocat",
	"\\",
	"\\@octocat",
	"---",
	"===",
	"\t",
	"  ",
	"",
	"\u202Eevil\u202C",
	"\u200B",
	"\uFEFF",
	"\u0000",
	"\u001B[31mred",
	"\uD800",
	"é",
	"日本語",
	"👩‍🚀",
	"<details open>",
	"<summary>",
	"{{ secrets.TOKEN }}",
	"$" + "{{ github.token }}",
	"::error::x",
	"%0A::error::x",
	"x".repeat(100_000),
	"- [ ] task",
	"<input type=checkbox>",
	"<table><tr><td>",
	"<svg onload=alert(1)>",
	"javascript:alert(1)",
	"data:text/html,<b>",
	"ftp://evil.example",
	"mailto:a@b.example",
	"&",
	"&amp;amp;",
	"'\"",
	"%s%n",
	"../../etc/passwd",
	"'; rm -rf / #",
];

/** A value once for each string in it, with the text added to that one. */
function* withText(value: unknown, text: string, place = ""): Generator<[place: string, changed: unknown]> {
	if (typeof value === "string") yield [place, value + text];
	if (value === null || typeof value !== "object") return;
	for (const [key, item] of Object.entries(value)) {
		for (const [inner, changed] of withText(item, text, `${place}/${key}`)) {
			yield [inner, Array.isArray(value) ? value.with(Number(key), changed) : { ...value, [key]: changed }];
		}
	}
}

/** Whether a comment notifies, links, shows an image or a heading of somebody else. */
function harms(markdown: string): boolean {
	const html = renderMarkdown(markdown);
	const outside = html.replaceAll(/<code>[^<]*<\/code>/g, "").replaceAll(/<!--[\s\S]*?-->/g, "");
	return /<(a|img|h1)\b/.test(html) || /@|https?:/.test(outside);
}

/** The kinds and nesting of tags of a rendered comment, without what they hold. */
function tree(markdown: string): string[] {
	return [...renderMarkdown(markdown).matchAll(/<(\/?[a-z0-9]+)/gi)].map((match) => match[1]!);
}

describe.skipIf(!hasRenderer)("takes untrusted text as text (skipped where cmark-gfm is not installed)", () => {
	/** Documents in which every text that a person or a file can choose is the given one. */
	function documentsWith(text: string): Documents {
		const slices = makePlan().data.slices.map((slice, n) => ({ ...slice, name: `${text}${n}`, category: null }));
		const base = makePlan();
		const scores = [
			makeScore(),
			makeScore({ metric: "latency_p95_ms" }),
			...slices.map((slice, n) => makeScore({ slice: slice.name, drop: n === 0 ? 0.2 : -0.2 })),
		];
		const policy = {
			name: text,
			file: text,
			drift: "warn" as const,
			rules: base.policy.rules.map((rule) => ({ ...rule, reason: text })),
		};
		const splits = {
			...base.data.splits,
			train: { frames: 1, objects: { [`k${text}`]: 1 }, attributes: { [`k${text}`]: { [`v${text}`]: 1 } } },
		};
		const plan = makePlan({
			experiment: { ...base.experiment, why: text, file: text },
			changes: [{ path: `a${text}`, production: text, candidate: [text] }],
			policy,
			data: {
				...base.data,
				slices,
				splits,
				source: { repository: text, path: text, revision: text, commit: text, md5: text },
				difference: {
					from: { name: text, version: text, dvc: text },
					splits: { ...makeDifference().splits, train: { frames: [1, 2], objects: { [`k${text}`]: [0, 1] } } },
					slices: { [`s${text}`]: { frames: [null, 1] } },
				},
			},
			run: {
				...base.run,
				data: { ...base.run.data, name: text.toWellFormed(), dvc: `p${text.toWellFormed()}` },
				image: `i${text}`,
			},
		});
		const seeds = makeSeeds(text);
		const wide = seeds.candidate.scores.map((score) => ({ ...score, deviation: 1 }));
		const judged = withSeeds(makeJudged(scores, plan), {
			...seeds,
			candidate: { ...seeds.candidate, next: 3, scores: wide },
		});
		const evaluation = makeEvaluation(plan, scores);
		const { exports, training, latency } = evaluation;
		const report = {
			...judged.report,
			latency: { ...latency, device: text },
			training: {
				...training,
				device: text,
				epochs: training.epochs.map((epoch) => ({ ...epoch, validation: { [text]: 1 } })),
			},
			exports,
			files: [{ name: text, location: text }],
		};
		return { ...judged, plan, report };
	}
	const shape = tree(renderComment(documentsWith("plain")));

	test.each(hostile.map((text) => [JSON.stringify(text).slice(0, 40), text]))("%s in every text", (_, text) => {
		const markdown = renderComment(documentsWith(text));
		expect(tree(markdown)).toEqual(shape);
		const html = renderMarkdown(markdown);
		expect(html).not.toMatch(/<(a|img|script|style|input|svg)\b/i);
		// What stands outside code, where GitHub would notify and link.
		const outside = html.replaceAll(/<code>[^<]*<\/code>/g, "").replaceAll(/<!--[\s\S]*?-->/g, "");
		expect(outside).not.toContain("@");
		expect(outside).not.toMatch(/https?:|www\./);
		expect(markdown.startsWith("<!-- proving-ground: more-night -->\n")).toBe(true);
	});

	test("in every string of every document that its schema lets through, one at a time", async () => {
		const text = "x@octocat https://evil.example [a](http://b) <img src=x> --> </code> | `\n\n# h </details>";
		const judged = makeJudged(makeScores({ night: 0.2 }));
		const progress = { epoch: 1, epochs: 2, step: 1, steps: 2, loss: null, metric: null, seconds_left: null };
		const running = makeJob({ state: "running", url: "u", progress: { stage: "train", ...progress } });
		const failed = makeJob({ state: "failed", diagnosis: "because" });
		const states: Documents[] = [
			{ ...judged, promotion: makePromotion(judged) },
			makeWaived({ overall: 0.2 }),
			{ plan: judged.plan, jobs: makeJobs(judged.plan, running) },
			{ plan: judged.plan, jobs: makeJobs(judged.plan, failed) },
		];
		const harmful: string[] = [];
		let tried = 0;
		for (const documents of states) {
			for (const name of Object.keys(documents) as (DocumentName & keyof Documents)[]) {
				for (const [place, changed] of withText(documents[name], text)) {
					const taken = await parseDocument(name, JSON.stringify(changed), name).catch(() => null);
					if (taken === null) continue;
					tried += 1;
					if (harms(renderComment({ ...documents, [name]: taken }))) harmful.push(`${name}.${place}`);
				}
			}
		}
		expect(harmful).toEqual([]);
		expect(tried).toBeGreaterThan(200);
	});

	test("in a waiver's reason and who granted it", () => {
		const shape = tree(renderComment(makeWaived({ overall: 0.2, reason: "plain", who: "plain" })));
		for (const text of hostile) {
			const markdown = renderComment(makeWaived({ overall: 0.2, reason: text, who: text }));
			expect(tree(markdown)).toEqual(shape);
			expect(harms(markdown)).toBe(false);
		}
	});

	test("in a job's diagnosis and stage", () => {
		const plan = makePlan();
		const broken = (diagnosis: string) =>
			renderComment({ plan, jobs: makeJobs(plan, makeJob({ state: "failed", diagnosis })) });
		const stage = (text: string) =>
			renderComment({
				plan,
				jobs: makeJobs(
					plan,
					makeJob({
						state: "running",
						progress: {
							stage: text,
							epoch: 1,
							epochs: 2,
							step: 1,
							steps: 2,
							loss: null,
							metric: null,
							seconds_left: null,
						},
					}),
				),
			});
		for (const text of hostile) {
			expect(tree(broken(text))).toEqual(tree(broken("plain")));
			expect(tree(stage(text))).toEqual(tree(stage("plain")));
		}
	});
});
