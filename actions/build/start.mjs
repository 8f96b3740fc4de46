// Sets up what the lock files ask for, then runs the examples (npm start), the tests, the checks or the benchmarks.
// Plain JavaScript on Node 20 without packages: it runs before any is there.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const at = (...parts) => path.join(root, ...parts);
const node = at("node_modules/.bin/node");
const [command = "start", ...rest] = process.argv.slice(2);
// An action sets up the environment that a repository's configuration names; everything else is this checkout's own.
const isForAction = command === "python";
const environment = isForAction ? path.resolve(rest[0] ?? "") : at(".venv");
const python = path.join(environment, "bin/python");
const examples = ["experiments/baseline.yaml", "experiments/more-night.yaml", "experiments/tiny-backbone.yaml"];

/** Runs a program by argument vector; returns its exit code. */
function run(program, args) {
	const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
	if (error) fail(`${program} can't be started: ${error.message}`);
	return status ?? 1;
}

/** Runs what the command is about to its end; returns its exit code. A request to end goes on to it: whoever asks knows this process alone. */
function runMain(...args) {
	const child = spawn(node, args, { cwd: root, stdio: "inherit" });
	// Ctrl-C reaches it by itself.
	for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
	process.on("SIGINT", () => {});
	return new Promise((resolve) => {
		child.on("error", (error) => fail(`${node} can't be started: ${error.message}`));
		child.on("exit", (code) => resolve(code ?? 1));
	});
}

function fail(message) {
	console.error(message);
	process.exit(3);
}

/** Whether a set-up was done with these lock files as they are now. */
function isDone(locks, stamp) {
	return existsSync(stamp) && readFileSync(stamp, "utf8") === digestOf(locks);
}

function digestOf(locks) {
	const digest = createHash("sha256");
	for (const lock of locks) digest.update(readFileSync(at(lock)));
	return digest.digest("hex");
}

/** Does a set-up once for each content of its lock files; the stamp is written last, so that a broken one is done again. */
function once(name, locks, stamp, setUp) {
	const wanted = digestOf(locks);
	if (isDone(locks, stamp)) {
		console.log(`${name}: already there`);
		return;
	}
	const began = Date.now();
	console.log(`${name}: installing the packages in ${locks.join(", ")} …`);
	setUp();
	writeFileSync(stamp, wanted);
	console.log(`${name}: installed in ${Math.round((Date.now() - began) / 1000)} s`);
}

function findPython() {
	for (const name of ["python3.11", "python3.12", "python3.13", "python3"]) {
		const { status, stdout } = spawnSync(name, ["-c", "import sys, venv; print(sys.version_info >= (3, 11))"], {
			encoding: "utf8",
		});
		if (status === 0 && stdout.trim() === "True") return name;
	}
	return fail("Python 3.11 or later with its venv module is needed for the trainer, and none was found.");
}

function setUp(development) {
	once("Node packages", ["package-lock.json"], at("node_modules/.lock"), () => {
		// npm's own output is kept for the case that it fails.
		const { status, stdout, stderr } = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
			cwd: root,
			encoding: "utf8",
		});
		if (status !== 0) fail(`npm ci failed:\n${stdout}${stderr}`);
		if (spawnSync(node, ["--version"]).status !== 0)
			fail("Node 24 is not among the packages: npm did not run the install script of the package node.");
	});
	setUpPython(development);
}

// Where there is no GPU the small CPU build of torch is taken, if the package index has one.
const WHOLE = existsSync("/proc/driver/nvidia/version")
	? ["trainer/requirements-cuda.txt"]
	: ["trainer/requirements.txt", "trainer/requirements-cuda.txt"];
// What is planned with: no torch, and nothing of NVIDIA's.
const SMALL = ["trainer/requirements-data.txt"];

/** For a stage: all that a training imports, or what a plan does, of which the former has all. */
function setUpStage(stage) {
	const [whole, small] = [".lock", ".lock-data"].map((name) => path.join(environment, name));
	const isSmall = stage === "plan" && !isDone(WHOLE, whole);
	const [name, locks, stamp, other] = isSmall
		? ["Packages to plan with", SMALL, small, whole]
		: ["Trainer's packages", WHOLE, whole, small];
	once(name, locks, stamp, () => {
		// It may have stood for other versions, which these replace.
		rmSync(other, { force: true });
		installPython(locks);
	});
}

// What data recipes may need beside a stage's packages.
const EXTRAS = { dvc: "DVC", parquet: "Packages to read Parquet" };

function setUpPython(development, stage = "train", more = []) {
	setUpStage(stage);
	for (const extra of more.filter((name) => name in EXTRAS)) {
		const lock = `trainer/requirements-${extra}.txt`;
		once(EXTRAS[extra], [lock], path.join(environment, `.lock-${extra}`), () => installPython([lock]));
	}
	if (development) {
		const lock = "trainer/requirements-dev.txt";
		once("Trainer's test packages", [lock], path.join(environment, ".lock-dev"), () => installPython([lock]));
	}
	compilePython();
}

// Each file is compiled beside and renamed, so whatever ends this leaves files that Python still reads, or compiles when it does.
const COMPILE = `import compileall, pathlib, sys, sysconfig
compileall.compile_dir(sysconfig.get_path("purelib"), quiet=2, workers=0)
pathlib.Path(sys.argv[1]).write_text(sys.argv[2])`;

/**
 * Compiles the packages on all cores, behind what this command is about: one by one, as pip does it, takes longer than the rest of
 * the installation. What was begun and never came to its end is taken up by the next command.
 */
function compilePython() {
	const stamp = path.join(environment, ".compiled");
	const locks = [".lock", ".lock-data", ...Object.keys(EXTRAS).map((extra) => `.lock-${extra}`), ".lock-dev"]
		.map((name) => path.join(environment, name))
		.filter(existsSync);
	const wanted = locks.map((lock) => readFileSync(lock, "utf8")).join(" ");
	if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return;
	// Nothing of the user's environment: PYTHONPYCACHEPREFIX would put it where no other process looks.
	const env = { PATH: process.env.PATH ?? "" };
	const child = spawn(python, ["-c", COMPILE, stamp, wanted], { cwd: root, detached: true, stdio: "ignore", env });
	child.on("error", () => {});
	child.unref();
	// All cores, but only where nobody else wants them.
	if (child.pid) setPriority(child.pid, constants.priority.PRIORITY_LOW);
}

/** Installs the first of the lock files that can be had. */
function installPython(locks) {
	if (!existsSync(python)) {
		rmSync(environment, { recursive: true, force: true });
		if (run(findPython(), ["-m", "venv", environment]) !== 0)
			fail(`The virtual environment ${environment} could not be made.`);
	}
	// The lock files name everything: pip need not look for what each package asks for, and its resolver takes no
	// `pandas==2` for a pin of somebody's `pandas[parquet]`.
	const quiet = ["--quiet", "--disable-pip-version-check"];
	const options = ["-m", "pip", "install", ...quiet, "--no-deps", "--require-hashes", "--no-compile", "-r"];
	for (const [index, lock] of locks.entries()) {
		const { status, stdout, stderr } = spawnSync(python, [...options, lock], { cwd: root, encoding: "utf8" });
		if (status === 0) return;
		if (index === locks.length - 1) fail(`pip could not install ${lock}:\n${stdout}${stderr}`);
		console.log(
			`Trainer's packages: ${lock} isn't available from this package index; using ${locks[index + 1]}, which is larger …`,
		);
	}
}

const commands = {
	start: () => runMain("actions/cli/cli.ts", "examples", ...(rest.length > 0 ? rest : examples)),
	setup: () => 0,
	test: () => runMain("test/run.ts", ...rest),
	soak: () => runMain("test/run.ts", "--soak", ...rest),
	check: () => runMain("test/check.ts", ...rest),
	bench: () => runMain("test/bench/run.ts", ...rest),
};
if (isForAction) {
	setUpPython(false, rest[1], rest.slice(2));
	process.exit(0);
}
if (!commands[command]) fail(`npm has no script ${command} here; there are: ${Object.keys(commands).join(", ")}`);
setUp(command !== "start");
if (command === "bench") {
	const lock = "trainer/requirements-bench.txt";
	once("The bench's peers", [lock], path.join(environment, ".lock-bench"), () => installPython([lock]));
}
process.exit(await commands[command]());
