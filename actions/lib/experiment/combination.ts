// Files that are each right become the problems of their combination: what one asks for and no other gives.
import type { Problem } from "../errors.ts";
import type { Data } from "../generated/documents.d.ts";
import { isLatency, isLowerBetter } from "../metrics.ts";
import { notAmong, problemAt } from "../text/problems.ts";
import { producedMetrics } from "./produced_metrics.ts";
import { type DeclaredSlices, type Head, type ResolvedExperiment, settingAt } from "./resolved.ts";
import { checkWaived } from "./waiver_file.ts";
import { checkWindow } from "./window.ts";

/** Problems that no file has on its own; `slices` is null where the dataset is not there yet. */
export function checkCombination(resolved: ResolvedExperiment, declared: DeclaredSlices | null): Problem[] {
	const slices = declared?.list ?? null;
	return [
		...checkHeads(resolved),
		...checkArchitecture(resolved),
		...checkData(resolved),
		...checkMasks(resolved),
		...checkTraining(resolved),
		...checkWindow(resolved),
		...checkSlices(resolved, declared),
		...checkRules(resolved, slices),
		...checkWaived(resolved, slices),
	];
}

function checkHeads({ experiment, model, data, heads }: ResolvedExperiment): Problem[] {
	const { categories } = data.value;
	const problems: Problem[] = [];
	for (const head of ["detection", "segmentation"] as const) {
		if (heads.includes(head) && categories[head].length === 0) {
			problems.push(
				problemAt(
					experiment.source,
					"/data",
					`${data.source.file} has no categories for ${head}, but ${model.source.file} has a ${head} head: choose other data, a recipe without that head, or list it in optional_heads`,
				),
			);
		}
	}
	if (heads.includes("trajectory") && !data.value.tracks) {
		const message = `${data.source.file} has no tracks, but ${model.source.file} has a trajectory head: choose other data, or a recipe without that head`;
		problems.push(problemAt(experiment.source, "/data", message));
	}
	for (const [where, losses] of [
		[model.source, model.value.train.loss],
		[experiment.source, experiment.value.train?.loss ?? {}],
	] as const) {
		for (const head of Object.keys(losses) as Head[]) {
			const known = model.value.architecture.heads;
			if (!known.includes(head)) {
				problems.push(
					problemAt(
						where,
						`/train/loss/${head}`,
						`found a loss for ${head}, but ${model.source.file} has no such head; ${notAmong(head, known, "its heads")}`,
						"key",
					),
				);
			}
		}
	}
	for (const head of heads) {
		if (!(head in model.value.train.loss)) {
			problems.push(
				problemAt(model.source, "/train/loss", `no loss for the head ${head}; add train.loss.${head}`, "key"),
			);
		}
	}
	return problems;
}

function checkArchitecture({ model: { source, value } }: ResolvedExperiment): Problem[] {
	const { heads, trajectory } = value.architecture;
	const problems: Problem[] = [];
	const sees = heads.some((head) => head !== "trajectory");
	for (const key of ["input", "backbone", "neck"] as const) {
		const there = value.architecture[key] !== undefined;
		if (there === sees) continue;
		const message = sees
			? `architecture.${key} is missing: the heads ${heads.join(", ")} need it to see images`
			: `architecture.${key} has no use here, because no head sees images: remove it`;
		problems.push(problemAt(source, there ? `/architecture/${key}` : "/architecture", message, "key"));
	}
	if (heads.includes("trajectory") !== (trajectory !== undefined)) {
		const message = trajectory
			? "architecture.trajectory is set, but trajectory is not among the heads"
			: "architecture.trajectory is missing: the head needs modes and hidden";
		problems.push(problemAt(source, trajectory ? "/architecture/trajectory" : "/architecture", message, "key"));
	}
	return problems;
}

function checkData({ data: { source, value } }: ResolvedExperiment): Problem[] {
	const { dvc, importer, tracks } = value;
	if (dvc && importer) {
		const message = "a recipe gets its data from an importer or from DVC, not from both: remove importer or dvc";
		return [problemAt(source, "/dvc", message, "key")];
	}
	if (importer?.name === "bdd100k") return checkLabels(source, importer as unknown as Labelled);
	const made = (importer?.name === "trajectories" ? importer : importer?.["tracks"]) as Data["tracks"] | undefined;
	if (!made) return [];
	const shape = ["past", "future", "step_seconds"] as const;
	const asked = shape.map((key) => `${key}: ${made[key]}`).join(", ");
	if (!tracks) return [problemAt(source, "/importer", `the importer makes tracks: add tracks: { ${asked} }`, "key")];
	return shape
		.filter((key) => tracks[key] !== made[key])
		.map((key) =>
			problemAt(
				source,
				`/tracks/${key}`,
				`tracks.${key}: found ${tracks[key]}, but the importer makes ${made[key]}; they must be the same`,
			),
		);
}

/** What BDD100K's importer is told of its files: of all splits, or of each. */
type Labelled = Record<"labels" | "images", unknown> & { splits: Record<string, Record<string, unknown>> };

/** Each split has labels and images, and its frames are told by `split` or by a label file of its own. */
function checkLabels(source: ResolvedExperiment["data"]["source"], importer: Labelled): Problem[] {
	if (importer.splits["by"] !== undefined)
		return (["labels", "images"] as const)
			.filter((key) => importer[key] === undefined)
			.map((key) => problemAt(source, "/importer", `importer: it has no ${key}, which splits by sequence need`, "key"));
	return Object.entries(importer.splits).flatMap(([split, own]) => {
		const at = (message: string) =>
			problemAt(source, `/importer/splits/${split}`, `splits.${split}: ${message}`, "key");
		const problems = (["labels", "images"] as const)
			.filter((key) => importer[key] === undefined && own[key] === undefined)
			.map((key) => at(`it has no ${key}: write importer.${key} for all splits, or ${key} here`));
		if (own["labels"] === undefined && own["split"] === undefined)
			problems.push(
				at("found neither split nor labels: write which frames of the label file it takes, or a label file"),
			);
		return problems;
	});
}

function checkMasks({ data: { source, value } }: ResolvedExperiment): Problem[] {
	const { importer, masks } = value;
	const columns = (importer?.["columns"] ?? {}) as Record<string, unknown>;
	if (masks && importer && columns["mask"] === undefined) {
		const message = "masks: the importer makes masks of class indices, or none; remove masks";
		return [problemAt(source, "/masks", message, "key")];
	}
	const classes = value.categories.segmentation;
	const { values, ignore = [] } = masks ?? {};
	const problems: Problem[] = [];
	for (const name of Object.keys(values ?? {}).filter((name) => !classes.includes(name))) {
		const message = `masks.values: found ${name}; ${notAmong(name, classes, "the classes of categories.segmentation")}`;
		problems.push(problemAt(source, "/masks/values", message, "key"));
	}
	const missing = values ? classes.filter((name) => !Object.hasOwn(values, name)) : [];
	if (missing.length > 0) {
		const message = `masks.values: no value for ${missing.join(", ")}; each class of categories.segmentation needs one`;
		problems.push(problemAt(source, "/masks/values", message, "key"));
	}
	const every = [...(values ? Object.values(values) : classes.keys()), ...ignore].map((it) =>
		typeof it === "string" ? it.toLowerCase() : it,
	);
	if (new Set(every.map((it) => typeof it)).size > 1) {
		const message = `masks: found ${every.join(", ")}; they must be all numbers, or all colours with a colour for each class in masks.values`;
		problems.push(problemAt(source, "/masks", message, "key"));
	}
	const twice = every.find((it, at) => every.indexOf(it) !== at);
	if (twice !== undefined) {
		const message = `masks: the value ${twice} has two meanings; each value must have one`;
		problems.push(problemAt(source, "/masks", message, "key"));
	}
	return problems;
}

function checkTraining(resolved: ResolvedExperiment): Problem[] {
	const { experiment, model, machine, train, heads } = resolved;
	const { processes } = machine.value;
	const { global_batch, accumulation = 1 } = train;
	const problems: Problem[] = [];
	const at = (key: keyof typeof train, message: string) => problems.push(settingAt(resolved, key, message));
	if (global_batch % (processes * accumulation) !== 0) {
		const parts = accumulation === 1 ? "" : ` with ${accumulation} accumulated parts each`;
		const message = `train.global_batch: found ${global_batch}; it must be a multiple of ${processes * accumulation}, for the ${processes} processes of ${machine.source.file}${parts}`;
		at("global_batch", message);
	}
	const { replay } = experiment.value;
	if (replay) {
		const old = Math.round(replay.share * global_batch);
		if (old === 0 || old === global_batch) {
			const message = `replay.share: ${replay.share} of a global batch of ${global_batch} is ${old} frames; each batch needs both old and new frames`;
			problems.push(problemAt(experiment.source, "/replay/share", message));
		}
	}
	if (train.augment?.mosaic && heads.includes("lanes")) {
		at(
			"augment",
			"train.augment.mosaic: the lanes head needs lanes that reach the bottom of the image, and a mosaic cuts them; remove mosaic or the lanes head",
		);
	}
	const parts = ["backbone", "neck", ...heads.map((head) => `heads.${head}`)];
	for (const part of train.freeze ?? []) {
		if (!parts.includes(part)) at("freeze", `train.freeze: found ${part}; ${notAmong(part, parts, "parts")}`);
	}
	const image = heads.filter((head) => head !== "trajectory");
	if (train.balance?.method === "gradnorm" && image.length < 2) {
		at(
			"balance",
			`train.balance: gradnorm balances heads that share a backbone, but there is ${image.length === 1 ? "only one" : "none"}`,
		);
	}
	if (train.balance?.method === "curriculum") {
		for (const head of Object.keys(train.balance.start)) {
			if (!model.value.architecture.heads.includes(head as Head))
				at("balance", `train.balance.start: found ${head}; ${notAmong(head, heads, "heads")}`);
		}
	}
	return problems;
}

function checkSlices({ data }: ResolvedExperiment, declared: DeclaredSlices | null): Problem[] {
	if (!declared) return [];
	const { list, source } = declared;
	const problems: Problem[] = [];
	const names = new Set<string>();
	for (const [index, slice] of list.entries()) {
		const pointer = `${declared.pointer}/${index}`;
		if (names.has(slice.name))
			problems.push(problemAt(source, `${pointer}/name`, `the slice ${slice.name} appears twice`));
		names.add(slice.name);
		const { detection } = data.value.categories;
		if (slice.category !== undefined && !detection.includes(slice.category)) {
			problems.push(
				problemAt(
					source,
					`${pointer}/category`,
					`the slice ${slice.name}: found the category ${slice.category}, which the data doesn't have; ${notAmong(slice.category, detection)}`,
				),
			);
		}
	}
	return problems;
}

function checkRules(
	{ heads, data, gate, gate: { value } }: ResolvedExperiment,
	slices: DeclaredSlices["list"] | null,
): Problem[] {
	const overall = producedMetrics(heads, data.value.categories, null);
	const problems: Problem[] = [];
	for (const [index, rule] of value.rules.entries()) {
		const at = (key: string, message: string) =>
			problems.push(problemAt(gate.source, `/rules/${index}/${key}`, message));
		const lower = isLowerBetter(rule.metric);
		if (lower && rule.max_drop !== undefined) {
			const what = isLatency(rule.metric) ? "a latency" : `for ${rule.metric}, lower is better, so it`;
			at("max_drop", `${what} has no max_drop; use max_regression_percent`);
		}
		if (lower && rule.min !== undefined)
			at("min", `for ${rule.metric}, lower is better: a min would demand a worse model; use max`);
		if (!lower && rule.max !== undefined)
			at("max", `for ${rule.metric}, higher is better: a max would demand a worse model; use min or max_drop`);
		if (!lower && rule.max_regression_percent !== undefined) {
			const message = `for ${rule.metric}, higher is better: max_regression_percent is for metrics where lower is better; use max_drop`;
			at("max_regression_percent", message);
		}
		if (rule.slice === undefined) {
			if (!overall.includes(rule.metric))
				at("metric", `nothing measures ${rule.metric} here; ${notAmong(rule.metric, overall, "measured")}`);
			continue;
		}
		if (slices === null) continue;
		const names = slices.map((slice) => slice.name);
		const chosen = rule.slice === "*" ? slices : slices.filter((slice) => slice.name === rule.slice);
		if (rule.slice !== "*" && chosen.length === 0) {
			at("slice", `the data has no slice ${rule.slice}; ${notAmong(rule.slice, ["*", ...names], "its slices")}`);
			continue;
		}
		const measured = [...new Set(chosen.flatMap((slice) => producedMetrics(heads, data.value.categories, slice)))];
		if (!measured.includes(rule.metric)) {
			at(
				"metric",
				`nothing measures ${rule.metric} on ${rule.slice === "*" ? "any slice" : `the slice ${rule.slice}`}; ${notAmong(rule.metric, measured, "measured there")}`,
			);
		}
	}
	return problems;
}
