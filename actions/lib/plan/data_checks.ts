// A dataset that was counted, beside the experiment that trains on it, becomes what keeps it from being planned and what its author is told.
import { type Dataset, ownValue } from "../data/dataset.ts";
import { joinMembers, listNames, overlapOf, sharingOf } from "../data/overlap.ts";
import type { Problem } from "../errors.ts";
import { checkCombination } from "../experiment/combination.ts";
import type { Loaded } from "../experiment/files.ts";
import {
	type DeclaredSlices,
	importedSlices,
	type ResolvedExperiment,
	settingAt,
	slicesOf,
	warningsOf,
} from "../experiment/resolved.ts";
import type { Data, Machine, PlanOverlap, PlanSlice, SliceFile } from "../generated/documents.d.ts";
import { counted } from "../text/counted.ts";
import { nearest, problemAt } from "../text/problems.ts";
import { escapePointer, parseYaml } from "../text/yaml.ts";

/** Older data that stand in every batch. */
export interface Replay {
	dataset: Dataset;
	share: number;
}

/** What the data, and the settings beside them, have against a plan. */
export interface DataChecks {
	problems: Problem[];
	warnings: Problem[];
	overlap: PlanOverlap;
}

/** Checks what is known only once the data are there. */
export function checkDataset(resolved: ResolvedExperiment, dataset: Dataset, replay: Replay | null): DataChecks {
	const slices = checkChosen(resolved, dataset);
	const { members } = dataset;
	const train = replay ? joinMembers(members.train, replay.dataset.members.train) : members.train;
	return {
		problems: [
			// Slices of data that wasn't there before are known only now.
			...checkCombination(resolved, declaredSlices(resolved.data, dataset)),
			...checkLabels(resolved, dataset),
			...slices.problems,
			...checkShared(resolved, dataset, replay),
		],
		warnings: [
			...warningsOf(resolved),
			...warnRepeated(resolved, dataset),
			...slices.warnings,
			...warnSteps(resolved, dataset),
		],
		overlap: overlapOf({ ...members, train }, reasonOf(resolved)),
	};
}

function checkLabels({ experiment, model, data, heads }: ResolvedExperiment, dataset: Dataset): Problem[] {
	return heads.flatMap((head) => {
		const without = (["train", "test"] as const).filter((split) => dataset.labelled[split][head] === 0);
		if (without.length === 0) return [];
		const where = without.map((split) => dataset.run.manifests[split].file).join(" and ");
		const message = `${model.source.file} has a ${head} head, but no frame in ${where} of ${data.source.file} has labels for it`;
		return [problemAt(experiment.source, "/data", message)];
	});
}

/** Frames of one split that are in another as well, and drives where no reason is given. */
function checkShared(resolved: ResolvedExperiment, { members }: Dataset, replay: Replay | null): Problem[] {
	const { experiment, data } = resolved;
	const own = sharingOf(members);
	const problems = own.frames.map(({ sentence }) => {
		const message = `${data.source.file}: ${sentence}: what a model has learnt by heart tells nothing; give each frame one split`;
		return problemAt(experiment.source, "/data", message);
	});
	const isExplained = reasonOf(resolved) !== null;
	const alike = "frames of one drive are alike; give each drive one split, or say why not in `shared_sequences`";
	if (!isExplained)
		problems.push(
			...own.sequences.map(({ sentence }) => problemAt(data.source, "/location", `${sentence}: ${alike}`, "key")),
		);
	if (!replay) return problems;
	const { train } = replay.dataset.members;
	const old = sharingOf({ train, val: members.val, test: members.test });
	const told = [...old.frames, ...(isExplained ? [] : old.sequences)].filter(({ other }) => other === "train");
	return [
		...problems,
		...told.map(({ sentence }) => {
			const message = `replay.data: ${sentence} of ${resolved.replay?.source.file}, and replayed data are trained on`;
			return problemAt(experiment.source, "/replay/data", message);
		}),
	];
}

/** Why drives may be in several splits; null where no recipe says. */
function reasonOf({ data, replay }: ResolvedExperiment): string | null {
	return data.value.shared_sequences ?? replay?.value.shared_sequences ?? null;
}

function warnRepeated({ data }: ResolvedExperiment, { members, run }: Dataset): Problem[] {
	return (["train", "val", "test"] as const).flatMap((split) => {
		const { repeated } = members[split];
		if (repeated.length === 0) return [];
		const what = counted(repeated.length, "line repeats a frame", "lines repeat frames");
		const message = `${run.manifests[split].file}: ${what} of the same split (${listNames(repeated)})`;
		return [problemAt(data.source, "/location", message, "key")];
	});
}

/** The slices of data that are there. */
function declaredSlices(data: Loaded<Data>, { sliceFile }: Dataset): DeclaredSlices {
	const source = parseYaml(sliceFile.file, sliceFile.text);
	return importedSlices(data) ?? slicesOf({ value: source.value as SliceFile, source });
}

/** Slices that choose by what no test frame has, or choose none. */
function checkChosen({ data }: ResolvedExperiment, dataset: Dataset): Pick<DataChecks, "problems" | "warnings"> {
	const { source, pointer } = declaredSlices(data, dataset);
	const problems: Problem[] = [];
	const warnings: Problem[] = [];
	for (const [index, slice] of dataset.slices.entries()) {
		const at = (key: string, message: string, part?: "key") =>
			problemAt(source, `${pointer}/${index}${key}`, `the slice ${slice.name}: ${message}`, part);
		const unknown = unknownConditions(slice, dataset);
		for (const { attribute, message, isAll } of unknown)
			(isAll ? problems : warnings).push(at(`/where/${escapePointer(attribute)}`, message, "key"));
		if (unknown.some(({ isAll }) => isAll)) continue;
		if (slice.frames === 0) {
			const none = "no test frame meets all its conditions";
			if (slice.protected) problems.push(at("/where", `it is protected, but ${none}`));
			else warnings.push(at("/where", `${none}, so nothing is measured on it`));
		} else if (slice.category !== null && slice.objects === 0)
			warnings.push(at("/category", `its test frames have no ${slice.category}, so nothing is measured on it`));
	}
	return { problems, warnings };
}

interface Unknown {
	attribute: string;
	message: string;
	/** Whether no frame can have what is wanted of the attribute; of several values others may be there. */
	isAll: boolean;
}

/** Attributes, and values of them, that no test frame has. */
function unknownConditions({ where }: PlanSlice, { splits }: Dataset): Unknown[] {
	const { attributes } = splits.test;
	return Object.entries(where as Record<string, string | string[]>).flatMap(([attribute, wanted]) => {
		const values = ownValue(attributes, attribute);
		if (!values) {
			const message = `no test frame has the attribute ${attribute}; ${known(attribute, Object.keys(attributes))}`;
			return [{ attribute, message, isAll: true }];
		}
		const all = [wanted].flat();
		const absent = all.filter((value) => !Object.hasOwn(values, value));
		return absent.map((value) => ({
			attribute,
			message: `no test frame has ${attribute}: ${value}; ${known(value, Object.keys(values))}`,
			isAll: absent.length === all.length,
		}));
	});
}

/** The first of the names that frames have, of which there may be as many as frames, and the one that was probably meant. */
function known(found: string, names: readonly string[]): string {
	const near = nearest(found, names);
	return `they have: ${listNames(names, 20) || "none"}${near === null ? "" : `. Did you mean ${near}?`}`;
}

/** Settings that the trainer takes, and that are hardly meant with so few frames, or on such a machine. */
function warnSteps(resolved: ResolvedExperiment, { splits }: Dataset): Problem[] {
	const { train, experiment, machine } = resolved;
	const { epochs, global_batch, warmup_steps, learning_rate, precision } = train;
	const { frames } = splits.train;
	const share = global_batch - Math.round((experiment.value.replay?.share ?? 0) * global_batch);
	// As the trainer counts: a last, short batch is left out unless it is alone.
	const steps = epochs * Math.max(Math.floor(frames / share), 1);
	const warnings: Problem[] = [];
	const warn = (key: keyof typeof train, message: string) =>
		warnings.push(settingAt(resolved, key, `train.${key}: found ${train[key]}, but ${message}`));
	if (share > frames)
		warn(
			"global_batch",
			`there are ${counted(frames, "training frame")}, so each step has some of them more than once`,
		);
	if (warmup_steps > steps)
		warn(
			"warmup_steps",
			`the run has ${counted(steps, "step")} (${counted(epochs, "epoch")} of ${counted(frames, "frame")}), so the learning rate never reaches ${learning_rate}`,
		);
	if (precision === "fp16" && !isOfGpu(machine.value))
		warn("precision", `${machine.source.file} names no GPU, and on a CPU the job ends at once; use fp32, bf16 or auto`);
	return warnings;
}

/** Whether a machine recipe tells of a GPU, by its instance or by a label of its runner. */
function isOfGpu({ instance, runner }: Machine): boolean {
	const labels: string[] = runner ?? [];
	return /^(p|g)\d/.test(instance ?? "") || labels.some((label) => /gpu|cuda|nvidia/i.test(label));
}
