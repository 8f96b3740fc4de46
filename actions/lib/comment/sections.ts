// Parts of the documents become the sections of a comment.
import {
	actualText,
	boundText,
	familySentence,
	figureAt,
	framesText,
	outcomeText,
	scoreText,
	whereText,
	worstFirst,
} from "../gate/check_words.ts";
import type { Plan, Report, Verdict } from "../generated/documents.d.ts";
import { decimalsOf, gain, isLatency, legendOf, moved, nameOf, unitOf } from "../metrics.ts";
import { noiseSentence, scoreNoise, seedsSentence } from "../report/noise.ts";
import { counted } from "../text/counted.ts";
import { change, code, codeWithin, duration, figure, fold, interval, rowsOf, type Table } from "../text/markdown.ts";
import { exportsFold, trainingFold } from "./training_section.ts";

type Score = Report["scores"][number];

/** Renders a table in the space there is; a table may ask for less. */
export type Show = (table: Table, limit?: number) => string;

/** What differs from production, in configuration and data. */
export function changesSection(plan: Plan, table: Show): string {
	const { baseline, changes, promoted } = plan;
	if (!baseline) return "**What changed:** nothing to compare with, this is the first model of its line.";
	const against = `production v${baseline.version}${promoted === null ? "" : ` (as compared when it was promoted as v${promoted})`}`;
	const settings = plan.data.difference ? changes.filter(({ path }) => !isCount(path)) : changes;
	if (changes.length === 0) return `**What changed** against ${against}: no change in configuration or data.`;
	const rows = settings.map(({ path, production, candidate }) => [
		settingName(path),
		settingText(production),
		settingText(candidate),
	]);
	const rest = "plan.json";
	return `**What changed** against ${against}:\n\n${table({ head: ["setting", "production", "this"], align: "lrr", rows, rest }, 15)}`;
}

/** Frames and objects of the data, which the table of its difference shows. */
function isCount(path: string): boolean {
	return /^data\.splits\.[a-z]+\.(frames$|objects\.)/.test(path);
}

/** More rows of the data's difference than this are folded away. */
const MANY_ROWS = 12;

/** Frames, objects by class and frames by slice that differ from the data which production was trained on. */
export function differenceSection({ baseline, data: { difference } }: Plan, table: Show): string {
	if (!baseline || !difference) return "";
	const { from, splits, slices } = difference;
	const counts: [string, number | null, number | null][] = [
		...Object.entries(splits).flatMap(([split, { frames, objects }]): [string, number, number][] => [
			[`${code(split)} frames`, ...frames],
			...Object.entries(objects).map(([name, pair]): [string, number, number] => [
				`${code(split)} objects ${code(name)}`,
				...pair,
			]),
		]),
		...Object.entries(slices).map(([name, { frames }]): [string, number | null, number | null] => [
			`${code("test")} frames in ${code(name)}`,
			...(frames as [number | null, number | null]),
		]),
	];
	const rows = counts
		.filter(([, before, after]) => before !== after)
		.map(([what, before, after]) => [
			what,
			countText(before),
			countText(after),
			change(before === null || after === null ? null : after - before, 0),
		]);
	const title = `Data compared with ${code(from.name)}, on which production v${baseline.version} was trained`;
	if (rows.length === 0) return `**${title}:** the counts are the same, the files differ.`;
	const shown = table({ head: ["count", "production", "this", "change"], align: "lrrr", rows, rest: "plan.json" });
	return rows.length > MANY_ROWS ? fold(`${title}: ${rows.length} counts`, shown) : `**${title}**\n\n${shown}`;
}

function countText(count: number | null): string {
	return count === null ? "–" : String(count);
}

/** A setting's path in a reader's words where it is a count of the data. */
function settingName(path: string): string {
	const [data, splits, split, what, ...rest] = path.split(".");
	if (data !== "data" || splits !== "splits" || !split || !what) return code(path);
	if (what === "frames") return `${code(split)} frames`;
	return `${code(split)} ${what === "objects" ? "objects" : "frames with"} ${code(rest.join(" "))}`;
}

function settingText(value: unknown): string {
	if (typeof value === "number") return String(value);
	// Of a digest the beginning tells enough: the whole of it is where the model comes from.
	if (typeof value === "string" && /^sha256:[0-9a-f]{64}$/.test(value)) return code(`${value.slice(0, 15)}…`);
	return value === null || value === undefined ? "–" : code(typeof value === "string" ? value : JSON.stringify(value));
}

/** Longest account of an inconclusive check: its end says what would settle it. */
const MAX_WHY = 400;

/** The order of `worstFirst`, in words. */
const ORDER = " (order: blocking, failed, then furthest beyond the limit, as a share of it)";

/** The checks that did not pass, worst first. */
export function checksSection(verdict: Verdict, table: Show): string {
	const open = verdict.checks.filter((check) => check.outcome === "fail" || check.outcome === "inconclusive");
	const waiting = verdict.counts.no_baseline;
	const first =
		waiting > 0
			? ` ${counted(waiting, "check compares", "checks compare")} with production and will apply from the next model on.`
			: "";
	if (open.length === 0) return `**Checks:** ${allHoldText(verdict)}${first}`;
	const sorted = worstFirst(open);
	const rows = rowsOf(sorted, cellsOf);
	const head = ["outcome", "metric", "slice", "limit", "measured (95 % interval)", "frames"];
	// Where a figure is settled the table says all; where there is none, or it is inconclusive, only words can.
	const unmeasured = sorted
		.filter((check) => check.actual === null || check.outcome === "inconclusive")
		.map((check) => `- ${scoreText(check, code)}: ${codeWithin(check.why, MAX_WHY)}`);
	const reasons = [
		...new Set(sorted.filter((check) => check.blocking || check.waived).map((check) => code(check.reason))),
	];
	const notes = [
		cutList(unmeasured, 8, "verdict.json"),
		familySentence(verdict),
		reasons.length > 0 ? `Reasons for these rules: ${reasons.slice(0, 6).join("; ")}.` : "",
		first.trim(),
	];
	return [
		`**Checks not passed**${sorted.length > 1 ? ORDER : ""}`,
		table({ head, align: "lllllr", rows, rest: `“${allChecksTitle(verdict)}” below`, named: [1, 2] }, 15),
		...notes,
	]
		.filter(Boolean)
		.join("\n\n");
}

/** Scores that are named in the sentence on what fell. */
const MOST_FALLEN = 3;

/** Where a model that passed is clearly worse than production, worst first by the share of production's score; empty where it isn't. */
export function fallenSentence({ scores }: Report, { outcome, checks }: Verdict): string {
	if (outcome !== "pass") return "";
	const key = ({ metric, slice }: { metric: string; slice: string | null }) => `${slice}\u0000${metric}`;
	const asked = new Set(checks.map(key));
	// What was waived is beyond what the gates allow, and stands in the title.
	const waived = new Set(checks.filter((check) => check.waived).map(key));
	const isShown = (score: Score) => (isMain(score) || asked.has(key(score))) && !waived.has(key(score));
	const fallen = scores.filter((score) => moved(score) === "worse" && isShown(score));
	if (fallen.length === 0) return "";
	const share = (score: Score) => gain(score)! / Math.max(Math.abs(score.production ?? 0), 1e-6);
	const worst = fallen.toSorted((a, b) => share(a) - share(b)).slice(0, MOST_FALLEN);
	const named = worst.map((score) =>
		figureAt(score, `${change(score.delta, decimalsOf(score.metric))}${unitOf(score.metric)}`),
	);
	const one = fallen.length === 1;
	const left = fallen.length - worst.length;
	const most = `${one ? "" : ", worst first"}: ${named.join(", ")}${left > 0 ? ` and ${left} more` : ""}`;
	return `${counted(fallen.length, "score")} got worse within the limits (${one ? "the 95 % interval excludes" : "95 % intervals exclude"} zero)${most}.`;
}

function allHoldText({ counts }: Verdict): string {
	if (counts.pass === 0) return "none could run.";
	const made = counts.no_baseline > 0 ? " that could run" : "";
	return counts.pass === 1 ? `the one${made} passed.` : `all ${counts.pass}${made} passed.`;
}

/** The first items of a list, and how many there are besides. */
export function cutList(items: string[], limit: number, rest: string): string {
	const left = items.length - limit;
	return `${items.slice(0, limit).join("\n")}${left > 0 ? `\n- …and ${left} more, in ${rest}` : ""}`;
}

/** The slices that moved, worst first. */
export function movedSection(report: Report, table: Show): string {
	if (!report.baseline) return "";
	const overall = report.scores.filter((score) => score.slice === null && MAIN.includes(score.metric));
	const summary = overall
		.map((score) => {
			const ends = score.delta_interval ? `, ${interval(score.delta_interval, (value) => change(value))}` : "";
			const noise = scoreNoise(report, score);
			const shown = `${change(score.delta)}${ends}${noise && `; ${noise}`}`;
			return `${nameOf(score.metric, code)} ${figure(score.production)} → ${figure(score.candidate)} (${shown})`;
		})
		.join("; ");
	const intro = `**Overall:** ${summary || "no score to compare with production"}. ${seedsSentence(report)}`.trimEnd();
	const scores = Map.groupBy(report.scores, ({ slice }) => slice);
	const slices = report.slices
		.map((slice) => sliceScores(slice, scores.get(slice.name) ?? [], report))
		.filter((slice) => slice.scores.some((score) => score.delta !== null));
	const moved = slices.filter((slice) => slice.scores.some(hasMoved)).toSorted((a, b) => a.worst - b.worst);
	const still = slices.filter((slice) => !slice.scores.some(hasMoved)).map(({ name }) => code(name));
	const others = `${still.slice(0, 20).join(", ")}${still.length > 20 ? ` and ${still.length - 20} more` : ""}.`;
	if (moved.length === 0)
		return [intro, still.length > 0 ? `**Slices:** no clear change on ${others}` : ""].filter(Boolean).join("\n\n");
	const columns = ["detection", "miou", "lane_f1", "min_fde"].filter((column) =>
		moved.some((slice) => slice.cells[column]),
	);
	const rows = moved.map(({ name, frames, objects, cells }) => [
		code(name),
		String(frames),
		String(objects),
		...columns.map((column) => cells[column] ?? "–"),
	]);
	const head = [
		"slice",
		"frames",
		"objects",
		...columns.map((column) => (column === "detection" ? "mAP, or AP of the slice's category" : nameOf(column))),
	];
	const lower = columns.includes("min_fde") ? " minFDE is in metres, and lower is better." : "";
	const legend = `Production → this model, and the change with its 95 % interval. 🔻 worse, 🟢 better: the interval excludes zero.${lower}`;
	const shown = table({ head, align: `lrr${"l".repeat(columns.length)}`, rows, rest: "report.json" }, 15);
	const rest = still.length > 0 ? ` No clear change on ${others}` : "";
	return [intro, "**Slices that moved**, worst first", shown, `${legend}${rest}`].join("\n\n");
}

const MAIN = ["map", "miou", "lane_f1", "min_fde"];

/** What a slice is shown by: the main metric of each head, and the category's own where it has one. */
const isMain = ({ metric }: Score) => MAIN.includes(metric) || metric.startsWith("ap/");

const hasMoved = (score: Score) => moved(score) !== "same";

/** A slice's main scores: a cell for each head, and the worst change, by which slices are sorted. */
function sliceScores({ name, frames, objects }: Report["slices"][number], scores: Score[], report: Report) {
	const own = scores.filter(isMain);
	const cells: Record<string, string> = {};
	for (const score of own) {
		const column = ["miou", "lane_f1", "min_fde"].includes(score.metric) ? score.metric : "detection";
		const mark = hasMoved(score) ? (moved(score) === "worse" ? "🔻\u00A0" : "🟢\u00A0") : "";
		const ends = score.delta_interval ? ` (${interval(score.delta_interval, (value) => change(value))})` : "";
		const before = score.production === null ? "" : `${figure(score.production)} → `;
		// Three heads side by side fit a pull request's column only where the change stands below, in small.
		const beside = [`${change(score.delta)}${ends}`, scoreNoise(report, score)];
		const small = beside.filter(Boolean).map((text) => `<br><sub>${text.replaceAll(" ", "\u00A0")}</sub>`);
		cells[column] = `${mark}${before}${figure(score.candidate)}${small.join("")}`;
	}
	// What moved for sure decides the place; what didn't comes after it, however large its figure.
	const worst = Math.min(...own.map((score) => (hasMoved(score) ? gain(score)! : 0)));
	return { name, frames, objects, scores: own, cells, worst };
}

function scoreCells(score: Score, report: Report): string[] {
	const decimals = decimalsOf(score.metric);
	const noise = scoreNoise(report, score);
	const below = noise && `<br><sub>${noise}</sub>`;
	const own = figure(score.candidate, decimals);
	const ends = interval(score.delta_interval, (value) => change(value, decimals));
	return [
		score.delta === null ? `${own}${below}` : own,
		figure(score.production, decimals),
		score.delta === null ? "–" : `${change(score.delta, decimals)} (${ends})${below}`,
		framesText(score),
		score.objects === null ? "–" : String(score.objects),
	];
}

/** Latency of both exports, in a sentence. */
export function latencySection({ scores, latency }: Report): string {
	const parts = scores
		.filter((score) => isLatency(score.metric) && score.candidate !== null)
		.map((score) => {
			const name = score.metric.includes("p50") ? "p50" : "p95";
			const own = `${name} ${figure(score.candidate, 2)} ms`;
			if (score.production === null || score.production <= 0 || score.delta === null) return own;
			return `${own} (${change((100 * score.delta) / score.production, 0)} %, production ${figure(score.production, 2)} ms)`;
		});
	const threads = counted(latency.threads, "thread");
	return `**Latency** of the ONNX export, batch ${latency.batch}, ${threads} on ${code(latency.device)}: ${parts.join(", ") || "not measured"}.`;
}

/** Everything else that was measured. */
export function foldedReport(report: Report, table: Show): string[] {
	const scores = rowsOf(report.scores, (score) => [
		nameOf(score.metric, code),
		whereText(score.slice),
		...scoreCells(score, report),
	]);
	const { training, uncertainty } = report;
	return [
		fold(
			`All ${report.scores.length} scores`,
			`${table({ head: ["metric", "slice", "this", "production", "change (95 % interval)", "frames", "objects"], align: "llrrlrr", rows: scores, rest: "report.json" })}\n\nIntervals: ${uncertainty.method}, ${uncertainty.resamples} resamples of the ${unitsText(report)} (seed ${uncertainty.seed}), the same draws for both models. ${noiseSentence(report, code)}`,
		),
		trainingFold(report, table, duration(training.seconds)),
		exportsFold(report, table),
	];
}

/** How many frames or sequences the whole test has. */
function unitsText({ scores, uncertainty: { unit } }: Report): string {
	const overall = scores.filter(({ slice, metric }) => slice === null && !isLatency(metric));
	const most = Math.max(0, ...overall.map(({ units }) => units));
	return most > 0 ? counted(most, `test ${unit}`) : `test ${unit}s`;
}

/** The heading of the fold that holds every check. */
export function allChecksTitle({ checks }: Verdict): string {
	return checks.length === 1 ? "The one check" : `All ${checks.length} checks`;
}

/** What every table of checks tells of one. */
function cellsOf(check: Verdict["checks"][number]): string[] {
	return [
		outcomeText(check),
		nameOf(check.metric, code),
		whereText(check.slice),
		boundText(check),
		actualText(check),
		framesText(check),
	];
}

/** Every check of the verdict. */
export function allChecks(verdict: Verdict): Table {
	const rows = rowsOf(verdict.checks, (check) => [...cellsOf(check), `line ${check.line}`, code(check.reason)]);
	return {
		head: ["outcome", "metric", "slice", "limit", "measured (95 % interval)", "frames", "policy", "reason"],
		align: "lllllrll",
		rows,
		rest: "verdict.json",
	};
}

/** What each manifest holds. */
export function dataTable({ data }: Plan): Table {
	const rows = Object.entries(data.splits).flatMap(([split, { frames, objects, attributes }]) => [
		[split, "frames", String(frames)],
		...Object.entries(objects).map(([name, count]) => [split, code(name), String(count)]),
		...Object.entries(attributes).flatMap(([key, values]) =>
			Object.entries(values).map(([value, count]) => [split, `${code(key)} ${code(value)}`, String(count)]),
		),
	]);
	return { head: ["split", "item", "count"], align: "llr", rows, rest: "plan.json" };
}

/** The rules of the policy; a metric's key is what the file has. */
export function policyTable({ policy }: Plan): Table {
	const rows = rowsOf(policy.rules, (rule) => [
		nameOf(rule.metric, code),
		code(rule.metric),
		whereText(rule.slice),
		boundText(rule),
		rule.min_frames > 1 ? String(rule.min_frames) : "–",
		code(rule.reason),
		`line ${rule.line}`,
	]);
	const head = ["metric", "key", "slice", "limit", "min frames", "reason", "policy"];
	return { head, align: "llllrll", rows, rest: "plan.json" };
}

/** What each metric of the report and the policy is; empty where none is known. */
export function metricsFold({ policy }: Plan, report: Report | undefined, table: Show): string {
	const metrics = [...(report?.scores ?? []), ...policy.rules].map(({ metric }) => metric);
	const rows = legendOf(metrics).map(({ key, meaning }) => [nameOf(key, code), code(key), meaning]);
	const head = ["metric", "key", "meaning"];
	return rows.length === 0 ? "" : fold("Metrics explained", table({ head, align: "lll", rows, rest: "index.html" }));
}

/** Where the model comes from, by digest. */
export function provenance(plan: Plan, report: Report | undefined): string {
	const { run, policy } = plan;
	const facts: [string, string | null | undefined][] = [
		["run", run.id],
		["evaluation", report?.evaluation],
		["model", report?.manifest],
		["experiment file", plan.experiment.file],
		["data", `${run.data.name} ${run.data.version}`],
		["DVC pin", run.data.dvc],
		["DVC source", sourceText(plan.data.source)],
		["captured", run.window && `from ${run.window.from} to ${run.window.to}`],
		["code", run.code],
		["image", run.image],
		["started from", plan.weights && `${plan.weights.from} ${plan.weights.manifest}`],
		["production", plan.baseline && `v${plan.baseline.version} ${plan.baseline.run}`],
		["gates", policy.file],
		["seed", String(run.seed)],
	];
	const lines = facts
		.filter(([, value]) => value !== null && value !== undefined)
		.map(([name, value]) => `- ${name}: ${code(value!)}`);
	const files = (report?.files ?? []).map(({ name, location }) => `- ${code(name)} files: ${code(location)}`);
	return [...lines, cutList(files, 20, "report.json")].filter(Boolean).join("\n");
}

function sourceText(source: Plan["data"]["source"]): string | null {
	if (!source) return null;
	const { repository, path, revision, commit } = source;
	return repository === null ? path : `${path} of ${repository} at ${revision} (${commit})`;
}
