// A small repository for tests: a few tiny frames, a network of a few thousand numbers, two epochs, one process.
import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

export const repository = path.resolve(import.meta.dirname, "../..");

const places = `state: .proving-ground
python: ${path.join(repository, ".venv/bin/python")}
`;
/** The configuration that says nothing of tracking: every run is tracked, which takes some seconds of it. */
export const tracked = { ".github/proving-ground.yaml": places };

export const files: Record<string, string> = {
	".github/proving-ground.yaml": `${places}tracking: { mode: "off" }\n`,
	"recipes/models/mini.yaml": `description: As small as can be
architecture:
  input: { width: 96, height: 64 }
  backbone: { widths: [4, 8, 8, 8], depth: 1 }
  neck: { channels: 8 }
  heads: [detection, segmentation, lanes]
train:
  epochs: 2
  global_batch: 8
  learning_rate: 0.003
  weight_decay: 0.0001
  warmup_steps: 2
  clip_norm: 10
  precision: fp32
  checkpoint: { steps: 2 }
  loss:
    detection: { weight: 1, gamma: 2, box_weight: 0.5 }
    segmentation: { weight: 1 }
    lanes: { weight: 0.5 }
  augment: { flip: { probability: 0.5 }, photometric: { probability: 1, strength: 0.2 } }
`,
	"recipes/data/mini.yaml": `description: A few tiny scenes
location: data/mini
categories:
  detection: [vehicle, pedestrian, rider]
  segmentation: [background, sky, road, lane, vehicle, pedestrian, rider]
importer:
  name: scenes
  seed: 3
  width: 96
  height: 64
  splits:
    train: [{ frames: 24 }]
    val: [{ frames: 6 }]
    test: [{ frames: 12 }]
  slices:
    - { name: night, where: { timeofday: night }, protected: true }
    - { name: rain, where: { weather: rain } }
`,
	"recipes/machines/here.yaml": `description: One process
executor: local
processes: 1
threads: 1
price_usd_per_hour: 0
max_minutes: 10
grace_seconds: 20
`,
	"recipes/gates/lenient.yaml": `description: Anything that was measured passes
rules:
  - { metric: miou, min: 0, reason: it was measured }
`,
	"recipes/gates/strict.yaml": `description: Nothing passes
rules:
  - { metric: miou, min: 0.999, reason: nobody is that good }
`,
	"experiments/first.yaml": experiment({}),
	"experiments/second.yaml": experiment({ gates: "strict", more: "seed: 1\nweights: { version: 1 }\n" }),
};

/** The small model with boxes alone, in place of the other, and a gate that measures them. */
export function boxesAlone(global_batch: number): Record<string, string> {
	return {
		"recipes/models/mini.yaml": `description: Boxes alone
architecture: { input: { width: 96, height: 64 }, backbone: { widths: [4, 8, 8, 8], depth: 1 }, neck: { channels: 8 }, heads: [detection] }
train:
  epochs: 2
  global_batch: ${global_batch}
  learning_rate: 0.003
  weight_decay: 0
  warmup_steps: 2
  clip_norm: 10
  precision: fp32
  loss: { detection: { weight: 1, gamma: 2, box_weight: 0.5 } }
`,
		"recipes/gates/lenient.yaml":
			"description: Anything\nrules:\n  - { metric: map, min: 0, reason: it was measured }\n",
	};
}

/** An experiment file on the small recipes. */
export function experiment({
	gates = "lenient",
	data = "mini",
	more = "",
}: {
	gates?: string;
	data?: string;
	more?: string;
}): string {
	return `model: small-line\nrecipe: mini\ndata: ${data}\nmachine: here\ngates: ${gates}\nwhy: a test\n${more}`;
}

/** Writes the repository into a new temporary folder. */
export async function makeProject(more: Record<string, string> = {}): Promise<string> {
	const root = await mkdtemp(path.join(tmpdir(), "project-"));
	await writeProject(root, more);
	return root;
}

/** Writes the repository into a folder. */
export async function writeProject(root: string, more: Record<string, string> = {}): Promise<void> {
	for (const [file, text] of Object.entries({ ...files, ...more })) {
		await mkdir(path.dirname(path.join(root, file)), { recursive: true });
		await writeFile(path.join(root, file), text);
	}
}
