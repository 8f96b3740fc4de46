// Runs the tests of both languages and prints one summary. Run: npm test
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const results = path.join(root, "test-results");
rmSync(results, { recursive: true, force: true });
mkdirSync(results);

/** Runs a test runner that writes JUnit XML; returns its exit status. */
function run(program: string, args: string[]): number {
	// One thread each: what is measured and compared must not depend on how busy the machine is.
	const env = { ...process.env, OMP_NUM_THREADS: "1" };
	const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit", env });
	if (error) throw error;
	return status ?? 1;
}

/** Totals of a JUnit file's test suites; a file that is missing or has none counts as one failure. */
function totals(file: string): { passed: number; failed: number; skipped: number } {
	let text = "";
	try {
		text = readFileSync(path.join(results, file), "utf8");
	} catch {
		return { passed: 0, failed: 1, skipped: 0 };
	}
	const cases = text.match(/<testcase\b/g)?.length ?? 0;
	const failed = text.match(/<(failure|error)\b/g)?.length ?? 0;
	const skipped = text.match(/<skipped\b/g)?.length ?? 0;
	return { passed: cases - failed - skipped, failed: cases === 0 ? 1 : failed, skipped };
}

const vitest = path.join(root, "node_modules/vitest/vitest.mjs");
const statuses = [
	run(process.execPath, [
		vitest,
		"run",
		"--reporter=default",
		"--reporter=junit",
		`--outputFile.junit=${path.join(results, "vitest.xml")}`,
	]),
	run(path.join(root, ".venv/bin/python"), [
		"-m",
		"pytest",
		"-n",
		"2",
		"-q",
		"-c",
		"trainer/pyproject.toml",
		"--rootdir",
		".",
		`--junitxml=${path.join(results, "pytest.xml")}`,
		"test/trainer",
	]),
];
const runners = { "TypeScript (vitest)": totals("vitest.xml"), "Python (pytest)": totals("pytest.xml") };
console.log();
for (const [name, { passed, failed, skipped }] of Object.entries(runners))
	console.log(`${name}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
const sum = (key: "passed" | "failed") => Object.values(runners).reduce((total, counts) => total + counts[key], 0);
// A runner that ended badly without a failing case (a crash, an error at import) must not pass for green.
const crashed = statuses.some((status) => status !== 0) && sum("failed") === 0 ? 1 : 0;
console.log(`${sum("passed")} passed, ${sum("failed") + crashed} failed`);
process.exit(statuses.every((status) => status === 0) ? 0 : 1);
