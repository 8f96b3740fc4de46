// Real frames
import { existsSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import path from "node:path";
import { expect, test } from "vitest";
import { run } from "../../actions/cli/stages.ts";
import { openProject } from "../../actions/lib/project.ts";
import { SOAK } from "../soak.ts";
import { experiment, makeProject, repository } from "./project.ts";

const data = path.join(repository, "../shared/data/bdd100k-300");

const recipe = `description: A few frames of BDD100K
location: data/bdd100k
categories:
  detection: [car, traffic sign, traffic light, person, truck, bus, rider, bike, motor]
  segmentation: []
importer:
  name: bdd100k
  labels: ${data}/bdd300.json
  images: ${data}/images
  width: 192
  height: 112
  splits:
    train: { split: train, frames: 12 }
    val: { split: train, frames: 4, skip: 12 }
    test: { split: val, frames: 12 }
  slices:
    - { name: night, where: { timeofday: night } }
    - { name: city, where: { scene: [city_street, residential] } }
    - { name: city-car, where: { scene: [city_street, residential] }, category: car }
`;

test.runIf(SOAK && existsSync(data))(
	"go through every stage (skipped where the folder bdd100k-300 is absent)",
	async () => {
		const mini = (await import("./project.ts")).files["recipes/models/mini.yaml"]!;
		const detector = mini
			.replace("heads: [detection, segmentation, lanes]", "heads: [detection]")
			.replace(/ {4}segmentation: .*\n {4}lanes: .*\n/, "")
			.replace("epochs: 2", "epochs: 1");
		const root = await makeProject({
			"recipes/data/bdd.yaml": recipe,
			"recipes/models/mini.yaml": detector,
			"recipes/gates/lenient.yaml":
				"description: d\nrules:\n  - { metric: latency_p95_ms, max: 1000, reason: it was measured }\n  - { metric: map, slice: city, min: 0, reason: it was measured }\n",
			"experiments/real.yaml": experiment({ data: "bdd" }),
		});
		try {
			const said: string[] = [];
			const context = {
				project: await openProject(root),
				say: (line: string) => said.push(line),
				live: process.stderr,
			};
			await run(context, ["experiments/real.yaml"], "test");
			const report = JSON.parse(await readFile(path.join(root, "reports/real/report.json"), "utf8"));
			expect(report.data.splits.test.frames).toBe(12);
			expect(report.slices.map(({ name }: { name: string }) => name)).toEqual(["night", "city", "city-car"]);
			expect(
				report.scores.find((score: { metric: string; slice: null }) => score.metric === "map" && score.slice === null),
			).toMatchObject({ frames: 12, production: null });
			expect(await readFile(path.join(root, ".proving-ground/documents/real/comment.md"), "utf8")).toContain(
				"first model of its line",
			);
		} finally {
			await rm(root, { recursive: true, force: true });
		}
	},
);
