// A pull request that changes the exam becomes a failed check, shown first, that only an owner of the policies can let by
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { renderComment } from "../../actions/lib/comment/comment.ts";
import { protectSlices } from "../../actions/lib/data/test_split.ts";
import { readProtection } from "../../actions/lib/experiment/protection.ts";
import { folderTree } from "../../actions/lib/experiment/tree.ts";
import { judge } from "../../actions/lib/gate/gate.ts";
import type { Entry, Plan, PlanTestChange, PlanWaiver } from "../../actions/lib/generated/documents.d.ts";
import { makeReport } from "../../actions/lib/report/report.ts";
import { makeEvaluation, makeScores } from "../fixtures/evaluation.ts";
import { makeJudged, makeMeasured } from "../fixtures/judged.ts";
import { digest, makeJobs, makePlan, makeWaiver, waivedBy } from "../fixtures/plan.ts";
import { experiment, fileOf, gates, makeTemplate, Repository } from "../lib/follow/merged/repository.ts";

interface Frame {
	name: string;
	time?: string;
	box?: number[];
	mask?: string;
}
const night = "{ name: night, where: { timeofday: night }, protected: true }";
const day = "{ name: day, where: { timeofday: day } }";
const frames: Frame[] = ["a", "b", "c", "d"].map((name, at) => ({ name, time: at < 2 ? "day" : "night" }));

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

/** Writes a dataset whose test split has these frames and slices. */
async function writeData(name: string, test: readonly Frame[], slices = `slices: [${night}, ${day}]`): Promise<void> {
	const folder = path.join(at.home, ".proving-ground/data", name);
	await mkdir(folder, { recursive: true });
	const lines = test.map(({ name: frame, time = "day", box = [1, 2, 30, 40] }) =>
		JSON.stringify({
			"source-ref": `${frame}.jpg`,
			"segmentation-ref": `${frame}.png`,
			width: 96,
			height: 64,
			attributes: { timeofday: time },
			detection: [{ category: "vehicle", box }],
			lanes: [],
		}),
	);
	for (const split of ["train", "val"]) {
		const line = JSON.stringify({ ...JSON.parse(lines[0]!), "source-ref": `${split}.jpg` });
		await writeFile(path.join(folder, `golden_${split}.manifest`), `${line}\n`);
		await writeFile(path.join(folder, `${split}.jpg`), split);
	}
	await writeFile(path.join(folder, "golden_test.manifest"), `${lines.join("\n")}\n`);
	for (const { name: frame, mask = "mask" } of test) {
		await writeFile(path.join(folder, `${frame}.jpg`), frame);
		await writeFile(path.join(folder, `${frame}.png`), mask);
	}
	await writeFile(path.join(folder, "slices.yaml"), `${slices}\n`);
}

/** An experiment on a dataset of its own, judged and merged. */
async function bring(name: string, seed: number, data = name): Promise<Plan> {
	at.executor.map.set(name, 0.3);
	const recipe = at.git(["show", "HEAD:recipes/data/mini.yaml"]).replace("data/mini", `data/${data}`);
	const text = experiment({ seed }).replace("data: mini", `data: ${data}`);
	const number = at.open({ [fileOf(name)]: text, [`recipes/data/${data}.yaml`]: recipe });
	const plan = await at.judge(number, name);
	at.merge(number);
	return plan;
}

/** Production, judged on the frames. */
async function bringFirst(): Promise<Plan> {
	await writeData("first", frames);
	const plan = await bring("first", 0);
	expect(await at.settle()).toMatchObject([{ is: "promoted", version: 1 }]);
	return plan;
}

const second = async () => (await at.settle()).find(({ file }) => file === fileOf("second"));
const changeOf = ({ data }: Plan) => data.test.change;

describe("is seen", () => {
	type Case = [what: string, frames: Frame[], slices: string | undefined, change: object, words: string];
	const relabelled = frames.map((frame) => (frame.name === "b" ? { ...frame, box: [1, 2, 31, 40] } : frame));
	const moved = frames.map((frame) => (frame.name === "c" ? { ...frame, time: "day" } : frame));
	const masked = frames.map((frame) => (frame.name === "c" ? { ...frame, mask: "another" } : frame));
	const gone = [{ name: "night", category: null, is: "gone" }];
	const changed = [{ name: "night", category: null, is: "changed" }];
	const elsewhere = "{ name: night, where: { timeofday: [night, day] } }";
	test.each<Case>([
		["frames that were removed", frames.slice(1), undefined, { removed: 1 }, "1 frame removed"],
		["a frame with other boxes", relabelled, undefined, { relabelled: 1 }, "1 frame relabelled"],
		["a frame that leaves its slice", moved, undefined, { relabelled: 1 }, "1 frame relabelled"],
		["a mask of the same name", masked, undefined, { relabelled: 1 }, "1 frame relabelled"],
		[
			"other frames",
			[{ name: "e" }, { name: "f", time: "night" }],
			undefined,
			{ removed: 4, added: [[0, 2]] },
			"4 frames removed",
		],
		["a slice that is gone", frames, `slices: [${day}]`, { slices: gone }, "without the slices night"],
		["one renamed", frames, `slices: [${night.replace("night", "nacht")}, ${day}]`, { slices: gone }, "slices night"],
		["one that is wider", frames, `slices: [${elsewhere}, ${day}]`, { slices: changed }, "in the slices night"],
	])("by %s", async (_, test, slices, change, words) => {
		await bringFirst();
		await writeData("second", test, slices);
		const plan = await bring("second", 1);
		const unchanged = { version: 1, known: true, removed: 0, relabelled: 0, added: [], slices: [] };
		expect(changeOf(plan)).toEqual({ ...unchanged, ...change });
		expect(await second()).toMatchObject({ is: "refused", why: expect.stringContaining("test split changes") });
		const comment = [...at.server.comments.values()].at(-1)!;
		const [, title, , why, , first] = comment.split("\n");
		expect([title, why]).toEqual([expect.stringContaining("❌ `second` failed"), "`a test`"]);
		expect(first).toContain("⚠️ **Another test split than production's.**");
		expect(first!.replaceAll("`", "")).toContain(words);
		expect(at.executor.started.map(({ document }) => document)).not.toContainEqual(
			expect.objectContaining({ added: expect.anything() }),
		);
	});

	test("and by nothing where only the order, the place or the training data are others", async () => {
		await bringFirst();
		await writeData("second", frames.toReversed());
		expect(changeOf(await bring("second", 1))).toBeNull();
		expect(await second()).toMatchObject({ is: "promoted", version: 2 });
	});

	test("as one that nobody knows where production's frames are gone from the store, or were edited", async () => {
		const { data } = await bringFirst();
		const key = `splits/${data.test.digest.slice("sha256:".length)}.json`;
		const file = at.project.store.locate(key);
		const listing = JSON.parse(await readFile(file, "utf8")) as unknown[];
		await rm(file);
		await writeFile(file, JSON.stringify(listing.slice(1)));
		await writeData("second", frames.slice(1));
		expect(changeOf(await bring("second", 1))).toMatchObject({ known: false, removed: 0 });
		expect(await second()).toMatchObject({ is: "refused", why: expect.stringContaining("test split changes") });
	});
});

describe("is let by", () => {
	const waivers = "recipes/gates/waivers.yaml";
	const approve = (split: string, who = "mia") =>
		at.merge(
			at.open({
				[waivers]: `waivers:\n  - { check: { metric: test_split, split: "${split}" }, model: line, experiment: second, reason: they were wrong, who: ${who}, until: 9999-12-31 }\n`,
			}),
		);

	test("where an owner has approved exactly it, and not another one", async () => {
		await bringFirst();
		await writeData("second", frames.slice(1), `slices: [${day}]`);
		const { data } = await bring("second", 1);
		approve(digest("f"));
		expect(await second()).toMatchObject({ is: "refused" });
		approve(data.test.split, "bob");
		expect(await second()).toMatchObject({ is: "refused" });
		approve(data.test.split);
		expect(await second()).toMatchObject({ is: "promoted", version: 2 });
		// From now on it is production's.
		const { entry } = (await at.project.registry.current("line"))!;
		expect(entry.data.test).toEqual({ digest: data.test.digest, split: data.test.split });
		expect(entry.waived).toMatchObject([{ metric: "test_split", who: "mia" }]);
		await writeData("third", frames.slice(1), `slices: [${day}]`);
		expect(changeOf(await bring("third", 2))).toBeNull();
	});
});

describe("with frames added", () => {
	test("leaves those apart, and counts them from the next pull request on", async () => {
		await bringFirst();
		const more = [{ name: "e" }, ...frames, { name: "f" }, { name: "g", time: "night" }];
		await writeData("second", more);
		const plan = await bring("second", 1);
		expect(changeOf(plan)).toMatchObject({
			removed: 0,
			relabelled: 0,
			added: [
				[0, 1],
				[5, 7],
			],
		});
		const { document } = at.executor.started.findLast(({ document }) => document.kind === "evaluate")!;
		expect(document).toMatchObject({
			added: [
				[0, 1],
				[5, 7],
			],
		});
		expect(await second()).toMatchObject({ is: "promoted", version: 2 });
		await writeData("third", more);
		expect(changeOf(await bring("third", 2))).toBeNull();
		await writeData("fourth", frames);
		await at.settle();
		expect(changeOf(await bring("fourth", 3))).toMatchObject({ version: 3, removed: 3 });
	});

	test("shows their scores, and the verdict without them", () => {
		const change = {
			version: 1,
			known: true,
			removed: 0,
			relabelled: 0,
			added: [[360, 400]] as [number, number][],
			slices: [],
		};
		const { data } = makePlan();
		const judged = makeJudged(makeScores(), { data: { ...data, test: { ...data.test, change } } });
		const scores = makeEvaluation(judged.plan, makeScores({ overall: 0.2 })).scores.filter(
			({ slice }) => slice === null,
		);
		const report = { ...judged.report, added: { ranges: [[360, 400]] as [[number, number]], frames: 40, scores } };
		const comment = renderComment({ ...judged, report, verdict: judge(report) });
		expect(comment).toContain("✅ `more-night` passed");
		expect(comment).toContain(
			"**40 test frames were added** to those that production v1 was judged on. The others decide; these count once a model that was measured on them is production.",
		);
		expect(comment).toContain("| on the added frames");
		expect(comment).toMatch(/\| mAP +\| +0\.\d+ \| +0\.\d+ \| +−0\.200 \|/);
	});
});

test("is seen by a runner that can't see which frames differ, and told as no more than that", () => {
	const { data } = makePlan();
	const change = { version: 1, known: false, removed: 0, relabelled: 0, added: [], slices: [] };
	const judged = makeJudged(makeScores(), { data: { ...data, test: { ...data.test, change } } });
	const planned = renderComment({ plan: judged.plan });
	expect(planned).toContain("The test frames are not those that production v1 was judged on.");
	expect(planned).not.toContain("must approve it");
	expect(judged.verdict).toMatchObject({ passed: false });
	expect(renderComment(judged)).toContain("its frames aren't known here");
});

describe("of slices", () => {
	const { data } = makePlan();
	const lost = (...slices: PlanTestChange["slices"]) => {
		const change = { version: 1, known: true, removed: 0, relabelled: 0, added: [], slices };
		return { data: { ...data, test: { ...data.test, change } } };
	};
	const gone = [
		{ name: "fog", category: null, is: "gone" as const },
		{ name: "fog-rider", category: "rider", is: "gone" as const },
		{ name: "rain", category: null, is: "changed" as const },
	];

	test("fails each rule on a slice that production has and the candidate's data lack, as not measured", () => {
		const { verdict } = makeJudged(makeScores(), lost(...gone));
		const failed = verdict.checks.filter(({ outcome }) => outcome === "fail");
		expect(failed.map(({ metric, slice, why }) => ({ metric, slice, why }))).toEqual([
			{
				metric: "test_split",
				slice: null,
				why: "Production v1 was judged on another test split (without the slices fog, fog-rider, with other frames in the slices rain): an owner of the policies must approve this one.",
			},
			{ metric: "map", slice: "fog", why: "mAP was not measured on fog, so the check fails." },
		]);
		expect(verdict.passed).toBe(false);
	});

	test("lets those checks by for the exam's own approval alone, which no waiver of a score is", () => {
		const judged = (...entries: PlanWaiver[]) => {
			const { experiment: words } = makePlan();
			const authors = { experiment: { ...words, authors: ["bob"] } };
			const now = new Date("2026-06-01T00:00:00Z");
			return makeJudged(makeScores(), { ...lost(...gone), ...authors, policy: waivedBy(...entries) }, now).verdict;
		};
		const exam = makeWaiver({ metric: "test_split", split: data.test.split });
		expect(judged(exam)).toMatchObject({ passed: true, counts: { waived: 2 } });
		const others = [
			[makeWaiver({ slice: "fog" })],
			[makeWaiver({ metric: "test_split" })],
			[{ ...exam, split: digest("0") }],
			[{ ...exam, who: "Bob" }],
			[{ ...exam, until: "2026-05-31" }],
			[{ ...exam, model: "other" }],
		];
		for (const entries of others) expect(judged(...entries)).toMatchObject({ passed: false, counts: { waived: 0 } });
	});

	const slice = (name: string, isProtected: boolean) => {
		return { name, where: {}, category: null, protected: isProtected, frames: 9, objects: 9 };
	};
	const entryOf = (name: string, isProtected: boolean) =>
		({ data: { name, slices: { night: { frames: 9, objects: 9, protected: isProtected } } } }) as unknown as Entry;

	test("keeps the protection that the base or production gives them, whatever the head's data say", () => {
		const own = [slice("night", false), slice("new", true)];
		const kept = (base: [string, boolean][], production: Entry | null) =>
			protectSlices(own, new Map(base), production, "scenes").map((one) => one.protected);
		expect(kept([["night", true]], null)).toEqual([true, true]);
		expect(kept([], entryOf("scenes", true))).toEqual([true, true]);
		// The base has taken it away from production's recipe; another recipe can't.
		expect(kept([["night", false]], entryOf("scenes", true))).toEqual([false, true]);
		expect(kept([["night", false]], entryOf("others", true))).toEqual([true, true]);
		expect(kept([], entryOf("scenes", false))).toEqual([false, true]);
	});

	test("reads it from the base's recipe, or from the slices beside the base's data", async () => {
		const base = folderTree(at.home);
		const state = at.project.state.folder;
		const recipe = at.git(["show", "HEAD:recipes/data/mini.yaml"]);
		const made = `${recipe}importer: { name: scenes, seed: 1, width: 96, height: 64, splits: { train: [{ frames: 2 }], val: [{ frames: 2 }], test: [{ frames: 2 }] }, slices: [${night}, ${day}] }\n`;
		await writeFile(path.join(at.home, "recipes/data/made.yaml"), made);
		const both = new Map([
			["night", true],
			["day", false],
		]);
		expect(await readProtection(base, "made", state)).toEqual(both);
		await writeData("mini", frames);
		expect(await readProtection(base, "mini", state)).toEqual(both);
		expect(await readProtection(base, "none", state)).toEqual(new Map());
	});

	test("gives a plan the protection that its own data has lost, and the report's checks with it", async () => {
		await bringFirst();
		await writeData("second", frames, `slices: [${night.replace(", protected: true", "")}, ${day}]`);
		const { data: planned } = await bring("second", 1);
		expect(planned.slices.map(({ name, protected: isProtected }) => [name, isProtected])).toEqual([
			["night", true],
			["day", false],
		]);
		const bare = makePlan({ data: { ...data, slices: data.slices.map((one) => ({ ...one, protected: false })) } });
		const measured = makeMeasured(makeEvaluation(bare, makeScores()));
		expect(measured.report.slices.some((one) => one.protected)).toBe(false);
		const { checks } = judge(makeReport(makePlan(), makeJobs(makePlan()), measured, "/repository"));
		expect(checks.filter((check) => check.protected).map((check) => check.slice)).toContain("night");
	});
});

test("a waiver of the exam names its split, and no other waiver does", async () => {
	const policy = { "recipes/gates/gate.yaml": gates };
	const check = async (words: string) => {
		const waivers = `waivers:\n  - { check: ${words}, model: line, reason: r, who: mia, until: 9999-12-31 }\n`;
		at.push({ ...policy, "recipes/gates/waivers.yaml": waivers });
		return at.judge(at.open({ [fileOf("mine")]: experiment() }), "mine").then(
			() => "",
			(error: Error) => error.message,
		);
	};
	const split = `split: "${digest("0")}"`;
	expect(await check(`{ metric: test_split, ${split} }`)).toBe("");
	expect(await check("{ metric: test_split }")).toContain(
		"the metric test_split takes a split, and no other metric does",
	);
	expect(await check(`{ metric: map, ${split} }`)).toContain("the metric test_split takes a split");
	expect(await check(`{ metric: test_split, slice: night, ${split} }`)).toContain("approved as a whole; remove slice");
});
