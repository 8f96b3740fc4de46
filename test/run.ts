// Runs the tests of both languages side by side and prints one summary. Run: npm test [-- --soak-minutes N], npm run soak
// npm test has a part of each exhaustive set; the soak has the whole of them, and the mutations. With --soak-minutes those
// of the TypeScript tests' sets follow that end within minutes, then mutations for what is left of that time.
import { spawn, spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { makeScratch } from "./scratch.ts";

const root = path.resolve(import.meta.dirname, "..");
const results = path.join(root, "test-results");
const python = path.join(root, ".venv/bin/python");

interface Runner {
	name: string;
	/** Where its JUnit XML comes to lie in the results. */
	file: string;
	command: (junit: string) => string[];
	/** It is ended after this time, which is a failure. */
	minutes: number;
}

interface Outcome {
	name: string;
	passed: number;
	failed: number;
	skipped: number;
	clock: number;
	processor: number;
}

const vitest = (...files: string[]): Runner["command"] => {
	const reporters = (junit: string) => ["--reporter=default", "--reporter=junit", `--outputFile.junit=${junit}`];
	const program = path.join(root, "node_modules/vitest/vitest.mjs");
	return (junit) => [process.execPath, program, "run", ...reporters(junit), ...files];
};
const pytest = (...args: string[]): Runner["command"] => {
	const config = ["-c", "trainer/pyproject.toml", "--rootdir", "."];
	return (junit) => [
		python,
		"-m",
		"pytest",
		"-n",
		"2",
		"-q",
		...config,
		`--junitxml=${junit}`,
		...args,
		"test/trainer",
	];
};
const mutations = (minutes: number): Runner["command"] => {
	const file = path.join(root, "test/mutations.ts");
	return (junit) => [process.execPath, file, "--junit", junit, "--minutes", String(minutes)];
};

/** The test files that do more in the soak: those that ask whether it is one. */
const exhaustive = globSync("test/**/*.test.ts", { cwd: root })
	.filter((file) => file.endsWith(".soak.test.ts") || /from "[./]+\/soak\.ts"/.test(readFileSync(file, "utf8")))
	.sort();

const tests: Runner[] = [
	{ name: "TypeScript (vitest)", file: "vitest.xml", command: vitest(), minutes: 25 },
	{ name: "Python (pytest)", file: "pytest.xml", command: pytest(), minutes: 25 },
];
/** Those of them that end within minutes: attacks and faults are for the night. */
const brief = exhaustive.filter((file) => !/^test\/(attack|faults)\//.test(file));
const soakOfTypeScript = (files: readonly string[], minutes: number): Runner => ({
	name: "Soak of TypeScript",
	file: "soak-vitest.xml",
	command: vitest(...files),
	minutes,
});
const soakOfMutations = (minutes: number): Runner => ({
	name: "Mutations",
	file: "mutations.xml",
	// It ends by itself before its time is up.
	command: mutations(minutes),
	minutes: minutes + 2,
});
const soakOfPython: Runner = {
	name: "Soak of Python",
	file: "soak-pytest.xml",
	command: pytest("-m", "soak"),
	minutes: 60,
};

/** Runs a test runner to its end. Its output is shown as it comes, or whole after another's, so that no two are mixed. */
async function run(
	{ name, file, command, minutes }: Runner,
	soak: boolean,
	after?: Promise<unknown>,
): Promise<Outcome> {
	const junit = path.join(results, file);
	const times = path.join(results, `${file}.json`);
	const env = {
		...process.env,
		TMPDIR: scratch,
		SEED: String(seed),
		...(soak ? { PROVING_GROUND_SOAK: "1" } : {}),
		// One thread each: what is measured and compared must not depend on how busy the machine is.
		OMP_NUM_THREADS: "1",
	};
	const args = [path.join(root, "test/timed.py"), times, String(minutes * 60), ...command(junit)];
	const child = spawn(python, args, { cwd: root, env, stdio: after ? ["ignore", "pipe", "pipe"] : "inherit" });
	const output: Buffer[] = [];
	for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => output.push(chunk));
	const status = await new Promise<number>((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code) => resolve(code ?? 1));
	});
	await after;
	process.stdout.write(Buffer.concat(output));
	if (status === 124) console.log(`${name}: not done after ${minutes} minutes`);
	return { name, ...counts(junit, status), ...timesIn(times) };
}

/** Totals of a JUnit file's test suites; a file that is missing or has none, and a runner that crashed, count as a failure. */
function counts(junit: string, status: number): Pick<Outcome, "passed" | "failed" | "skipped"> {
	let text = "";
	try {
		text = readFileSync(junit, "utf8");
	} catch {
		return { passed: 0, failed: 1, skipped: 0 };
	}
	const cases = text.match(/<testcase\b/g)?.length ?? 0;
	const failures = text.match(/<(failure|error)\b/g)?.length ?? 0;
	const skipped = text.match(/<skipped\b/g)?.length ?? 0;
	// A runner that ended badly without a failing case (a crash, an error at import) must not pass for green.
	const crashed = (status !== 0 || cases === 0) && failures === 0 ? 1 : 0;
	return { passed: cases - failures - skipped, failed: failures + crashed, skipped };
}

function timesIn(file: string): Pick<Outcome, "clock" | "processor"> {
	try {
		return JSON.parse(readFileSync(file, "utf8")) as Pick<Outcome, "clock" | "processor">;
	} catch {
		return { clock: Number.NaN, processor: Number.NaN };
	}
}

/** Runs them side by side: each waits for its processes most of the time. */
function sideBySide([first, ...others]: Runner[], soak: boolean): Promise<Outcome[]> {
	const shown = run(first!, soak);
	return Promise.all([shown, ...others.map((runner) => run(runner, soak, shown))]);
}

const { values } = parseArgs({
	options: { soak: { type: "boolean", default: false }, "soak-minutes": { type: "string" } },
});
// What fails for one commit and not for the next is the change's: only the soak draws anew.
const seed = Number(process.env["SEED"] ?? (values.soak ? Math.floor(Math.random() * 2 ** 31) : 1));
const soakMinutes = values["soak-minutes"] === undefined ? null : Number(values["soak-minutes"]);
if (Number.isNaN(soakMinutes)) throw new Error(`--soak-minutes: found ${values["soak-minutes"]}; it must be a number.`);

rmSync(results, { recursive: true, force: true });
mkdirSync(results);
const scratch = makeScratch();
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
console.log(`SEED=${seed}`);
// In a fresh checkout each of the processes that start side by side would compile the scoring for itself.
spawnSync(python, ["test/trainer/evaluation/compile_scoring.py"], { cwd: root, stdio: "inherit" });
const outcomes: Outcome[] = [];
if (values.soak) {
	outcomes.push(...(await sideBySide([soakOfTypeScript(exhaustive, 90), soakOfPython], true)));
	outcomes.push(...(await sideBySide([soakOfMutations(120)], false)));
} else {
	outcomes.push(...(await sideBySide(tests, false)));
	if (soakMinutes !== null) outcomes.push(...(await sideBySide([soakOfTypeScript(brief, 15)], true)));
	const left = soakMinutes === null ? 0 : soakMinutes - outcomes.at(-1)!.clock / 60;
	if (left > 0) outcomes.push(...(await sideBySide([soakOfMutations(left)], false)));
}

console.log();
for (const { name, passed, failed, skipped, clock, processor } of outcomes) {
	const took = `${Math.round(clock)} s of clock, ${Math.round(processor)} s of processor`;
	console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped in ${took}`);
}
const sum = (key: "passed" | "failed") => outcomes.reduce((total, outcome) => total + outcome[key], 0);
console.log(`${sum("passed")} passed, ${sum("failed")} failed`);
process.exit(sum("failed") === 0 ? 0 : 1);
