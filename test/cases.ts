// Folders of public faults in small, one a kind, become a line each: whether the product does what the folder's EXPECTED.txt says.
// Run: node test/cases.ts FOLDER [SLUG ...]; says so and ends well where the folder is absent.
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseCommand } from "../actions/lib/follow/slash_command.ts";
import type { Jobs } from "../actions/lib/generated/documents.d.ts";
import { type Case, openCase, python, type Ran, run } from "./case_folder.ts";
import { experiment, files, repository } from "./system/project.ts";

function ensure(holds: unknown, found: string): asserts holds {
	if (!holds) throw new Error(found.trim().slice(-600));
}

/** Refused in a sentence, and not as a bug. */
function refuses({ code, said }: Ran, ...words: RegExp[]): void {
	ensure(code !== 0, `taken: ${said}`);
	ensure(!/a bug in|Traceback/i.test(said), said);
	for (const word of words) ensure(word.test(said), `${word} isn't in: ${said}`);
}

function takes({ code, said }: Ran): void {
	ensure(code === 0, said);
}

const manifestRecipe = (segmentation: string) => `description: The folder's own frames
location: data/case
categories: { detection: [car, person], segmentation: ${segmentation} }
`;

const model = (text: string) => files["recipes/models/mini.yaml"]!.replace("input: { width: 96, height: 64 }", text);
const small = model("input: { width: 64, height: 48 }")
	.replace("heads: [detection, segmentation, lanes]", "heads: [detection, segmentation]")
	.replace("    lanes: { weight: 0.5 }\n", "")
	.replace("global_batch: 8", "global_batch: 2");

const detector = small
	.replace("heads: [detection, segmentation]", "heads: [detection]")
	.replace("    segmentation: { weight: 1 }\n", "");

/** Plans the folder's data, and trains on them where the plan takes them. */
async function planAndTrain(at: Case, segmentation = "[background, road, car]"): Promise<{ plan: Ran; train: Ran }> {
	const cli = await at.project({
		"recipes/data/mini.yaml": manifestRecipe(segmentation),
		"recipes/models/mini.yaml": small,
	});
	const plan = await cli("plan", "experiments/first.yaml");
	if (plan.code !== 0) return { plan, train: plan };
	const train = await cli("--json", "train", "experiments/first.yaml");
	// A job that failed is a state, and no failure of the command that follows it.
	const isDone = train.code === 0 && (JSON.parse(train.out) as Jobs).jobs.every(({ state }) => state === "succeeded");
	return { plan, train: { ...train, code: isDone ? 0 : 1 } };
}

/** Commits files to a data repository at a tag, and plans a recipe that names a path in it. */
async function planPinned(at: Case, names: readonly string[], wanted: string): Promise<Ran> {
	const data = path.join(at.root, "..", "data-repository");
	await mkdir(data);
	const git = (...args: string[]) =>
		run("git", ["-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args], data);
	await git("init", "--quiet");
	for (const name of names) await cp(path.join(at.folder, name), path.join(data, name));
	await git("add", "--force", ...names);
	await git("commit", "--quiet", "--message", "Data");
	await git("tag", "v1");
	const cli = await at.project({
		"recipes/data/mini.yaml": `${manifestRecipe("[background, road, car]")}dvc: { repository: ${data}, path: ${wanted}, revision: v1 }\n`,
		"recipes/models/mini.yaml": small,
	});
	return cli("plan", "experiments/first.yaml");
}

/** The pin was found: what fails is the fetch, for there is no remote. */
function findsPin({ said }: Ran): void {
	ensure(/can't fetch the data|golden_train\.manifest: the file can't be read/.test(said), said);
}

const first = async (at: Case, split = "train") => {
	const ran = await at.imported();
	takes(ran);
	return (await ran.lines(split))[0]!;
};

const CASES: Record<string, (at: Case) => Promise<void>> = {
	async "01-bdd-det20-without-split"(at) {
		const ran = await at.imported();
		refuses(ran, /labels\.json/, /split/);
	},
	async "02-bdd-det20-names"(at) {
		refuses(await at.imported(), /pedestrian/, /bicycle/, /motorcycle/);
	},
	async "03-bdd-video-layout"(at) {
		const ran = await at.imported();
		takes(ran);
		ensure((await ran.lines("train"))[0]!.sequence === "b1-00", "no sequence");
	},
	async "04-sequence-lost"(at) {
		const { sequence, captured } = await first(at);
		ensure(sequence && captured, `sequence ${sequence}, captured ${captured}`);
	},
	async "05-importer-writes-what-the-trainer-refuses"(at) {
		const ran = await at.imported();
		if (ran.code !== 0) return refuses(ran, /attributes/, /\.jpg/);
		const { wet, hour } = (await ran.lines("train"))[0]!.attributes!;
		ensure(typeof wet === "string" && typeof hour === "string", `wet: ${wet}, hour: ${hour}`);
	},
	async "06-scalabel-object"(at) {
		await first(at);
	},
	async "07-exif-rotated"(at) {
		const ran = await at.imported();
		if (ran.code !== 0) return refuses(ran, /EXIF orientation/);
		const code = `import sys, json, numpy as np
from PIL import Image, ImageOps
own = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
made = Image.open(sys.argv[2])
a = np.asarray(own.resize(made.size, Image.Resampling.BOX), float); b = np.asarray(made.convert("RGB"), float)
print(json.dumps(float(abs(a - b).mean())))`;
		const sources = JSON.parse(await readFile(path.join(at.folder, "ann.json"), "utf8")) as {
			images: { file_name: string }[];
		};
		for (const [place, line] of (await ran.lines("train")).entries()) {
			const source = path.join(at.folder, "images", sources.images[place]!.file_name);
			const difference = await at.python<number>(code, source, path.join(ran.made, line["source-ref"]!));
			ensure(difference < 8, `${source}: differs by ${difference} from the upright picture`);
		}
	},
	async "08-png-16-bit"(at) {
		const ran = await at.imported();
		if (ran.code !== 0) return refuses(ran, /a\.png/, /16/);
		const image = path.join(ran.made, (await ran.lines("train"))[0]!["source-ref"]!);
		const white = await at.python<number>(
			"import sys, numpy as np; from PIL import Image; print(float((np.asarray(Image.open(sys.argv[1]).convert('L')) > 250).mean()))",
			image,
		);
		ensure(white < 0.2, `${white * 100} % of the picture is white`);
	},
	async "09-mask-palette"(at) {
		takes((await planAndTrain(at)).train);
	},
	async "10-mask-value-beyond-classes"(at) {
		refuses((await planAndTrain(at)).train, /masks\/\w+\.png/, /\b7\b/, /3 classes|background, road, car/);
	},
	async "11-mask-binary"(at) {
		takes((await planAndTrain(at, "[background, road]")).train);
	},
	async "12-size-of-manifest-is-not-the-images"(at) {
		refuses((await planAndTrain(at)).train, /train0\.png/, /64x48/, /1280x720/);
	},
	async "13-test-frames-in-train"(at) {
		const { plan } = await planAndTrain(at);
		ensure(/test[^.]*\btrain\b|train[^.]*\btest\b/.test(plan.said) && /frame/.test(plan.said), plan.said);
	},
	async "14-plan-passes-what-the-trainer-refuses"(at) {
		const { plan } = await planAndTrain(at);
		refuses(plan, /truck/, /speed/, /no area/);
		ensure(plan.code === 2, `ended with ${plan.code}`);
	},
	async "15-manifest-bom"(at) {
		const { plan, train } = await planAndTrain(at);
		if (plan.code !== 0) refuses(plan, /byte order mark/);
		else takes(train);
	},
	async "16-manifest-u2028"(at) {
		takes((await planAndTrain(at)).train);
	},
	async "17-coco-float-ids"(at) {
		await first(at);
	},
	async "18-coco-string-ids"(at) {
		await first(at);
	},
	async "19-coco-segments"(at) {
		const spec = JSON.parse(await readFile(path.join(at.folder, "spec.json"), "utf8"));
		const ran = await at.imported();
		if (spec.categories.segmentation.length === 0 || ran.code !== 0) return;
		ensure((await ran.lines("train"))[0]!["segmentation-ref"], "no mask");
	},
	async "20-coco-same-picture-twice"(at) {
		const ran = await at.imported();
		ensure(/a\.jpg/.test(ran.said) && /twice|same|too; keep one/.test(ran.said), ran.said);
	},
	async "21-tusimple-beyond-the-left-edge"(at) {
		const { lanes } = await first(at);
		ensure(lanes!.length === 1 && lanes![0]!.every(([x]) => x! >= 0), JSON.stringify(lanes));
	},
	async "22-trajectory-jitter"(at) {
		const ran = await at.imported();
		if (ran.code !== 0) return refuses(ran, /a\.txt/);
		const lines = await ran.lines("train");
		const windows = lines.reduce((sum, { tracks = [] }) => sum + tracks.length, 0);
		ensure(windows > 400 || /\d+ (of|rows|positions)/.test(ran.said), `${windows} windows, and it says: ${ran.said}`);
	},
	async "23-trajectory-map-coordinates"(at) {
		const moved = await at.imported();
		takes(moved);
		const table = await readFile(path.join(at.folder, "a.txt"), "utf8");
		const near = table.replace(/^(\S+)\t(\S+)\t(\S+)\t(\S+)$/gm, (_, frame, id, x, y) =>
			[frame, id, (Number(x) - 691234).toFixed(3), (Number(y) - 5334567).toFixed(3)].join("\t"),
		);
		await writeFile(path.join(at.folder, "a.txt"), near);
		const origin = await at.imported();
		takes(origin);
		const steps = async (out: string) =>
			at.python<number[]>(
				`import sys, json, numpy as np
from pathlib import Path
from proving_ground.config import Architecture, Data, Tracks, TrajectoryHead
from proving_ground.data.dataset import FrameDataset
from proving_ground.data.manifest import read_manifest
out = Path(sys.argv[1])
frames = read_manifest(out / "golden_train.manifest", None, [])
data = Data(name="x", version="x", manifests={}, slices=None, detection=(), segmentation=(), tracks=Tracks(past=4, future=4, step_seconds=0.4))
network = Architecture(width=0, height=0, widths=(), depth=0, neck=0, heads=("trajectory",), trajectory=TrajectoryHead(modes=1, hidden=8))
dataset = FrameDataset(out, frames, data, network)
pasts = [dataset.inputs(index)["past"] for index in range(len(frames))]
print(json.dumps(np.diff(np.concatenate(pasts).astype(float), axis=1).ravel().tolist()))`,
				out,
			);
		const [far, close] = [await steps(moved.made), await steps(origin.made)];
		ensure(far.length === close.length && far.length > 0, "other windows");
		const most = Math.max(...far.map((step, place) => Math.abs(step - close[place]!)));
		ensure(most < 1e-4, `steps differ by ${most} m`);
	},
	async "24-dvc-inside-a-tracked-folder"(at) {
		const ran = await planPinned(at, ["data.dvc"], "data/scenes");
		if (!/name data/.test(ran.said)) findsPin(ran);
	},
	async "25-dvc-lock-over-64-kib"(at) {
		findsPin(await planPinned(at, ["dvc.lock"], "ready/007"));
	},
	async "26-dvc-yaml-anchors"(at) {
		findsPin(await planPinned(at, ["dvc.yaml", "dvc.lock"], "ready"));
	},
	async "27-dvc-cloud-versioned"(at) {
		const ran = await planPinned(at, ["clips.dvc"], "clips");
		if (!/version_aware|cloud versioning/.test(ran.said)) findsPin(ran);
	},
	async "28-experiment-yml"(at) {
		const cli = await at.project();
		await cp(path.join(at.folder, "second.yml"), path.join(at.root, "experiments/second.yml"));
		refuses(await cli("validate"), /second\.yml/, /second\.yaml/);
		refuses(await cli("plan", "experiments/second.yml"), /second\.yaml/);
	},
	async "29-experiment-utf-16"(at) {
		const cli = await at.project();
		await cp(path.join(at.folder, "first.yaml"), path.join(at.root, "experiments/first.yaml"));
		refuses(await cli("validate"), /UTF-16/, /UTF-8/);
	},
	async "30-why-cut-at-a-hash"(at) {
		const cli = await at.project();
		const [name] = (await readdir(at.folder)).filter((file) => file.endsWith(".yaml"));
		const text = await readFile(path.join(at.folder, name!), "utf8");
		const why = /^why: .*$/m.exec(text)![0];
		await writeFile(path.join(at.root, "experiments/first.yaml"), experiment({}).replace(/^why: .*$/m, why));
		const { said } = await cli("validate");
		ensure(/first\.yaml/.test(said) && /why/.test(said) && /#/.test(said), said);
	},
	async "31-renamed-experiment"(at) {
		const cli = await at.project();
		const planned = async (name: string) => {
			const ran = await cli("--json", "plan", `experiments/${name}.yaml`);
			takes(ran);
			return (JSON.parse(ran.out) as { run: { id: string } }).run.id;
		};
		const before = await planned("first");
		await rename(path.join(at.root, "experiments/first.yaml"), path.join(at.root, "experiments/renamed.yaml"));
		const after = await planned("renamed");
		ensure(before === after, `${before}, then ${after}`);
	},
	async "32-numba-without-a-cache"(at) {
		const locked = path.join(at.folder, "locked");
		await mkdir(locked);
		await cp(path.join(repository, "trainer/proving_ground"), path.join(locked, "proving_ground"), {
			recursive: true,
			filter: (file) => !file.endsWith("__pycache__"),
		});
		// A file in the way: nobody, root neither, can make the folder that a cache lies in.
		for (const folder of await readdir(path.join(locked, "proving_ground"), { recursive: true, withFileTypes: true }))
			if (folder.isDirectory()) await writeFile(path.join(folder.parentPath, folder.name, "__pycache__"), "");
		await writeFile(path.join(locked, "proving_ground/__pycache__"), "");
		const env = { PYTHONPATH: locked, HOME: "/dev/null", PYTHONDONTWRITEBYTECODE: "1", XDG_CACHE_HOME: "/dev/null" };
		takes(await run(python, ["-c", "import proving_ground.evaluate, proving_ground.train"], at.folder, env));
	},
	async "33-huge-image"(at) {
		const spec = path.join(at.folder, "spec.json");
		await writeFile(spec, JSON.stringify({ categories: { detection: ["car", "person"], segmentation: [] } }));
		const ran = await at.trainer("check", at.folder, "--spec", spec);
		if (ran.code !== 0) refuses(ran, /h\.png/, /20000x10000/);
	},
	async "34-warmup-longer-than-the-run"(at) {
		const text = await readFile(path.join(at.folder, "first.yaml"), "utf8");
		const train = /^train: .*$/m.exec(text)![0];
		const cli = await at.project({ "experiments/first.yaml": experiment({ more: `${train}\n` }) });
		const ran = await cli("plan", "experiments/first.yaml");
		ensure(/warmup_steps/.test(ran.said) && /5000/.test(ran.said), ran.said);
	},
	async "35-stop-with-a-capital"(at) {
		const bodies = JSON.parse(await readFile(path.join(at.folder, "comments.json"), "utf8")) as string[];
		for (const body of bodies) {
			const command = parseCommand(body);
			ensure(typeof command === "object" && command?.name === "stop", `no stop in ${JSON.stringify(body)}`);
		}
	},
	async "40-import-is-stale"(at) {
		const spec = JSON.parse(await readFile(path.join(at.folder, "spec.json"), "utf8"));
		const { categories, ...importer } = spec;
		for (const split of Object.values<Record<string, string>>(importer.splits)) {
			split["images"] = path.join(at.folder, split["images"]!);
			split["annotations"] = path.join(at.folder, split["annotations"]!);
		}
		const recipe = `description: x\nlocation: data/case\ncategories: ${JSON.stringify(categories)}\nimporter: ${JSON.stringify(importer)}\n`;
		await rm(path.join(at.folder, "golden_train.manifest"), { force: true });
		const cli = await at.project({
			"recipes/data/mini.yaml": recipe,
			"recipes/models/mini.yaml": detector,
			"recipes/gates/lenient.yaml": files["recipes/gates/lenient.yaml"]!.replace("miou", "map"),
		});
		const dataset = async () =>
			(await readdir(path.join(at.root, ".proving-ground/data"), { recursive: true })).filter((file) =>
				file.endsWith("golden_train.manifest"),
			);
		const begun = await cli("plan", "experiments/first.yaml");
		ensure(existsSync(path.join(at.root, ".proving-ground/data")), begun.said);
		const known = await Promise.all(
			(await dataset()).map((file) => readFile(path.join(at.root, ".proving-ground/data", file), "utf8")),
		);
		await cp(path.join(at.folder, "ann-2.json"), path.join(at.folder, "ann.json"));
		const again = await cli("plan", "experiments/first.yaml");
		const now = await Promise.all(
			(await dataset()).map((file) => readFile(path.join(at.root, ".proving-ground/data", file), "utf8")),
		);
		const isAnew = now.some((text) => !known.includes(text));
		ensure(isAnew || /ann\.json/.test(again.said), again.said);
	},
};

/** Cases that are no data's, or that this project doesn't answer by a command. */
const NOT_YET = ["36", "37", "38", "39"];

const [from, ...wanted] = process.argv.slice(2);
if (from === undefined || !existsSync(from)) {
	console.log(`${from ?? "The folder of cases"} is absent: no case was tried.`);
	process.exit(0);
}
const slugs = (await readdir(from)).filter((slug) => /^\d\d-/.test(slug)).sort();
let failed = 0;
let tried = 0;
for (const slug of slugs) {
	if (wanted.length > 0 && !wanted.some((start) => slug.startsWith(start))) continue;
	const check = CASES[slug];
	if (!check) {
		console.log(`${slug}: ${NOT_YET.includes(slug.slice(0, 2)) ? "not tried here" : "unknown"}`);
		continue;
	}
	const work = await mkdtemp(path.join(tmpdir(), "case-"));
	tried += 1;
	try {
		await check(await openCase(path.join(from, slug), work));
		console.log(`${slug}: as expected`);
	} catch (error) {
		failed += 1;
		console.log(`${slug}: NOT AS EXPECTED: ${(error as Error).message.replaceAll("\n", "\n    ")}`);
	} finally {
		await rm(work, { recursive: true, force: true });
	}
}
console.log(`${tried - failed} of ${tried} cases are as expected.`);
process.exit(failed === 0 ? 0 : 1);
