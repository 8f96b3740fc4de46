// Shows that the outcomes of npm start follow from the data and the training, not from one lucky draw: three seeds of the data.
// Run: node_modules/.bin/node test/seeds.ts [seed...]
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { run } from "../actions/cli/stages.ts";
import { openProject } from "../actions/lib/project.ts";

const root = path.resolve(import.meta.dirname, "..");
const seeds = process.argv.length > 2 ? process.argv.slice(2).map(Number) : [1, 2, 3];
const experiments = ["baseline", "more-night", "tiny-backbone"];
const expected = { baseline: "pass", "more-night": "pass", "tiny-backbone": "fail" };
let surprises = 0;

for (const seed of seeds) {
	const folder = path.join(root, ".proving-ground/seeds", String(seed));
	mkdirSync(path.join(folder, ".github"), { recursive: true });
	for (const part of ["recipes", "experiments"])
		cpSync(path.join(root, part), path.join(folder, part), { recursive: true });
	const config = readFileSync(path.join(root, ".github/proving-ground.yaml"), "utf8").replace(
		".venv/bin/python",
		path.join(root, ".venv/bin/python"),
	);
	writeFileSync(path.join(folder, ".github/proving-ground.yaml"), config);
	for (const data of ["scenes", "scenes-more-night"]) {
		const file = path.join(folder, `recipes/data/${data}.yaml`);
		writeFileSync(file, readFileSync(file, "utf8").replace(/^ {2}seed: \d+$/m, `  seed: ${seed}`));
	}
	const context = {
		project: await openProject(folder),
		say: (line: string) => console.log(`seed ${seed}: ${line}`),
		live: process.stderr,
	};
	const { document } = await run(
		context,
		experiments.map((name) => `experiments/${name}.yaml`),
		"seeds",
	);
	for (const { file, verdict } of document as { file: string; verdict: { outcome: string } }[]) {
		const name = path.basename(file, ".yaml") as keyof typeof expected;
		const asExpected = verdict.outcome === expected[name];
		if (!asExpected) surprises += 1;
		console.log(
			`data seed ${seed}  ${name.padEnd(14)} ${verdict.outcome}${asExpected ? "" : `  (expected ${expected[name]})`}`,
		);
	}
}
process.exit(surprises === 0 ? 0 : 1);
