// Where a model comes from: what differs from production, its data, its exports, and every digest.
import { type ComponentChild, h } from "preact";
import { overlapText } from "../data/overlap.ts";
import type { PlanOverlap, Report, Verdict } from "../generated/documents.d.ts";
import { figure } from "../text/markdown.ts";
import { withoutPrivate } from "../text/private.ts";
import { facts, fold, type Row, section, table } from "./parts.ts";

/** What differs from production in configuration and data. */
export function changesSection({ changes, baseline }: Report): ComponentChild {
	if (!baseline) return null;
	const shown = (value: unknown) =>
		value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value);
	const rows = changes.map(
		({ path, production, candidate }): Row => ({ cells: [path, shown(production), shown(candidate)] }),
	);
	const columns = [{ title: "setting" }, { title: `production v${baseline.version}` }, { title: "this" }];
	const body =
		rows.length > 0
			? table("What differs from production", columns, rows, { class: "settings" })
			: h("p", {}, "No change in configuration or data.");
	return section("changes", "What changed", body);
}

/** Frames, objects and attributes of each split. */
export function dataSection({ data }: Report): ComponentChild {
	const splits = Object.entries(data.splits);
	const names = splits.map(([name]) => name);
	const counts = new Map<string, (number | undefined)[]>();
	const count = (what: string, place: number, value: number) => {
		const row = counts.get(what) ?? [];
		row[place] = value;
		counts.set(what, row);
	};
	for (const [place, [, split]] of splits.entries()) {
		count("frames", place, split.frames);
		for (const [name, value] of Object.entries(split.objects)) count(`objects: ${name}`, place, value);
		for (const [key, values] of Object.entries(split.attributes))
			for (const [value, number] of Object.entries(values)) count(`${key}: ${value}`, place, number);
	}
	const rows = [...counts].map(
		([what, values]): Row => ({ cells: [what, ...names.map((_, place) => String(values[place] ?? "–"))] }),
	);
	const columns = [{ title: "count" }, ...names.map((title) => ({ title, numeric: true }))];
	return section(
		"data",
		"Data",
		data.overlap ? h("p", {}, `${overlapText(data.overlap)}.${reasonText(data.overlap)}`) : null,
		fold(
			`${data.name}: ${splits.map(([name, { frames }]) => `${frames} ${name}`).join(", ")} frames`,
			table("Counts of the data", columns, rows),
		),
	);
}

/** Why splits may share drives. */
function reasonText({ reason }: PlanOverlap): string {
	return reason === null ? "" : ` Drives may be shared: ${reason}.`;
}

/** The files that the model is shipped as. */
export function exportsSection({ exports, parameters }: Report): ComponentChild {
	const rows = exports.map(
		({ format, file, bytes, measure, difference, tolerance, agrees }): Row => ({
			cells: [
				file,
				format,
				`${figure(bytes / 1e6, 2)} MB`,
				{
					show: `${difference === null ? "not compared" : Number(difference.toPrecision(2))} of at most ${tolerance} (${measure})`,
					class: agrees ? "" : "fail",
				},
			],
		}),
	);
	const columns = [
		{ title: "file" },
		{ title: "format" },
		{ title: "size", numeric: true },
		{ title: "difference from the trained model" },
	];
	const grown = parameters.production === null ? "" : `, production has ${parameters.production.toLocaleString("en")}`;
	return section(
		"exports",
		"Exports",
		h("p", {}, `${parameters.candidate.toLocaleString("en")} parameters${grown}.`),
		rows.length > 0 ? table("Files of the exports", columns, rows) : null,
	);
}

/** Runs with other seeds, from which the noise of training is told. */
function otherSeeds({ seeds, run, baseline }: Report): [string, string][] {
	const own = [run, baseline?.run];
	const list = (runs: { seed: number; run: string }[] = []) =>
		runs.flatMap(({ seed, run }) => (own.includes(run) ? [] : [`${seed}: ${run}`])).join(", ");
	return [
		["this model", list(seeds?.candidate.runs)],
		["production", list(seeds?.production?.runs)],
	];
}

/** Digests of everything that the verdict rests on. */
export function lineageSection(report: Report, verdict: Verdict | undefined): ComponentChild {
	const { data, baseline, experiment, evidence, spent } = report;
	const known: [string, string | null | undefined][] = [
		["experiment", experiment.file],
		["run", report.run],
		["evaluation", report.evaluation],
		["model", report.manifest],
		["data", `${data.name} ${data.version}`],
		["DVC pin", data.dvc],
		["recipe", experiment.recipe],
		["gates", report.policy.file],
		["machine", experiment.machine],
		["code", report.code],
		["seed", String(report.seed)],
		...otherSeeds(report).map(([name, value]): [string, string] => [`other seeds of ${name}`, value]),
		["production", baseline && `v${baseline.version}, ${baseline.run}, ${baseline.manifest}`],
		["evaluated at", report.measured_at],
		["took", `${Math.round(spent.seconds)} s${spent.cost_usd > 0 ? `, $${spent.cost_usd.toFixed(2)}` : ""}`],
		["plan", evidence.plan],
		["eval_report.json", evidence.eval_report],
		["figures.json", evidence.figures],
		["report.json", verdict?.report],
		...report.files.map(({ name, location }): [string, string] => [`${name} files`, withoutPrivate(location)]),
	];
	const shown = known.flatMap(([name, value]): [string, ComponentChild][] =>
		value ? [[name, h("code", {}, value)]] : [],
	);
	return section("lineage", "Lineage", facts(shown));
}
