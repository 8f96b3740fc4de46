// What a checkout tells of proposals
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256 } from "../../../actions/lib/documents.ts";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { openProject } from "../../../actions/lib/project.ts";
import { dueProposals } from "../../../actions/lib/propose/due.ts";
import { forecastPlan, readProposals, showDue } from "../../../actions/lib/propose/forecast.ts";
import { renderProposal } from "../../../actions/lib/propose/proposal_text.ts";
import { files, makeProject } from "../../system/project.ts";

const frame = (name: string, captured: string) =>
	`${JSON.stringify({ "source-ref": `${name}.jpg`, width: 96, height: 64, captured, detection: [], lanes: [], "segmentation-ref": `${name}.jpg` })}\n`;
const weekly = `description: The last week
on: { schedule: weekly, since: 2026-11-16 }
window: { days: 7 }
experiment: { model: small-line, recipe: mini, data: mini, machine: here, gates: lenient, why: keeping up, seed: 5 }
`;
const now = new Date("2026-11-25T03:00:00Z");

let root: string;

beforeEach(async () => {
	root = await makeProject({
		"recipes/proposals/weekly.yaml": weekly,
		// Without an importer, the data are what lies there.
		"recipes/data/mini.yaml": files["recipes/data/mini.yaml"]!.replace(/importer:[\s\S]*/, ""),
	});
	const folder = path.join(root, ".proving-ground/data/mini");
	await mkdir(folder, { recursive: true });
	await writeFile(path.join(folder, "slices.yaml"), "slices: []\n");
	for (const split of ["train", "val", "test"]) {
		const names = [`${split}-a`, `${split}-b`];
		const lines = [frame(names[0]!, "2026-11-21"), frame(names[1]!, "2026-11-01")];
		await writeFile(path.join(folder, `golden_${split}.manifest`), lines.join(""));
		for (const name of names) await writeFile(path.join(folder, `${name}.jpg`), name);
	}
});
afterEach(() => rm(root, { recursive: true }));

async function dueNow() {
	const asked = { publication: null, byHand: null, now, maxOpen: 10, proposed: new Map() };
	return dueProposals({ ...(await readProposals(root)), ...asked }).due;
}

const listing = async () => (await readdir(root, { recursive: true })).sort();

test("plans what is due as it would stand in the repository, and leaves the repository as it is", async () => {
	const before = await listing();
	const [, due] = await dueNow();
	const plan = await forecastPlan(await openProject(root), due!);
	expect(plan).toMatchObject({
		experiment: { name: "weekly-2026-w48", file: "experiments/weekly-2026-w48.yaml" },
		run: { seed: 5, window: { from: "2026-11-16", to: "2026-11-22" } },
		data: { splits: { train: { frames: 1 } } },
	});
	expect(renderProposal(due!, plan)).toContain(
		"No estimate (`no earlier run of this line; stopped after 10 minutes`); 1 training frame, 2 epochs.",
	);
	expect(await listing()).toEqual(before);
});

test("plans what starts from weights without a trainer: the pull request's own plan compares them", async () => {
	await writeFile(path.join(root, "start.safetensors"), "weights");
	const weights = `weights: { uri: start.safetensors, sha256: "${sha256("weights")}" }`;
	await writeFile(
		path.join(root, "recipes/proposals/weekly.yaml"),
		weekly.replace("seed: 5 }", `seed: 5, ${weights} }`),
	);
	const [, due] = await dueNow();
	const project = await openProject(root);
	const plan = await forecastPlan({ ...project, trainer: { ...project.trainer, python: "/nowhere/python" } }, due!);
	expect(plan).toMatchObject({ weights: { from: "start.safetensors", transfer: null } });
});

test("says why there can be no plan here", async () => {
	const project = await openProject(root);
	const [empty, due] = await dueNow();
	expect(await forecastPlan(project, empty!)).toMatch(
		/^experiments\/weekly-2026-w47.yaml:\d+:1 window: the training manifest of recipes\/data\/mini.yaml has no frame from 2026-11-09 to 2026-11-15: its 2 frames with `captured` are from 2026-11-01 to 2026-11-21$/,
	);
	await rm(path.join(root, ".proving-ground/data"), { recursive: true });
	expect(await forecastPlan(project, due!)).toBe(
		".proving-ground/data/mini: the dataset of the data recipe mini isn't there, and the recipe names no importer to make it.",
	);
	expect(await forecastPlan(project, { ...due!, replaced: "v1" })).toBe(
		"the data are fetched when the pull request is planned",
	);
});

test("shows what is due, from any moment, by the experiments that are there", async () => {
	expect((await showDue(root, "2026-11-23T00:00:00Z")).text).toBe(
		"weekly 2026-W47: small-line on mini captured from 2026-11-09 to 2026-11-15\n  propose/weekly-2026-w47\nweekly 2026-W48: small-line on mini captured from 2026-11-16 to 2026-11-22\n  propose/weekly-2026-w48",
	);
	await writeFile(path.join(root, "experiments/weekly-2026-w47.yaml"), files["experiments/first.yaml"]!);
	await writeFile(path.join(root, "recipes/proposals/weekly.yaml"), `${weekly}max_open: 1\n`);
	expect((await showDue(root, "2026-11-30T00:00:00Z")).document).toMatchObject({
		due: [{ tick: "weekly/2026-W48" }],
		waiting: ["weekly/2026-W49"],
	});
	expect((await showDue(root, "2026-11-01")).text).toBe("nothing is due");
	await expect(showDue(root, "yesterday")).rejects.toThrow(InvalidInput);
});
