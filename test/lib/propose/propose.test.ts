// Proposals
import { execFileSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { loadExperiment } from "../../../actions/lib/experiment/experiment.ts";
import { dueProposals, setRevision } from "../../../actions/lib/propose/due.ts";
import { renderProposal } from "../../../actions/lib/propose/proposal_text.ts";
import { readEvent } from "../../../actions/lib/propose/publication.ts";
import { makePlan } from "../../fixtures/plan.ts";
import { experiment, HOSTILE, makeRepository, pinned, proposal, readWith, since } from "./proposals/repository.ts";

let root: string;
beforeAll(async () => {
	root = await makeRepository();
});
afterAll(() => rm(root, { recursive: true }));
const read = (proposals: Record<string, string>) => readWith(root, proposals);

const none: ReadonlyMap<string, "open" | "closed"> = new Map();
const at = (time: string) => new Date(time);
const published = (data: string, revision: string) =>
	readEvent("repository_dispatch", { action: "dataset.published", client_payload: { data, revision } });

describe("on a schedule", () => {
	test("are one for each ISO week, from the first Monday on, also where a year ends within it", async () => {
		const moment = await read({
			weekly: proposal({ schedule: "weekly", since: "2026-12-16" }, { window: { days: 28 } }),
		});
		const { due } = dueProposals({ ...moment, now: at("2027-01-11T00:00:00Z"), proposed: none });
		expect(due.map(({ tick, day, experiment }) => [tick, day, experiment.window])).toEqual([
			["weekly/2026-W52", "2026-12-21", { from: "2026-11-23", to: "2026-12-20" }],
			["weekly/2026-W53", "2026-12-28", { from: "2026-11-30", to: "2026-12-27" }],
			["weekly/2027-W01", "2027-01-04", { from: "2026-12-07", to: "2027-01-03" }],
			["weekly/2027-W02", "2027-01-11", { from: "2026-12-14", to: "2027-01-10" }],
		]);
		expect(due[0]).toMatchObject({ branch: "propose/weekly-2026-w52" });
	});

	test("are one for each night, in UTC, and no future one", async () => {
		const moment = await read({ nightly: proposal({ schedule: "nightly", since }, { window: { days: 1 } }) });
		const names = (now: string, proposed = none) =>
			dueProposals({ ...moment, now: at(now), proposed }).due.map(({ branch }) => branch);
		expect(names("2026-11-22T23:59:59Z")).toEqual([]);
		expect(names("2026-11-24T01:30:00+02:00")).toEqual(["propose/nightly-2026-11-23"]);
		expect(names("2026-11-25T00:00:00Z", new Map([["propose/nightly-2026-11-24", "closed"]]))).toEqual([
			"propose/nightly-2026-11-23",
			"propose/nightly-2026-11-25",
		]);
	});

	test("write an experiment that is what they stand for, and say who wrote it and why", async () => {
		const moment = await read({ weekly: proposal({ schedule: "weekly", since }, { window: { days: 28 } }) });
		const [due] = dueProposals({ ...moment, now: at("2026-11-25T03:00:00Z"), proposed: none }).due;
		const [file] = due!.files;
		expect(due!.files.map((each) => each.path)).toEqual(["experiments/weekly-2026-w48.yaml"]);
		await writeFile(path.join(root, file!.path), file!.content);
		const written = await loadExperiment(file!.path, { root });
		await rm(path.join(root, file!.path));
		expect(written.experiment.value).toEqual({ ...experiment, window: { from: "2026-10-26", to: "2026-11-22" } });
		expect(file!.content.split("\n").slice(0, 2)).toEqual([
			"# yaml-language-server: $schema=./experiment.schema.json",
			"# Proposed by recipes/proposals/weekly.yaml for 2026-W48, the week from 2026-11-23.",
		]);
		expect(due!.title).toBe("weekly 2026-W48: perception-hydranet on scenes captured from 2026-10-26 to 2026-11-22");
	});

	test("wait while as many are open as the proposal or all together may have, the higher priority first", async () => {
		const moment = await read({
			low: proposal({ schedule: "nightly", since }, { priority: 1 }),
			high: proposal({ schedule: "nightly", since }, { priority: 2, max_open: 2 }),
			idle: proposal({ schedule: "nightly", since }, { priority: -1 }),
		});
		const look = (maxOpen: number, proposed = none) => {
			const { due, waiting } = dueProposals({ ...moment, now: at("2026-11-25T01:00:00Z"), proposed, maxOpen });
			return [due.map(({ tick }) => tick), waiting];
		};
		expect(look(4)).toEqual([
			["high/2026-11-23", "high/2026-11-24", "low/2026-11-23", "low/2026-11-24"],
			["high/2026-11-25", "low/2026-11-25", "idle/2026-11-23", "idle/2026-11-24", "idle/2026-11-25"],
		]);
		const open = new Map([
			["propose/high-2026-11-23", "open"],
			["propose/high-2026-11-24", "closed"],
			["propose/low-2026-11-23", "closed"],
			["propose/idle-2026-11-23", "open"],
		] as const);
		expect(look(4, open)[0]).toEqual(["high/2026-11-25", "low/2026-11-24"]);
	});

	test("are brought forward by hand, once, whatever waits and begins later", async () => {
		const moment = await read({ weekly: proposal({ schedule: "weekly", since: "2027-03-01" }, { max_open: 1 }) });
		const asked = readEvent("workflow_dispatch", { inputs: { proposal: "weekly", event: "", data: "", frames: "" } });
		const look = (proposed = none) =>
			dueProposals({ ...moment, ...asked, now: at("2026-11-29T23:00:00Z"), proposed, maxOpen: 1 }).due;
		expect(look(new Map([["propose/other-2026-w01", "open"]])).map(({ tick }) => tick)).toEqual(["weekly/2026-W48"]);
		expect(look(new Map([["propose/weekly-2026-w48", "closed"]]))).toEqual([]);
		const unknown = readEvent("workflow_dispatch", { inputs: { proposal: "weakly" } });
		expect(() => dueProposals({ ...moment, ...unknown, now: new Date(), proposed: none })).toThrow(
			'proposal: found "weakly"; available: weekly. Did you mean weekly?',
		);
	});

	test("are taken for proposed where their experiment is there", async () => {
		const moment = await read({ weekly: proposal({ schedule: "weekly", since }) });
		const experiments = new Set(["weekly-2026-w48"]);
		expect(dueProposals({ ...moment, experiments, now: at("2026-11-25T03:00:00Z"), proposed: none }).due).toEqual([]);
	});
});

describe("on an event", () => {
	const on = { event: "dataset.published", data: "pinned" };
	const fresh = { experiment: { ...experiment, data: "pinned" } };
	const now = at("2026-11-25T03:00:00Z");

	test("change the revision that the data recipe names, and not another byte", async () => {
		const moment = await read({ fresh: proposal(on, fresh), others: proposal({ ...on, data: "scenes" }) });
		const { due } = dueProposals({ ...moment, ...published("pinned", "1.10"), now, proposed: none });
		expect(due.map(({ tick, branch, replaced }) => [tick, branch, replaced])).toEqual([
			["fresh/pinned@1.10", expect.stringMatching(/^propose\/fresh-110-[0-9a-f]{8}$/), "v2"],
		]);
		expect(due[0]!.files[1]).toEqual({ path: "recipes/data/pinned.yaml", content: pinned.replace("v2", '"1.10"') });
		expect(due[0]!.files[0]!.content).toContain(
			"# Proposed by recipes/proposals/fresh.yaml for dataset.published, pinned@1.10.\n",
		);
		expect(setRevision(pinned, "v2")).toBeNull();
		expect(setRevision("dvc: { file: data/scenes.dvc }\n", "v2")).toBeNull();
	});

	test("are one for each revision, however alike their names and however often they come", async () => {
		const moment = await read({ fresh: proposal(on, fresh), "fresh-v1": proposal(on, fresh) });
		const branches = new Map<string, "open">();
		const revisions = ["v1", "V1", "v.1", "v-1", "v1/x", "v1x", `${"long".repeat(20)}1`, `${"long".repeat(20)}2`];
		for (const revision of [...revisions, ...revisions]) {
			const { due } = dueProposals({ ...moment, ...published("pinned", revision), now, proposed: branches });
			for (const { branch, files } of due) {
				expect(path.basename(files[0]!.path, ".yaml").length).toBeLessThanOrEqual(40);
				branches.set(branch, "open");
			}
		}
		expect(branches.size).toBe(2 * revisions.length);
	});

	test("are of the slice that was mined, on the data that it is in", async () => {
		const moment = await read({ mined: proposal({ event: "slice.mined" }) });
		const payload = { data: "pinned", revision: "v3", slice: "night-pedestrian", frames: 300 };
		const asked = readEvent("repository_dispatch", { action: "slice.mined", client_payload: payload });
		const [due] = dueProposals({ ...moment, ...asked, now, proposed: none }).due;
		expect(due).toMatchObject({
			tick: "mined/pinned/night-pedestrian@v3",
			experiment: { data: "pinned" },
			replaced: "v2",
		});
		expect(due!.title).toBe("mined: perception-hydranet on pinned at v3, for the slice night-pedestrian");
		expect(renderProposal(due!, "no plan")).toContain("300 frames of the slice `night-pedestrian` mined");
		const form = readEvent("workflow_dispatch", {
			inputs: { event: "slice.mined", ...payload, frames: "300", proposal: "" },
		});
		expect(form).toEqual(asked);
		// The form of a workflow that calls others has fields of theirs.
		const untouched = { inputs: { "pull-request": "", stop: "false", explain: "" } };
		expect(readEvent("workflow_dispatch", untouched)).toEqual({ publication: null, byHand: null });
	});

	test("never wait, and are nobody's where no proposal listens", async () => {
		const moment = await read({ fresh: proposal(on, fresh) });
		const full = new Map([["propose/fresh-v1-00000000", "open"]] as const);
		const asked = published("pinned", "v3");
		expect(dueProposals({ ...moment, ...asked, now, proposed: full, maxOpen: 1 }).due).toHaveLength(1);
		expect(dueProposals({ ...moment, ...published("scenes", "v3"), now, proposed: none }).due).toEqual([]);
	});

	test.each([
		[
			"an unknown type",
			"dataset.deleted",
			{},
			/^repository_dispatch: found the type "dataset.deleted"; allowed: dataset.published, slice.mined/,
		],
		["no payload", "dataset.published", null, "dataset.published: found the client_payload null; it must be an object"],
		["a list", "dataset.published", [1], /client_payload \[1\]; it must be an object/],
		["nothing", "dataset.published", {}, /^dataset.published: data is missing \(.*\); revision is missing \(.*\)$/],
		[
			"data in another folder",
			"dataset.published",
			{ data: "../../etc/passwd", revision: "v1" },
			/^dataset.published: data: found "..\/..\/etc\/passwd"; it must be lower-case/,
		],
		[
			"a line break",
			"dataset.published",
			{ data: "scenes\n@team", revision: "v1" },
			/^dataset.published: data: found "scenes\\n@team"; it must be/,
		],
		[
			"a line break at the end",
			"dataset.published",
			{ data: "scenes\n", revision: "v1\n" },
			/data: found "scenes\\n".*revision: found "v1\\n"/,
		],
		[
			"an option for a revision",
			"dataset.published",
			{ data: "pinned", revision: "--upload-pack=sh" },
			/revision: found "--upload-pack=sh"; it must be a tag, a branch or a commit/,
		],
		[
			"a way out for a revision",
			"dataset.published",
			{ data: "pinned", revision: "a/../b" },
			/it must be a tag, a branch or a commit/,
		],
		[
			"a template",
			"dataset.published",
			{ data: "pinned", revision: `$${"{{ github.token }}"}` },
			/it must be a tag, a branch or a commit/,
		],
		[
			"YAML",
			"dataset.published",
			{ data: "pinned", revision: "v1: { a: b } # c" },
			/it must be a tag, a branch or a commit/,
		],
		[
			"a revision as a number",
			"dataset.published",
			{ data: "pinned", revision: 2 },
			/revision: found 2; it must be a text/,
		],
		[
			"a revision without an end",
			"dataset.published",
			{ data: "pinned", revision: "v".repeat(70_000) },
			/revision: found 70000 characters; it must have at most 200/,
		],
		[
			"more than there is",
			"dataset.published",
			{ data: "pinned", revision: "v1", experiment: { epochs: 1 } },
			/unknown key experiment; allowed: event, data, revision/,
		],
		[
			"a poisoned key",
			"dataset.published",
			JSON.parse('{"data":"pinned","revision":"v1","__proto__":{"a":1}}'),
			/unknown key __proto__/,
		],
		["a slice of nobody", "slice.mined", { data: "pinned", revision: "v1" }, /^slice.mined: slice is missing/],
		["a slice's name", "slice.mined", { data: "pinned", revision: "v1", slice: "@team" }, /slice: found "@team"/],
		[
			"no frames",
			"slice.mined",
			{ data: "pinned", revision: "v1", slice: "night", frames: 0 },
			/frames: found 0; it must be >= 1/,
		],
		[
			"data that aren't there",
			"dataset.published",
			{ data: "pined", revision: "v1" },
			"dataset.published: recipes/data/pined.yaml doesn't exist; available: pinned, scenes, scenes-more-night. Did you mean pinned?",
		],
	])("refuse %s in one line", async (_, action, client_payload, message) => {
		const moment = await read({ fresh: proposal(on, fresh), mined: proposal({ event: "slice.mined" }) });
		const take = () =>
			dueProposals({ ...moment, ...readEvent("repository_dispatch", { action, client_payload }), now, proposed: none });
		expect(take).toThrow(InvalidInput);
		expect(take).toThrow(message);
		expect(take).not.toThrow(/\n/);
	});

	test("by hand need what was published", async () => {
		const moment = await read({ fresh: proposal(on, fresh) });
		const asked = readEvent("workflow_dispatch", { inputs: { proposal: "fresh" } });
		expect(() => dueProposals({ ...moment, ...asked, now, proposed: none })).toThrow(
			"proposal: fresh is proposed on dataset.published: fill in event, data and revision too",
		);
	});
});

describe("in the body of the pull request", () => {
	const hasRenderer = (() => {
		try {
			execFileSync("cmark-gfm", ["--version"]);
			return true;
		} catch {
			return false;
		}
	})();

	async function bodies(): Promise<string[]> {
		const moment = await read({
			weekly: proposal({ schedule: "weekly", since }, { window: { days: 28 } }),
			fresh: proposal({ event: "dataset.published", data: "scenes" }),
		});
		const { due } = dueProposals({
			...moment,
			...published("scenes", "v3"),
			now: at("2026-11-25T03:00:00Z"),
			proposed: none,
		});
		const plan = makePlan({
			estimate: { seconds: 720, cost_usd: 1.5, max_cost_usd: 9, basis: "time per training frame of version 1" },
		});
		return due.flatMap((each) => [renderProposal(each, HOSTILE), renderProposal(each, plan)]);
	}

	test("stands what triggered it, what changes, what it will cost and how to stop it", async () => {
		await expect((await bodies()).join("\n---\n\n")).toMatchFileSnapshot("proposals/bodies.md");
	});

	test.skipIf(!hasRenderer)("is text text (skipped where cmark-gfm is not installed)", async () => {
		for (const body of await bodies()) {
			const html = execFileSync("cmark-gfm", ["--unsafe", "-e", "table", "-e", "autolink"], {
				input: body,
				encoding: "utf8",
			});
			expect(html).toContain("@team");
			const open = html.replaceAll(/<(code|pre)[^>]*>.*?<\/\1>/gs, "");
			expect(open).not.toMatch(/@|<img|<a|#1|\{\{|\u202e/);
		}
	});
});
