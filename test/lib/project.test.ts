// Experiment files of a project
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InvalidFile, InvalidInput } from "../../actions/lib/errors.ts";
import { approvalOf } from "../../actions/lib/plan/identity.ts";
import { planAll, refuseOthers, refuseProblems } from "../../actions/lib/plan/plan_files.ts";
import type { Registry } from "../../actions/lib/plan/registry.ts";
import { openProject } from "../../actions/lib/project.ts";
import { makePlan } from "../fixtures/plan.ts";
import { experiment, makeProject } from "../system/project.ts";

let root: string;
const frameOf = (split: string) =>
	JSON.stringify({
		"source-ref": `${split}.jpg`,
		width: 96,
		height: 64,
		attributes: { timeofday: "night" },
		detection: [{ category: "vehicle", box: [1, 1, 20, 40], crowd: false }],
		"segmentation-ref": "frame.png",
		lanes: [],
	});

beforeEach(async () => {
	root = await makeProject({
		"recipes/data/mini.yaml": `description: One frame
location: data/mini
categories: { detection: [vehicle], segmentation: [road] }
`,
		"experiments/broken.yaml": `${experiment({})}seeed: 1\n`,
		"experiments/second.yaml": experiment({ gates: "strict" }),
	});
	const data = path.join(root, ".proving-ground/data/mini");
	await mkdir(data, { recursive: true });
	for (const split of ["train", "val", "test"]) {
		await writeFile(path.join(data, `golden_${split}.manifest`), frameOf(split));
		await writeFile(path.join(data, `${split}.jpg`), split);
	}
	await writeFile(path.join(data, "slices.yaml"), "slices: []\n");
	await writeFile(path.join(data, "frame.png"), "mask");
});
afterEach(() => rm(root, { recursive: true }));

describe("are planned one after the other", () => {
	test("and one with mistakes keeps no other", async () => {
		const project = await openProject(root);
		const names = ["first", "broken", "second"].map((name) => `experiments/${name}.yaml`);
		const { plans, refused } = await planAll(project, names);
		expect(plans.map(({ plan }) => plan.experiment.file)).toEqual([
			"experiments/first.yaml",
			"experiments/second.yaml",
		]);
		for (const { plan, path: file } of plans) expect(JSON.parse(await readFile(file, "utf8"))).toEqual(plan);
		expect(refused).toEqual([
			{
				file: "experiments/broken.yaml",
				problems: [{ file: "experiments/broken.yaml", line: 7, column: 1, message: expect.stringContaining("seeed") }],
			},
		]);
		expect(existsSync(path.join(root, ".proving-ground/documents/broken"))).toBe(false);
	});

	test("and a mistake in a recipe that two of them name is told once", async () => {
		await writeFile(path.join(root, "recipes/models/mini.yaml"), "description: nothing else\n");
		const planned = await planAll(await openProject(root), ["experiments/first.yaml", "experiments/second.yaml"]);
		expect(planned.refused).toHaveLength(2);
		const each = planned.refused[0]!.problems;
		const told = () => refuseProblems(planned);
		expect(told).toThrow(InvalidFile);
		try {
			told();
		} catch (error) {
			expect((error as InvalidFile).problems).toEqual(each);
		}
	});

	test("and what is no mistake of its author's keeps one file, is told on it, and fails the step", async () => {
		const project = await openProject(root);
		const { registry } = project;
		let asked = 0;
		const history = (model: string) =>
			asked++ === 0 ? Promise.reject(new TypeError("x is undefined")) : registry.history(model);
		const planned = await planAll({ ...project, registry: { ...registry, history } }, [
			"experiments/gone.yaml",
			"experiments/first.yaml",
			"experiments/second.yaml",
		]);
		expect(planned.plans.map(({ plan }) => plan.experiment.name)).toEqual(["second"]);
		expect(planned.refused.map(({ file, problems }) => [file, problems[0]!.message])).toEqual([
			["experiments/gone.yaml", expect.stringContaining("gone.yaml: the file can't be read")],
			["experiments/first.yaml", "A bug in Proving Ground: x is undefined"],
		]);
		expect(() => refuseProblems(planned)).toThrow(InvalidFile);
		expect(planned.failures).toHaveLength(2);
	});
});

describe("are run only as they were approved", () => {
	const plan = makePlan();
	const planned = { plans: [{ plan, path: "plan.json" }], refused: [] };

	test("where an approval was asked for at all", () => {
		refuseOthers(planned, "");
		refuseOthers(planned, approvalOf(plan));
		refuseOthers({ plans: [] }, "sha256:anything");
	});

	test("and not where people were shown another", () => {
		const approval = approvalOf(plan);
		refuseOthers(planned, approval, approval.slice("sha256:".length, "sha256:".length + 12));
		for (const shown of ["0".repeat(12), approval, approval.slice("sha256:".length, "sha256:".length + 8)])
			expect(() => refuseOthers(planned, approval, shown)).toThrow(`${shown} was shown and approved, but`);
	});

	test.each([
		["other", `sha256:${"0".repeat(64)}`],
		["cut", approvalOf(plan).slice(0, 19)],
		["padded", `${approvalOf(plan)} `],
	])("and not with one that is %s", (_, approval) => {
		const told = () => refuseOthers(planned, approval);
		expect(told).toThrow(InvalidInput);
		expect(told).toThrow(
			`experiments/more-night.yaml: the plan is now ${approvalOf(plan)}, but ${approval} was shown and approved`,
		);
	});
});

describe("have their places", () => {
	afterEach(() => {
		vi.unstubAllEnvs();
	});

	test("in the checkout whose configuration it is, whichever commit they are of", async () => {
		const project = await openProject(root);
		const other = await makeProject({ "trainer/proving_ground/__main__.py": "# another trainer\n" });
		const there = project.at(other, "started");
		expect([there.root, there.home]).toEqual([other, root]);
		expect(there.store.locate("x")).toBe(project.store.locate("x"));
		expect(there.trainer).toEqual({ ...project.trainer, folder: path.join(other, "trainer") });
		expect(project.at(path.join(root, "data"), "started").trainer).toEqual(project.trainer);
		// What nobody has approved names the run, and isn't started.
		const unapproved = project.at(other, "digested");
		expect([unapproved.trainer, unapproved.code]).toEqual([project.trainer, there.trainer]);
		// What was merged has its data made, by the default branch's.
		const merged = project.at(other, "merged");
		expect([merged.trainer, merged.code]).toEqual([project.trainer, there.trainer]);
		expect([there, merged, unapproved].map(({ isApproved }) => isApproved)).toEqual([true, true, false]);
		await rm(other, { recursive: true });
	});

	test("and take production from reports/ only where that is asked for", async () => {
		const approval = { version: 1, replaced: null, manifest: "", verdict: "", approved_by: "", approved_at: "" };
		const refusal = async (fromReports: boolean) =>
			(await openProject(root, { fromReports })).registry.approve("line", approval).catch(String);
		expect(await refusal(true)).toContain("The promotions in reports/ are read-only");
		expect(await refusal(false)).toContain("line has no version 1");
	});

	test("with the records of the checkout whose configuration it is, which a pull request can't have edited", async () => {
		const other = await makeProject();
		for (const place of [root, other]) {
			await mkdir(path.join(place, "reports/old"), { recursive: true });
			for (const name of ["promotion", "entry"]) await writeFile(path.join(place, `reports/old/${name}.json`), "{");
		}
		const warn = vi.fn();
		const { registry } = (await openProject(root, { fromReports: true, warn })).at(other, "started");
		expect(await registry.current("line")).toBeNull();
		expect(warn).toHaveBeenCalledTimes(1);
		expect(warn.mock.calls[0]![0]).toContain(path.join(root, "reports/old/"));
		await rm(other, { recursive: true });
	});

	test("with weights of a version there, whose bytes are read by what starts the training, and of no run", async () => {
		const weights = { location: "/nowhere/weights", entry: { version: 1, manifest: `sha256:${"a".repeat(64)}` } };
		const project = await openProject(root, { fromReports: true });
		const registry = {
			...project.registry,
			history: async () =>
				({ versions: [weights], approvals: [] }) as unknown as Awaited<ReturnType<Registry["history"]>>,
		};
		await writeFile(path.join(root, "experiments/warm.yaml"), experiment({ more: "weights: { version: 1 }\n" }));
		await writeFile(path.join(root, "experiments/run.yaml"), experiment({ more: "weights: { run: first-0123 }\n" }));
		const { plans, refused } = await planAll({ ...project, registry }, [
			"experiments/warm.yaml",
			"experiments/run.yaml",
		]);
		expect(plans[0]!.plan.weights).toMatchObject({ location: "/nowhere/weights", transfer: null });
		expect(refused.map(({ problems }) => problems.map(({ message }) => message))).toEqual([
			["weights.run: this runner can't reach the store, so it sees no runs; use version or production instead"],
		]);
	});

	test("nowhere in a folder that isn't set up", async () => {
		await expect(openProject(path.join(root, "data"))).rejects.toThrow("has no .github/proving-ground.yaml");
	});
});
