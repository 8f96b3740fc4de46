// recipes/gates/waivers.yaml
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { InvalidFile } from "../../../actions/lib/errors.ts";
import { loadExperiment } from "../../../actions/lib/experiment/experiment.ts";
import { accepted } from "../../contract/refused.ts";

const repository = path.resolve(import.meta.dirname, "../../..");
let root: string;

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "waivers-"));
	await cp(path.join(repository, "recipes"), path.join(root, "recipes"), { recursive: true });
	await mkdir(path.join(root, "experiments"));
	await writeFile(path.join(root, "experiments/mine.yaml"), accepted);
});
afterEach(() => rm(root, { recursive: true }));

const entry = (changes: Record<string, string> = {}) => {
	const values = {
		check: "{ metric: map, slice: rain }",
		model: "perception-hydranet",
		reason: "labels are being checked",
		who: "ann",
		until: "2026-12-31",
		...changes,
	};
	const lines = Object.entries(values).filter(([, value]) => value !== "");
	return `  - ${lines.map(([key, value]) => `${key}: ${value}`).join("\n    ")}\n`;
};
const write = (text: string, folder = root) => writeFile(path.join(folder, "recipes/gates/waivers.yaml"), text);
const load = (base?: string) => loadExperiment("experiments/mine.yaml", { root, ...(base ? { base } : {}) });
const waiversOf = async (base?: string) => (await load(base)).policy.waivers;

async function problemOf(...entries: string[]): Promise<string> {
	await write(`# a comment\nwaivers:\n${entries.join("")}`);
	const error = await load().catch((reason: unknown) => reason);
	expect(error).toBeInstanceOf(InvalidFile);
	return (error as InvalidFile).message;
}

describe("gives a plan its waivers", () => {
	test("each with its line", async () => {
		const more = entry({ check: "{ metric: miou }", experiment: "mine", who: "Bob_acme" });
		await write(`# a comment\nwaivers:\n${entry()}${more}`);
		const first = {
			metric: "map",
			slice: "rain",
			model: "perception-hydranet",
			experiment: null,
			reason: "labels are being checked",
			who: "ann",
			until: "2026-12-31",
			line: 3,
		};
		const second = { ...first, metric: "miou", slice: null, experiment: "mine", who: "Bob_acme", line: 8 };
		expect(await waiversOf()).toEqual({ file: "recipes/gates/waivers.yaml", entries: [first, second] });
	});

	test.each(["{ metric: map }", "{ metric: map, slice: null }", "{ metric: map, slice: overall }"])(
		"over all frames by %s",
		async (check) => {
			await write(`waivers:\n${entry({ check })}`);
			expect((await waiversOf())?.entries[0]?.slice).toBeNull();
		},
	);

	test("none where the file is absent or its list empty, as this repository's is", async () => {
		expect(await waiversOf()).toBeUndefined();
		await rm(path.join(root, "recipes/gates/waivers.yaml"));
		expect(await waiversOf()).toBeUndefined();
	});

	test("from the base branch, whatever its own branch says", async () => {
		const base = await mkdtemp(path.join(tmpdir(), "base-"));
		await cp(path.join(repository, "recipes"), path.join(base, "recipes"), { recursive: true });
		await write(`waivers:\n${entry()}`);
		expect(await waiversOf(base)).toBeUndefined();
		await write(`waivers:\n${entry({ who: "carol" })}`, base);
		expect((await waiversOf(base))?.entries.map(({ who }) => who)).toEqual(["carol"]);
		await rm(base, { recursive: true });
	});

	test("for other lines and other experiments, which may measure what this one doesn't", async () => {
		const check = "{ metric: min_fde, slice: roundabout }";
		const [line, experiment] = [entry({ check, model: "other-line" }), entry({ check, experiment: "other" })];
		await write(`waivers:\n${line}${experiment}`);
		expect((await waiversOf())?.entries).toHaveLength(2);
	});
});

describe("is refused in one error, on its line,", () => {
	test.each<[string, Record<string, string>, string]>([
		[
			"for a metric that nothing measures",
			{ check: "{ metric: mapp }" },
			"3:22 waivers.0.check.metric: nothing measures mapp here; measured: map, ",
		],
		[
			"for a metric that its slice doesn't have",
			{ check: "{ metric: ap/vehicle, slice: night-pedestrian }" },
			"3:22 waivers.0.check.metric: nothing measures ap/vehicle on the slice night-pedestrian; measured: ap/pedestrian",
		],
		[
			"for a slice that the data doesn't have",
			{ check: "{ metric: map, slice: rian }" },
			"3:34 waivers.0.check.slice: the data has no slice rian; its slices: ",
		],
		["for every slice at once", { check: '{ metric: map, slice: "*" }' }, "the data has no slice *"],
		["without a reason", { reason: "" }, "3:5 waivers.0: reason is missing (Why the check may fail"],
		[
			"with an empty reason",
			{ reason: '"  "' },
			'5:13 waivers.0.reason: found "  "; it must be a text that isn\'t blank',
		],
		["without who grants it", { who: "" }, "3:5 waivers.0: who is missing"],
		[
			"granted by a mention",
			{ who: '"@ann"' },
			'6:10 waivers.0.who: found "@ann"; it must be a GitHub login, without an @',
		],
		[
			"until something that is no day",
			{ until: "31.12.2026" },
			'7:12 waivers.0.until: found "31.12.2026"; it must be a day, YYYY-MM-DD',
		],
		[
			"until a day that no calendar has",
			{ until: "2026-02-30" },
			'7:12 waivers.0.until: found "2026-02-30"; there is no such day',
		],
		["for ever", { until: "" }, "3:5 waivers.0: until is missing"],
		["with a key that isn't there", { severity: "low" }, "8:5 unknown key severity in waivers.0; allowed: check, "],
	])("%s", async (_, changes, message) => {
		const problem = await problemOf(entry(changes));
		expect(problem.split("\n")).toHaveLength(1);
		expect(problem).toContain("recipes/gates/waivers.yaml:");
		expect(problem).toContain(message);
	});

	test("where a check is waived twice, in whatever words", async () => {
		const [first, second] = ["{ metric: map }", "{ metric: map, slice: overall }"].map((check) => entry({ check }));
		expect(await problemOf(first!, second!)).toBe(
			"recipes/gates/waivers.yaml:8:5 waivers.1: the same check is waived on line 3; keep one",
		);
		await write(`waivers:\n${first}${entry({ check: "{ metric: map }", experiment: "mine" })}`);
		expect((await waiversOf())?.entries).toHaveLength(2);
	});

	test("as a gate policy", async () => {
		await writeFile(path.join(root, "experiments/mine.yaml"), accepted.replace("gates: perception", "gates: waivers"));
		await expect(load()).rejects.toThrow("recipes/gates/waivers.yaml doesn't exist; available: perception");
	});
});
