// A repository with proposals, for tests to read.
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Moment } from "../../../../actions/lib/propose/due.ts";
import { readProposals } from "../../../../actions/lib/propose/forecast.ts";

/** What would mention, show, link and turn the reading direction where it isn't taken for a text. */
export const HOSTILE = `@team <img src=x> \`$${"{{ github.token }}"}\` \u202e #1 [a](http://a.b)`;
/** A Monday. */
export const since = "2026-11-23";

export const experiment = {
	model: "perception-hydranet",
	recipe: "hydranet-small",
	data: "scenes",
	machine: "laptop",
	gates: "perception",
	why: `${HOSTILE}\n\`\`\`\n@team`,
	train: { epochs: 3, loss: { detection: { gamma: 2.5 } } },
};

/** Text of a proposal's file. */
export function proposal(on: object, more: object = {}): string {
	return JSON.stringify({ description: `For a test ${HOSTILE}`, on, experiment, ...more });
}

/** A data recipe whose every byte a change of its revision must keep. */
export const pinned = `# Driving data, as it is pinned.
description: Pinned
location:   data/pinned   # two spaces too many
categories: { detection: [vehicle, pedestrian, rider], segmentation: [road] }
dvc:
  repository: https://github.com/acme/driving-data   # theirs
  path: data/scenes
  revision: v2 # the one before
`;

/** Makes a repository with this project's recipes and a pinned one; returns its folder. */
export async function makeRepository(): Promise<string> {
	const root = await mkdtemp(path.join(tmpdir(), "proposals-"));
	const recipes = path.resolve(import.meta.dirname, "../../../../recipes");
	await cp(recipes, path.join(root, "recipes"), { recursive: true });
	await writeFile(path.join(root, "recipes/data/pinned.yaml"), pinned);
	await mkdir(path.join(root, "experiments"));
	return root;
}

/** The repository with these proposals and no others, read. */
export async function readWith(
	root: string,
	proposals: Record<string, string>,
): Promise<Omit<Moment, "now" | "proposed">> {
	await rm(path.join(root, "recipes/proposals"), { recursive: true, force: true });
	await mkdir(path.join(root, "recipes/proposals"));
	for (const [name, text] of Object.entries(proposals))
		await writeFile(path.join(root, `recipes/proposals/${name}.yaml`), text);
	return { ...(await readProposals(root)), publication: null, byHand: null, maxOpen: Number.POSITIVE_INFINITY };
}
