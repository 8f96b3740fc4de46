// Small faults put into the code of gate, waivers and intervals, one at a time: its tests must notice every one.
// Run: node test/mutations.ts [gate | waivers | noise | seeds | waiver_file | author | student | intervals] [--minutes N] [--junit FILE]; --check only looks for their places
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";

const root = path.resolve(import.meta.dirname, "..");
type Fault = [found: string, put: string];
interface Suite {
	file: string;
	/** The tests that must notice, as an argument vector run in the copy. */
	tests: string[];
	folder: string;
	faults: Fault[];
}

const vitest = (...files: string[]) => [
	process.execPath,
	"node_modules/vitest/vitest.mjs",
	"run",
	"--bail",
	"1",
	...files,
];
const suites: Record<string, Suite> = {
	gate: {
		file: "actions/lib/gate/gate.ts",
		tests: vitest("test/lib/gate/gate.test.ts", "test/lib/gate/waivers.test.ts", "test/lib/report/noise.test.ts"),
		folder: ".",
		faults: [
			["const LEVEL = 0.025", "const LEVEL = 0.05"],
			["const MOST_TIMES = 100", "const MOST_TIMES = Number.POSITIVE_INFINITY"],
			["|| measured === 0", ""],
			["waived.filter((check) => check.actual !== null).length", "waived.length"],
			["waived.filter((check) => check.actual !== null).length", "0"],
			['check.outcome === "fail" && check.blocking', 'check.outcome === "fail"'],
			["waived: waived.length", "waived: 0"],
			["judgement.counts.waived + idle.length > 0", "judgement.counts.waived > 0"],
			['failed ? "fail" : blocked', 'blocked ? "inconclusive" : failed'],
			['passed: outcome === "pass"', 'passed: outcome !== "fail"'],
			["score.metric === rule.metric &&", ""],
			["score.slice !== null : score.slice", "true : score.slice"],
			[
				"if (scores.length + lost.length === 0) return [",
				"if (scores.length + lost.length === 0) return []; if (scores.length + lost.length === 0) return [",
			],
			["if (error === 0) return value < 0 ? 0 : 1;", "if (error === 0) return 1;"],
			["studentBelow(value / error, units - 1)", "studentBelow(value / error, units * 100)"],
			["studentBelow(value / error", "studentBelow(-value / error"],
			["a.value - b.value", "b.value - a.value"],
			["LEVEL / (sorted.length - rank)", "LEVEL"],
			["LEVEL / (sorted.length - rank)", "LEVEL / sorted.length"],
			["(sorted.length - rank))) break;", "(sorted.length - rank))) continue;"],
			["rejected[place] = true", "rejected[rank] = true"],
			['rule.inconclusive === "block" || isProtected', 'rule.inconclusive === "block"'],
			['finding.outcome === "fail" || (finding', "(finding"],
			["if (!isNumber(score.candidate)) {", "if (score.candidate === null) {"],
			["score.frames < rule.min_frames", "score.frames > rule.min_frames"],
			["score.frames < rule.min_frames", "score.frames <= rule.min_frames"],
			["level - rule.value : rule.value - level", "rule.value - level : level - rule.value"],
			["!isNumber(score.production) || !isNumber(score.delta)", "!isNumber(score.production)"],
			["score.production <= 0) return assessRise", "score.production < 0) return assessRise"],
			["percent ? 100 / score.production", "percent ? 1 / score.production"],
			["percent ? rule.value - change : change + rule.value", "percent ? rule.value + change : change + rule.value"],
			["percent ? rule.value - change : change + rule.value", "percent ? rule.value - change : rule.value - change"],
			["score.delta_error * scale", "score.delta_error"],
			["interval[1] <= 0", "interval[0] <= 0"],
			["interval === null || margin.units < 2", "interval === null"],
			[".every(Number.isFinite) || error < 0", ".every((one) => one !== null)"],
			["value - quantile * error >= 0", "value + quantile * error >= 0"],
			["value - quantile * error >= 0", "value >= 0"],
			["value < 0 ? -studentQuantile(LEVEL / tested, freedom) : quantile", "quantile"],
			["const times = 2 *", "const times = "],
			["Math.ceil((times - 1) * units)", "Math.ceil(times * units)"],
			["if (failing) {", "if (failing && value > 0) {"],
			['isLevel(rule) ? "level" : "change"', '"change"'],
			["units: score.units, scale, found", "units: score.units, scale: 1, found"],
			["...(noise ? { noise } : {})", ""],
		],
	},
	waivers: {
		file: "actions/lib/gate/waivers.ts",
		tests: vitest("test/lib/gate/waivers.test.ts"),
		folder: ".",
		faults: [
			["if (!check.blocking) return check;", ""],
			["metric === check.metric &&", ""],
			["&& slice === check.slice", ""],
			["if (why !== null) idle.set", "if (why === null) idle.set"],
			["({ why }) => why === null", "({ why }) => why !== null"],
			["{ ...check, blocking: false, waived", "{ ...check, waived"],
			["{ ...check, blocking: false, waived", '{ ...check, outcome: "pass", blocking: false, waived'],
			["if (waiver.model !== experiment.model)", "if (false)"],
			["waiver.experiment !== null && waiver.experiment !== experiment.name", "waiver.experiment !== null"],
			["waiver.experiment !== null && waiver.experiment !== experiment.name", "false"],
			["if (check.protected)", "if (false)"],
			["return isMeasured(check) ? null :", "return true ? null :"],
			["waiver.until < today", "waiver.until <= today"],
			["waiver.until < today", "waiver.until > today"],
			["waiver.until < today", "false"],
			["if (authors.length === 0)", "if (false)"],
			["if (authors.some(", "if (authors.every("],
			["author.toLowerCase() ===", "author ==="],
			["=== waiver.who.toLowerCase()", "!== waiver.who.toLowerCase()"],
			['outcome !== "fail" || actual !== null', "actual !== null"],
			['outcome !== "fail" || actual !== null', 'outcome !== "fail"'],
		],
	},
	noise: {
		file: "actions/lib/report/noise.ts",
		tests: vitest("test/lib/report/noise.test.ts"),
		folder: ".",
		faults: [
			["metric === score.metric &&", ""],
			["&& slice === score.slice", ""],
			['of === "change" ? find("production") : undefined', 'find("production")'],
			["if (!own && !other) return null;", "if (!own || !other) return null;"],
			["Math.hypot(own?.deviation ?? 0, other?.deviation ?? 0)", "(own?.deviation ?? 0) + (other?.deviation ?? 0)"],
			["Math.hypot(own?.deviation ?? 0, other?.deviation ?? 0)", "own?.deviation ?? 0"],
			["noise.deviation * scale", "noise.deviation"],
			["Math.abs(margin) < deviation", "margin < deviation"],
			["Math.abs(margin) < deviation", "Math.abs(margin) > deviation"],
			['of === "change" && production &&', "production &&"],
			["&& production.next !== null", ""],
			["other.runs.length < candidate.runs.length", "other.runs.length <= candidate.runs.length + 1"],
			["other.runs.length < candidate.runs.length", "other.runs.length > candidate.runs.length"],
			['score.delta === null ? "level" : "change"', '"change"'],
			["runs.length > 1", "runs.length > 0"],
			["seed === 0 ? 1 : 0", "seed + 1"],
		],
	},
	seeds: {
		file: "actions/lib/report/seeds.ts",
		tests: vitest("test/lib/report/seeds.test.ts"),
		folder: ".",
		faults: [
			["run.model}/`))", "run.model}`))"],
			["&& measuresAlike(known, run)", ""],
			["?.runs.length ?? 0) < 2", "?.runs.length ?? 0) < 1"],
			["isRepeatable(known!, run) ? other.next : null", "other.next"],
			['kind !== "evaluations" || ', ""],
			["file !== MANIFEST ||", 'file !== "eval_report.json" ||'],
			['document?.kind !== "train" ||', ""],
			["|| document.id !== run", ""],
			["if (!run.startsWith(", "if (false && !run.startsWith("],
			["if (error instanceof InvalidInput) return null;", ""],
			["Number(b.id === own.id) - Number(a.id === own.id) ||", ""],
			["if (reports.has(training.seed)) continue;", ""],
			[".toSorted(([a], [b]) => a - b)", ""],
			["{ ...training, id, experiment, seed }", "{ ...training, id, experiment }"],
			["{ ...training, id, experiment, seed }", "{ ...training, id, seed }"],
			["{ ...training, id, experiment, seed }", "{ ...training, id, experiment, seed, code: own.code }"],
			["identify(training).id === training.id", "true"],
			["report?.run !== path.posix.basename(folder) ||", "!report ||"],
			["|| report.candidate.run !== id", ""],
			['kept.of === "candidate" &&', ""],
			["kept.model === report.candidate.manifest &&", ""],
			["kept.data === data.version &&", ""],
			["kept.frames === data.manifests.test.sha256 &&", ""],
			["&&\n\t\t\t\tkept.code === code", ""],
			["[manifests.test.sha256, categories, tracks]", "[categories, tracks]"],
			["[manifests.test.sha256, categories, tracks]", "[manifests.test.sha256, tracks]"],
			["code === run.code && weights === null", "weights === null"],
			["code === run.code && weights === null", "code === run.code"],
			["while (taken.has(seed)) seed += 1;", "seed = taken.size;"],
			["isLatency(metric) ||", ""],
			["values.length < 2", "values.length < 1"],
			["[name, where, category]", "[name, category]"],
			["return Number.isFinite(value);", "return value !== undefined;"],
			["squares / (seeds - 1)", "squares / seeds"],
		],
	},
	waiver_file: {
		file: "actions/lib/experiment/waiver_file.ts",
		tests: vitest("test/lib/experiment/waiver_file.test.ts"),
		folder: ".",
		faults: [
			["|| file.value.waivers.length === 0", ""],
			['check.slice === undefined || check.slice === "overall"', "check.slice === undefined"],
			['check.slice === undefined || check.slice === "overall"', 'check.slice === "overall"'],
			["if (!isDay(until))", "if (false)"],
			["[metric, slice, split, model, experiment]", "[metric, slice, split, model]"],
			["[metric, slice, split, model, experiment]", "[metric, slice, split, model, experiment, line]"],
			["waiver.model !== experiment.value.model ||", ""],
			["|| (waiver.experiment ?? name) !== name", ""],
			["waiver.slice !== null && slice === null", "waiver.slice === null"],
			["if (measured.includes(metric)) return [];", "return [];"],
			["producedMetrics(heads, data.value.categories, slice)", "producedMetrics(heads, data.value.categories, null)"],
		],
	},
	author: {
		file: "actions/lib/experiment/author.ts",
		tests: vitest("test/lib/experiment/author.test.ts"),
		folder: ".",
		faults: [
			["commits?.get(one.commit) ?? ", ""],
			["loginOf(one.email) ?? ask(one)", "loginOf(one.email)"],
			["!logins.includes(null)", "true"],
			["named !== undefined || !logins", "!logins"],
			["[named, author, ...logins]", "[named, ...logins]"],
			["written.length > 0 ? Promise.all(logins) : [null]", "Promise.all(logins)"],
			['shallow?.trim() !== "false" ||', ""],
			['changed !== "" ||', ""],
			["(?:\\d+\\+)?", ""],
			["@users\\.noreply\\.github\\.com$", "@"],
			["(?:\\[bot\\])?", ""],
		],
	},
	student: {
		file: "actions/lib/gate/student_t.ts",
		tests: vitest("test/lib/gate/student_t.test.ts"),
		folder: ".",
		faults: [
			["value < 0 ? tail : 1 - tail", "value < 0 ? 1 - tail : tail"],
			["0.5 * incompleteBeta", "incompleteBeta"],
			["if (Number.isNaN(value)) return Number.NaN;", "if (Number.isNaN(value)) return 0;"],
			["< tail) low = middle", "> tail) low = middle"],
			["(a + b) * x", "a * x"],
		],
	},
	intervals: {
		file: "trainer/proving_ground/evaluation/intervals.py",
		tests: [
			path.join(root, ".venv/bin/python"),
			..."-m pytest -c pyproject.toml -qx -p no:cacheprovider ../test/trainer/evaluation/test_intervals.py".split(" "),
		],
		folder: "trainer",
		faults: [
			["TAIL = 0.025", "TAIL = 0.05"],
			["MAX_UNMEASURED = 0.05", "MAX_UNMEASURED = 0.5"],
			["place if name is None else name", "0 if name is None else name"],
			["[:, place_of]", "[:, : len(units)]"],
			["integers(units, size", "integers(max(units - 1, 1), size"],
			["counts[row, drawn[row, place]] += 1", "counts[row, drawn[0, place]] += 1"],
			["counts[first : first + rows]", "counts[:rows]"],
			["counter=[0, place, 0, 0]", "counter=[0, 0, 0, 0]"],
			["key=seed", "key=0"],
			["units < 2 or", "units < 1 or"],
			["~np.isnan(resampled)", "resampled >= 0"],
			["ddof=1", "ddof=0"],
			["math.sqrt(units / (units - 1))", "1"],
			["stdtrit(units - 1", "stdtrit(1e9"],
			["low=figure - reach", "low=figure"],
			["-stdtrit(units - 1, TAIL)", "stdtrit(units - 1, TAIL)"],
		],
	},
};

/** What became of a fault: whether the tests noticed it. */
interface Tried {
	file: string;
	fault: Fault;
	noticed: boolean;
}

/** Throws where a fault of a suite hasn't its one place in the source. */
function checkPlaces({ file, faults }: Suite, source: string): void {
	const missing = faults.find(([found]) => source.split(found).length !== 2);
	if (missing) throw new Error(`${file}: not there exactly once: ${missing[0]}`);
}

/** Puts faults into a copy of the project one at a time, in the order given, for as long as there is time. */
function tryFaults(order: [Suite, Fault][], copy: string, deadline: number): Tried[] {
	const sources = new Map<Suite, string>();
	const tried: Tried[] = [];
	for (const [suite, fault] of order) {
		const { file, folder, tests } = suite;
		const [command, ...rest] = tests as [string, ...string[]];
		const run = () => spawnSync(command, rest, { cwd: path.join(copy, folder), stdio: "ignore" }).status;
		if (Date.now() > deadline) break;
		const source = sources.get(suite) ?? readFileSync(path.join(root, file), "utf8");
		if (!sources.has(suite)) {
			checkPlaces(suite, source);
			if (run() !== 0) throw new Error(`${file}: its tests fail without any fault.`);
		}
		sources.set(suite, source);
		writeFileSync(
			path.join(copy, file),
			source.replace(fault[0], () => fault[1]),
		);
		tried.push({ file, fault, noticed: run() !== 0 });
		writeFileSync(path.join(copy, file), source);
	}
	return tried;
}

/** A case for each fault that was tried, as test runners write them. */
function junitOf(tried: Tried[]): string {
	const plain = (text: string) => text.replaceAll(/[&<>"\n\t]/g, (character) => `&#${character.charCodeAt(0)};`);
	const cases = tried.map(({ file, fault: [found, put], noticed }) => {
		const name = `<testcase classname="${plain(file)}" name="${plain(`${found}  ->  ${put}`)}">`;
		return `${name}${noticed ? "" : '<failure message="no test noticed it"/>'}</testcase>\n`;
	});
	return `<testsuite name="mutations">\n${cases.join("")}</testsuite>\n`;
}

/** Puts a list into an order that a seed decides. */
function shuffled<T>(list: T[], seed: number): T[] {
	const key = (place: number) => createHash("sha256").update(`${seed} ${place}`).digest("hex");
	return list
		.map((item, place) => [key(place), item] as const)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([, item]) => item);
}

const { values, positionals: chosen } = parseArgs({
	options: { check: { type: "boolean" }, junit: { type: "string" }, minutes: { type: "string" } },
	allowPositionals: true,
});
if (values.check) {
	for (const suite of Object.values(suites)) checkPlaces(suite, readFileSync(path.join(root, suite.file), "utf8"));
	process.exit(0);
}
const all = Object.entries(suites)
	.filter(([name]) => chosen.length === 0 || chosen.includes(name))
	.flatMap(([, suite]) => suite.faults.map((fault): [Suite, Fault] => [suite, fault]));
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const minutes = Number(values.minutes ?? Number.POSITIVE_INFINITY);
// Where there may not be time for all, another part is tried each time.
const order = values.minutes === undefined ? all : shuffled(all, seed);
const copy = mkdtempSync(path.join(tmpdir(), "mutations-"));
try {
	for (const part of [
		"actions",
		"experiments",
		"recipes",
		"test",
		"trainer",
		"package.json",
		"tsconfig.json",
		"vitest.config.ts",
	]) {
		cpSync(path.join(root, part), path.join(copy, part), { recursive: true });
	}
	symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"));
	const tried = tryFaults(order, copy, Date.now() + minutes * 60_000);
	for (const file of new Set(tried.map((one) => one.file))) {
		const own = tried.filter((one) => one.file === file);
		const survivors = own.filter(({ noticed }) => !noticed);
		console.log(`${file}: ${own.length - survivors.length} of ${own.length} faults noticed`);
		for (const { fault } of survivors) console.log(`  not noticed: ${fault[0]}  ->  ${fault[1]}`);
		if (survivors.length > 0) process.exitCode = 1;
	}
	if (tried.length < all.length)
		console.log(`Tried ${tried.length} of ${all.length} in ${minutes.toFixed(1)} minutes, SEED=${seed}`);
	if (values.junit !== undefined) writeFileSync(values.junit, junitOf(tried));
} finally {
	rmSync(copy, { recursive: true });
}
