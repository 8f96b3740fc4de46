// A packed plan
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { documentText, sha256 } from "../../../actions/lib/documents.ts";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { sumOf } from "../../../actions/lib/plan/estimate.ts";
import { approvalOf, shortApproval } from "../../../actions/lib/plan/identity.ts";
import {
	packPlans,
	packRefused,
	parseRefused,
	parseRuns,
	parseTogether,
	runsOf,
	unpackPlan,
} from "../../../actions/lib/plan/packed_plan.ts";
import { makePlan } from "../../fixtures/plan.ts";

const plan = makePlan();
const pack = (text: string | Buffer) => gzipSync(text).toString("base64");

/** What it is refused with. */
async function refusalOf(text: string, digest: string): Promise<string> {
	const error = await unpackPlan(text, digest).then(
		() => null,
		(reason: unknown) => reason,
	);
	if (!(error instanceof InvalidInput)) throw new Error(`no InvalidInput: ${error}`);
	return error.message;
}

describe("crosses from job to job", () => {
	test("unchanged, with what the matrix needs of it", async () => {
		const [packed] = await packPlans([plan]);
		const { plan: text, digest, ...shown } = packed!;
		expect(await unpackPlan(text, digest)).toEqual(plan);
		expect(shown).toEqual({
			name: "more-night",
			file: "experiments/more-night.yaml",
			approval: approvalOf(plan),
			short: approvalOf(plan).slice(7, 19),
			runner: ["self-hosted"],
			together: JSON.stringify(sumOf([plan])),
		});
	});

	test("in an order that is the files', and none where there is none", async () => {
		const other = makePlan({ experiment: { ...plan.experiment, name: "other" } });
		expect((await packPlans([plan, other, plan])).map(({ name }) => name)).toEqual([
			"more-night",
			"other",
			"more-night",
		]);
		expect(await packPlans([])).toEqual([]);
	});

	test("in a text that no shell, expression or workflow command can read anything into", async () => {
		const why = '$(id) `id` {{ secrets.TOKEN }} ::set-output name=x::y\n"; rm -rf /';
		const [packed] = await packPlans([makePlan({ experiment: { ...plan.experiment, why } })]);
		expect(packed!.plan).toMatch(/^[A-Za-z0-9+/]+=*$/);
		expect((await unpackPlan(packed!.plan, packed!.digest)).experiment.why).toBe(why);
	});

	test("but not one that the input of an action can't hold, which is named", async () => {
		const large = makePlan({ experiment: { ...plan.experiment, why: randomBytes(100_000).toString("base64") } });
		await expect(packPlans([plan, large])).rejects.toThrow(
			/^experiments\/more-night\.yaml: its plan takes 1\d{5} characters packed, and an action's input takes at most 120000\./,
		);
	});

	test("but not where there are more than the output of a job can hold", async () => {
		// What can't be compressed takes its place.
		const large = makePlan({ experiment: { ...plan.experiment, why: randomBytes(80_000).toString("base64") } });
		expect(JSON.stringify(await packPlans([large, large, large])).length).toBeLessThan(1024 * 512);
		await expect(packPlans([large, large, large, large, large])).rejects.toThrow(
			/^5 experiments at once: their plans take \d+ characters, and a job can pass on at most 400000\. Split the pull request\.$/,
		);
	});
});

describe("is refused where it is", () => {
	const text = documentText(plan);

	test("damaged", async () => {
		const packed = pack(text);
		const middle = Math.floor(packed.length / 2);
		const flipped = packed.slice(0, middle) + (packed[middle] === "A" ? "B" : "A") + packed.slice(middle + 1);
		for (const damaged of ["", "not base64 at all!", flipped, packed.slice(0, middle)])
			expect(await refusalOf(damaged, sha256(text))).toMatch(/^the packed plan: it can't be unpacked: .+\.$/);
	});

	test("made to fill a runner's memory", async () => {
		const bomb = Buffer.alloc(64 * 1024 * 1024);
		const packed = pack(bomb);
		expect(packed.length).toBeLessThan(100_000);
		expect(await refusalOf(packed, sha256(bomb))).toContain("can't be unpacked: Cannot create a Buffer larger than");
	});

	test("another than was planned", async () => {
		const other = documentText(makePlan({ machine: { ...plan.machine, price_usd_per_hour: 1 } }));
		expect(await refusalOf(pack(other), sha256(text))).toBe(
			`the packed plan: its digest is ${sha256(other)}, not ${sha256(text)}: it is not what was planned.`,
		);
	});

	test("no plan", async () => {
		for (const other of ["{}", "[]", "not JSON", documentText({ ...plan, run: null })])
			expect(await refusalOf(pack(other), sha256(other))).toContain("the packed plan");
	});
});

describe("knows what all plans take", () => {
	test("as each of them is handed on with it, and nothing where none was planned", async () => {
		const dear = makePlan({ estimate: { ...plan.estimate, max_cost_usd: 12 } });
		const packed = await packPlans([plan, dear, dear]);
		for (const { together } of packed) {
			expect(parseTogether(together)).toEqual(sumOf([plan, dear, dear]));
			expect(parseTogether(together)).toMatchObject({ runs: 3, max_cost_usd: 24 });
		}
		expect(parseTogether("")).toBeNull();
	});

	test.each(["{", "null", "[]", '{"runs":1}', '{"runs":-1}', '{"runs":"1"}', '"x"', '{"runs":1e999}'])(
		"but not from %s",
		(text) => {
			expect(() => parseTogether(text)).toThrow("together: it must be `together` of plan's output `experiments`.");
		},
	);
});

describe("knows the runs that were planned", () => {
	test("without their plans, and none where none was planned", async () => {
		const runs = runsOf(await packPlans([plan]));
		expect(runs).toEqual([
			{
				name: plan.experiment.name,
				file: plan.experiment.file,
				approval: approvalOf(plan),
				short: shortApproval(approvalOf(plan)),
				runner: plan.machine.runner,
			},
		]);
		expect(parseRuns(JSON.stringify(runs))).toEqual(runs);
		expect(parseRuns("[]")).toEqual([]);
	});

	const run = { name: "a", file: "b", approval: `sha256:${"0".repeat(64)}`, short: "0", runner: ["gpu"] };
	test.each<[string, unknown]>([
		["no list", run],
		["a list of something else", [null]],
		["an approval that is no digest", [{ ...run, approval: "sha256:0" }]],
		["a name that is no text", [{ ...run, name: 1 }]],
		["a runner without labels", [{ ...run, runner: "gpu" }]],
		["a label that is no text", [{ ...run, runner: [1] }]],
	])("but not from %s", (_, value) => {
		expect(() => parseRuns(JSON.stringify(value))).toThrow("runs: it must be the output `runs` of plan, a JSON list.");
	});
});

describe("knows the files that can't be planned", () => {
	const refused = [{ file: "experiments/x.yaml", problems: [{ file: "x.yaml", line: 1, column: 2, message: "m" }] }];

	test("as the job that planned hands them on, and none where it ended before", () => {
		expect(parseRefused(packRefused(refused))).toEqual(refused);
		// With 3,000 long problems in a file: the first of them, and how many are left out.
		const problem = { file: "experiments/bad.yaml", line: 3, column: 1, message: "é".repeat(400) };
		const many = [{ file: "experiments/bad.yaml", problems: Array(3000).fill(problem) }];
		const text = packRefused(many);
		expect(Buffer.byteLength(text)).toBeLessThan(120_000);
		const [{ problems }] = parseRefused(text) as [(typeof many)[number]];
		expect([problems.length, problems.at(-1)!.message]).toEqual([
			101,
			"and 2900 more problems, which the job's log lists",
		]);
		expect(() => packRefused(Array(1000).fill(many[0]))).toThrow("Split the pull request.");
		expect(parseRefused("")).toEqual([]);
		expect(parseRefused("[]")).toEqual([]);
	});

	test.each([
		["no JSON", "{"],
		["no list", JSON.stringify(refused[0])],
		["a list of something else", "[null]"],
		["a file without problems", JSON.stringify([{ file: "x" }])],
		["a file that is no text", JSON.stringify([{ ...refused[0], file: 1 }])],
		["a problem that is none", JSON.stringify([{ file: "x", problems: [null] }])],
		["a problem without its words", JSON.stringify([{ file: "x", problems: [{ file: "x", line: 1, column: 1 }] }])],
		[
			"a line that is no number",
			JSON.stringify([{ file: "x", problems: [{ file: "x", line: "1", column: 1, message: "m" }] }]),
		],
	])("but not from %s", (_, text) => {
		expect(() => parseRefused(text)).toThrow(
			"refused: it must be the output `refused` of plan, a JSON list of files with their problems.",
		);
	});
});
