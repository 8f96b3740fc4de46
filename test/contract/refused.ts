// Experiment files and data recipes that must be refused, one mistake each: a name, and the file's text made from a good one.

const good = `model: perception-hydranet
recipe: hydranet-small
data: scenes
machine: laptop
gates: perception
why: A good file, to be broken
train:
  epochs: 8
  learning_rate: 0.002
`;
const replace = (found: string, by: string) => good.replace(found, by);
const add = (text: string) => good + text;

/** The good file, which must be accepted. */
export const accepted = good;

/** Every bad file by the mistake that its author made. */
export const refused: Record<string, string> = {
	"an empty file": "",
	"nothing but a comment": "# later\n",
	"a list instead of a mapping": "- model: perception-hydranet\n",
	"a single word": "perception-hydranet\n",
	"a key misspelt": replace("recipe:", "recepie:"),
	"a key misspelt inside train": replace("learning_rate", "learnig_rate"),
	"a key of another tool": add("command: [python, train.py]\n"),
	"model missing": replace("model: perception-hydranet\n", ""),
	"why missing": replace("why: A good file, to be broken\n", ""),
	"everything missing but why": "why: nothing else\n",
	"why empty": replace("A good file, to be broken", '""'),
	"why left open": replace("why: A good file, to be broken", "why:"),
	"why far too long": replace("A good file, to be broken", "x".repeat(501)),
	"a recipe that doesn't exist": replace("hydranet-small", "resnet-giant"),
	"a recipe misspelt": replace("hydranet-small", "hydranet-smal"),
	"data that doesn't exist": replace("data: scenes", "data: waymo"),
	"a machine that doesn't exist": replace("laptop", "laptpo"),
	"gates that don't exist": replace("gates: perception", "gates: planning"),
	"a recipe by path": replace("hydranet-small", "../../etc/passwd"),
	"a recipe with capitals": replace("hydranet-small", "HydraNet-Small"),
	"a recipe as a number": replace("hydranet-small", "42"),
	"a recipe as a list": replace("hydranet-small", "[hydranet-small, hydranet-tiny]"),
	"epochs as text": replace("epochs: 8", 'epochs: "8"'),
	"epochs zero": replace("epochs: 8", "epochs: 0"),
	"epochs negative": replace("epochs: 8", "epochs: -3"),
	"epochs with a fraction": replace("epochs: 8", "epochs: 7.5"),
	"epochs beyond measure": replace("epochs: 8", "epochs: 10001"),
	"learning rate zero": replace("learning_rate: 0.002", "learning_rate: 0"),
	"learning rate with a comma": replace("learning_rate: 0.002", "learning_rate: 0,002"),
	"learning rate infinite": replace("learning_rate: 0.002", "learning_rate: .inf"),
	"learning rate not a number": replace("learning_rate: 0.002", "learning_rate: .nan"),
	"learning rate that overflows": replace("learning_rate: 0.002", "learning_rate: 1e999"),
	"a seed past 2^53": add("seed: 9007199254740993\n"),
	"a seed past 32 bits": add("seed: 4294967296\n"),
	"a precision misspelt": add("  precision: bf-16\n"),
	"train as a list": replace("train:\n  epochs: 8\n  learning_rate: 0.002\n", "train: [epochs, 8]\n"),
	"a batch that the processes don't divide": add("  global_batch: 33\n"),
	"a loss for a head that isn't there": add("  loss: { trajectory: { weight: 1 } }\n"),
	"a loss setting misspelt": add("  loss: { detection: { gama: 2.5 } }\n"),
	"weights of a version zero": add("weights: { version: 0 }\n"),
	"weights from nowhere": add("weights: { leave: [heads.lanes] }\n"),
	"weights from two places": add("weights: { version: 1, production: true }\n"),
	"weights by a word": add("weights: production\n"),
	"weights that aren't production's": add("weights: { production: false }\n"),
	"weights at a place without a digest": add("weights: { uri: models/pretrained }\n"),
	"a digest without a place": add(`weights: { version: 1, sha256: "sha256:${"0".repeat(64)}" }\n`),
	"a digest cut short": add('weights: { uri: models/pretrained, sha256: "sha256:00" }\n'),
	"a name renamed to nothing": add('weights: { version: 1, rename: { encoder: "" } }\n'),
	"replayed data that don't exist": add("replay: { data: waymo, share: 0.2 }\n"),
	"replay without a share": add("replay: { data: scenes }\n"),
	"replay of nothing": add("replay: { data: scenes-more-night, share: 0 }\n"),
	"replay alone": add("replay: { data: scenes-more-night, share: 1 }\n"),
	"replay of less than a frame": add("replay: { data: scenes-more-night, share: 0.001 }\n"),
	"a window without an end": add("window: { from: 2026-11-01 }\n"),
	"a window of days without a length": add("window: { days: 28 }\n"),
	"a window in another order of day and month": add("window: { from: 01.11.2026, to: 2026-11-28 }\n"),
	"a window to a day that no calendar has": add("window: { from: 2026-02-01, to: 2026-02-30 }\n"),
	"a window that ends before it begins": add("window: { from: 2026-11-28, to: 2026-11-01 }\n"),
	"the same key twice": add("model: other\n"),
	"an anchor and its alias": replace(
		"recipe: hydranet-small\ndata: scenes",
		"recipe: &name hydranet-small\ndata: *name",
	),
	"a merge key": add("more:\n  <<: { epochs: 3 }\n"),
	"a tag": replace("why: A good", "why: !!python/object A good"),
	"a second document": add("---\nmodel: other\n"),
	"a poisoned key": add("__proto__: { admin: true }\n"),
	"a constructor for a key": replace("  epochs: 8", "  constructor: 8"),
	"a tab for an indent": replace("  epochs", "\tepochs"),
	"a bracket left open": add("notes: [one, two\n"),
	"a quote left open": replace("A good file, to be broken", '"A good file'),
	"a colon in plain text": replace("A good file, to be broken", "note: this: that"),
	"a template from another tool": replace("hydranet-small", "{{ recipe }}"),
	"half of a character": replace("A good file, to be broken", '"\\uD800"'),
	"a key that is a list": add("? [a, b]\n: c\n"),
	"a file of 70,000 bytes": add(`# ${"x".repeat(70_000)}\n`),
	"a file nested without end": add(`deep: ${"[".repeat(5000)}\n`),
	"several mistakes at once":
		"model: Perception\nrecipe: hydranet-smal\ndata: scenes\nmachine: laptop\ngates: perception\nwhy: x\ntrain: { epochs: 0, momentum: 0.9 }\n",
};

const goodData = `description: A good recipe, to be broken
location: data/mine
categories: { detection: [vehicle, pedestrian, rider], segmentation: [road] }
tracks: { past: 8, future: 12, step_seconds: 0.4 }
`;
const slices = `  slices:
    - { name: night, where: { timeofday: night } }
    - { name: night-pedestrian, where: { timeofday: night }, category: pedestrian }
`;
const size = "  width: 192\n  height: 112\n";
const each = (split: string) => `  splits: { train: ${split}, val: ${split}, test: ${split} }\n`;
const coco = `${goodData}importer:\n  name: coco\n${size}${each("{ images: a, annotations: b.json }")}${slices}`;
const bdd = `${goodData}importer:\n  name: bdd100k\n  labels: a.json\n  images: a\n${size}${each("{ split: train }")}${slices}`;
const det20 = bdd
	.replace("  labels: a.json\n  images: a\n", "")
	.replaceAll("{ split: train }", "{ labels: a.json, images: a }");
const tusimple = `${goodData}importer:\n  name: tusimple\n${size}${each("{ images: a, labels: b.json }")}${slices}`;
const trajectories = `${goodData}importer:\n  name: trajectories\n  past: 8\n  future: 12\n  step_seconds: 0.4\n${each("[a.txt, b.txt]")}${slices}`;
const shares = "by: sequence, seed: 1, shares: { train: 0.8, val: 0.1, test: 0.1 }";
const ofShares = (more = "") => `  splits: { ${shares}${more} }\n`;
const index = `${goodData}importer:
  name: index
  file: a.jsonl
  images: .
${size}  columns:
    image: file
    boxes: { column: objects.box, categories: objects.label, form: xywh, unit: absolute }
    sequence: drive
${ofShares()}${slices}`;
const nuscenes = `${goodData}importer:
  name: nuscenes
  root: a
  version: v1.0-mini
  cameras: [CAM_FRONT]
  tracks: { past: 8, future: 12, step_seconds: 0.4, frame: ego }
${size}${each("[scene-0061]")}${slices}`;
const cityscapes = `${goodData}importer:\n  name: cityscapes\n  root: a\n${size}${each("{ split: val, cities: [aachen] }")}${slices}`;
const culane = `${goodData}importer:\n  name: culane\n  root: a\n${size}${each("{ list: list/val.txt }")}${slices}`;
const masks = (say: string) => `${goodData.replace("[road]", "[background, road]")}masks: { ${say} }\n`;
const pinned = `${goodData}dvc:\n  repository: https://github.com/acme/driving-data\n  path: data/scenes\n  revision: v2\n`;
const local = `${goodData}dvc: { file: data/mine.dvc }\n`;

/** Good data recipes, which must be accepted. */
export const acceptedData: Record<string, string> = {
	"a folder alone": goodData,
	"binary masks": masks("values: { background: 0, road: 255 }"),
	"masks with a void": masks("ignore: [2, 65535]"),
	"masks of colours, with a void": masks('values: { background: "#000000", road: "#804080" }, ignore: ["#FFFFFF"]'),
	"shards of a folder": `${goodData}shards: { megabytes: 256 }\n`,
	"COCO's JSON": coco,
	"BDD100K's list": bdd,
	"BDD100K by sequence": bdd.replace(each("{ split: train }"), ofShares()),
	"BDD100K's files, one for each split": det20,
	"TuSimple's labels": tusimple,
	"TuSimple's masks": tusimple.replaceAll("labels: b.json", "masks: b, frames: 3, skip: 1"),
	"tables of positions": trajectories,
	"an index by sequence": index,
	"an index with masks of other values": index
		.replace("image: file\n", "image: file\n    mask: mask\n")
		.replace("location:", "masks: { values: { road: 1 } }\nlocation:"),
	"an index by a column": index.replace(ofShares(), "  splits: { column: fold, train: [a], val: [b], test: [c, d] }\n"),
	"nuScenes by its scenes": nuscenes,
	"Cityscapes by its cities": cityscapes,
	"CULane by its lists": culane,
	"CULane by sequence": culane.replace(each("{ list: list/val.txt }"), ofShares(", lists: [list/val.txt]")),
	"COCO by sequence": coco.replace(
		each("{ images: a, annotations: b.json }"),
		ofShares(", images: a, annotations: b.json"),
	),
	"a revision that DVC pins": pinned,
	"a .dvc file": local.replace("mine.dvc", "mine.dvc, remote: storage"),
};

/** Every bad data recipe by the mistake that its author made. */
export const refusedData: Record<string, string> = {
	"masks of an importer that makes its own": `${coco}masks: { ignore: [11] }\n`,
	"an importer misspelt": coco.replace("coco", "cocoa"),
	"an importer without its settings": `${goodData}importer: { name: coco }\n`,
	"a setting of another importer": coco.replace("importer:\n", "importer:\n  labels: labels.json\n"),
	"COCO without annotations": coco.replace("train: { images: a, annotations: b.json }", "train: { images: a }"),
	"COCO at no size": coco.replace("width: 192", "width: 0"),
	"BDD100K by sequence without labels": bdd
		.replace(each("{ split: train }"), ofShares())
		.replace("  labels: a.json\n", ""),
	"BDD100K without labels": bdd.replace("  labels: a.json\n", ""),
	"BDD100K without images in a split": det20.replace(
		"train: { labels: a.json, images: a }",
		"train: { labels: a.json }",
	),
	"BDD100K's frames of any split": bdd.replace("train: { split: train }", "train: { frames: 5 }"),
	"TuSimple with labels and masks": tusimple.replace("labels: b.json", "labels: b.json, masks: c"),
	"TuSimple without either": tusimple.replace("train: { images: a, labels: b.json }", "train: { images: a }"),
	"a split missing": coco.replace(", test: { images: a, annotations: b.json }", ""),
	"an index without a form of its boxes": index.replace(", form: xywh", ""),
	"an index without a path of its images": index.replace("    image: file\n", ""),
	"shares without a seed": index.replace("seed: 1, ", ""),
	"a share of nothing": index.replace("val: 0.1", "val: 0"),
	"sequences of a split that has none": culane.replace(each("{ list: list/val.txt }"), ofShares()),
	"Cityscapes' test, which has no labels": cityscapes.replace("test: { split: val", "test: { split: test"),
	"nuScenes by its scenes and by sequence": nuscenes.replace("splits: { ", `splits: { ${shares}, `),
	"nuScenes' tracks of another shape than the recipe's": nuscenes.replace(
		"past: 8, future: 12, step_seconds: 0.4, f",
		"past: 4, future: 6, step_seconds: 0.5, f",
	),
	"nuScenes' tracks, and none in the recipe": nuscenes.replace(/^tracks.*\n/m, ""),
	"tables without a file": trajectories.replace("train: [a.txt, b.txt]", "train: []"),
	"a table twice": trajectories.replace("train: [a.txt, b.txt]", "train: [a.txt, a.txt]"),
	"a past of one point": trajectories.replaceAll("past: 8", "past: 1"),
	"tracks of another shape than the importer's": trajectories
		.replace("{ past: 8, future: 12", "{ past: 4, future: 6")
		.replace("  step_seconds: 0.4\n", "  step_seconds: 0.5\n"),
	"an importer of tracks, and no tracks": trajectories.replace(/^tracks.*\n/m, ""),
	"tracks without a step": goodData.replace(", step_seconds: 0.4", ""),
	"time that stands still": goodData.replace("step_seconds: 0.4", "step_seconds: 0"),
	"shards of no size": `${goodData}shards: { megabytes: 0 }\n`,
	"shards as a number": `${goodData}shards: 256\n`,
	"shards with a fraction": `${goodData}shards: { megabytes: 0.5 }\n`,
	"masks that name another class than there are, and leave one out": masks("values: { rode: 255 }"),
	"masks with one value for two classes": masks("values: { background: 0, road: 0 }"),
	"masks that ignore a class": masks("ignore: [1]"),
	"masks of numbers and colours": masks('values: { background: 0, road: "#804080" }'),
	"masks of more than 16 bits": masks("ignore: [65536]"),
	"masks with a colour by its name": masks("values: { background: black, road: red }"),
	"masks that say nothing": `${goodData}masks: {}\n`,
	"an importer and DVC": `${coco}dvc: { file: data/mine.dvc }\n`,
	"DVC from nowhere": `${goodData}dvc: {}\n`,
	"a .dvc file and a repository": local.replace("file: data/mine.dvc", "file: data/mine.dvc, repository: ../data"),
	"a .dvc file that isn't one": local.replace("mine.dvc", "mine.yaml"),
	"a revision missing": pinned.replace(/ {2}revision.*\n/, ""),
	"a revision that is an option": pinned.replace("v2", "--upload-pack=sh"),
	"a revision as a number": pinned.replace("v2", "2"),
	"a remote that is an option": local.replace("data/mine.dvc", "data/mine.dvc, remote: --all"),
};

const goodProposal = `description: A good proposal, to be broken
on: { schedule: weekly, since: 2026-11-23 }
priority: 10
max_open: 2
window: { days: 28 }
experiment:
${good.replaceAll(/^/gm, "  ").trimEnd()}
`;
const goodEvent = goodProposal
	.replace("{ schedule: weekly, since: 2026-11-23 }", "{ event: dataset.published, data: scenes }")
	.replace("max_open: 2\nwindow: { days: 28 }\n", "");
const propose = (found: string, by: string) => goodProposal.replace(found, by);
const listen = (found: string, by: string) => goodEvent.replace(found, by);

/** Good proposals, which must be accepted. */
export const acceptedProposals: Record<string, string> = {
	"a weekly window": goodProposal,
	"a nightly window": propose("weekly", "nightly"),
	"no more than it needs": propose("priority: 10\nmax_open: 2\nwindow: { days: 28 }\n", ""),
	"data that are published": goodEvent,
	"a slice that is mined": listen("dataset.published, data: scenes", "slice.mined"),
};

/** Every bad proposal by the mistake that its author made. */
export const refusedProposals: Record<string, string> = {
	"a key misspelt": propose("priority", "prio"),
	"a schedule misspelt": propose("weekly", "weekley"),
	"a schedule without a beginning": propose(", since: 2026-11-23", ""),
	"a schedule as cron has it": propose("weekly", '"0 3 * * 1"'),
	"a beginning that no calendar has": propose("2026-11-23", "2026-11-31"),
	"a beginning in words": propose("2026-11-23", "monday"),
	"on nothing": propose("{ schedule: weekly, since: 2026-11-23 }", "{}"),
	"on a word": propose("{ schedule: weekly, since: 2026-11-23 }", "weekly"),
	"a schedule and an event": propose("weekly,", "weekly, event: slice.mined,"),
	"an event misspelt": listen("dataset.published", "dataset.publish"),
	"an event without data": listen(", data: scenes }", " }"),
	"an event of other data than it trains on": listen("data: scenes }", "data: scenes-more-night }"),
	"a slice that is mined from data": listen("dataset.published", "slice.mined"),
	"an event that waits": `${goodEvent}max_open: 2\n`,
	"an event with a window": `${goodEvent}window: { days: 28 }\n`,
	"a window of no days": propose("days: 28", "days: 0"),
	"a window of dates": propose("{ days: 28 }", "{ from: 2026-11-01, to: 2026-11-28 }"),
	"two windows": `${goodProposal}  window: { from: 2026-11-01, to: 2026-11-28 }\n`,
	"none open at all": propose("max_open: 2", "max_open: 0"),
	"a priority with a fraction": propose("priority: 10", "priority: 1.5"),
	"no experiment": goodProposal.replace(/experiment:[\s\S]*/, ""),
	"an experiment without a model": propose("  model: perception-hydranet\n", ""),
	"a key of the experiment misspelt": propose("recipe:", "recepie:"),
	"an experiment's recipe that doesn't exist": propose("hydranet-small", "hydranet-smal"),
	"an experiment's setting beyond measure": propose("epochs: 8", "epochs: 0"),
	"an experiment's batch that the processes don't divide": `${goodProposal}    global_batch: 33\n`,
};
