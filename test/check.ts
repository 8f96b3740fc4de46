// Checks types, lint, format and whether generated files are fresh, in both languages. Run: npm run check
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const bin = (name: string) => path.join(root, "node_modules/.bin", name);
const python = (...args: string[]) => [path.join(root, ".venv/bin/python"), "-m", ...args];
const tool = (name: string) => path.join(root, ".venv/bin", name);
// Without -W ignore it warns of each -c line in a requirements file.
const deptry = (...args: string[]) => [tool("python"), "-W", "ignore", "-m", "deptry", "proving_ground", ...args];
const files = (...patterns: string[]) => globSync(patterns, { cwd: root }).sort();
const workflows = files(".github/workflows/*.yml");
/** What other repositories copy: zizmor would ask for a commit of ours that isn't there yet. */
const copied = files("actions/workflows/*.yml");
const actions = files("actions/*/action.yml");
const against = (schema: string, of: string[]) => [
	tool("check-jsonschema"),
	"--quiet",
	"--builtin-schema",
	`vendor.${schema}`,
	...of,
];
const ruff = ["--config", "trainer/pyproject.toml", "trainer", "test"];

/** Each check, the command that mends what it finds, and the folder that it runs in where that isn't the root. */
const checks: [name: string, command: string[], mend: string, folder?: string][] = [
	["types", [bin("tsc"), "-p", "."], "by hand"],
	["lint and format of TypeScript", [bin("biome"), "check", "."], "npx biome check --write ."],
	[
		"lint of Python",
		python("ruff", "check", "--quiet", ...ruff),
		".venv/bin/ruff check --fix --config trainer/pyproject.toml trainer test",
	],
	[
		"format of Python",
		python("ruff", "format", "--quiet", "--check", ...ruff),
		".venv/bin/ruff format --config trainer/pyproject.toml trainer test",
	],
	["no circle of imports in Python", [tool("lint-imports"), "--no-cache", "--no-logo"], "by hand", "trainer"],
	["packages of the trainer, imported and declared", deptry(), "by hand; then trainer/lock.py", "trainer"],
	[
		"packages of its tests and benches, imported and declared",
		deptry("../test/trainer", "../test/bench", "--config", "../test/deptry.toml"),
		"by hand; then trainer/lock.py",
		"trainer",
	],
	["workflows, by actionlint", [tool("actionlint"), ...workflows, ...copied], "by hand"],
	[
		"workflows and actions, by zizmor",
		[
			tool("zizmor"),
			"--quiet",
			"--offline",
			"--persona",
			"auditor",
			...workflows,
			...actions,
			".github/dependabot.yml",
		],
		"by hand; no comment turns a rule off",
	],
	["workflows, by their schema", against("github-workflows", [...workflows, ...copied]), "by hand"],
	["actions, by their schema", against("github-actions", actions), "by hand"],
	["Dependabot, by its schema", against("dependabot", [".github/dependabot.yml"]), "by hand"],
	[
		"packages that are declared and imported",
		[bin("knip"), "--include", "dependencies,unlisted,unresolved,binaries,exports"],
		"by hand, in package.json",
	],
	["faults of the mutation checks, each in its place", [process.execPath, "test/mutations.ts", "--check"], "by hand"],
	["generated validators and types", [process.execPath, "actions/build/schemas.ts", "--check"], "npm run schemas"],
	[
		"bundles, README tables and workflows to copy",
		[process.execPath, "actions/build/bundle.ts", "--check"],
		"npm run bundle",
	],
];

let failed = 0;
for (const [name, [program, ...args], mend, folder = "."] of checks) {
	const { status, error, stdout, stderr } = spawnSync(program!, args, {
		cwd: path.join(root, folder),
		encoding: "utf8",
		maxBuffer: 1 << 28,
	});
	if (error) throw error;
	// Some say at length that all is well.
	if (status !== 0) process.stdout.write(`${stdout}${stderr}`);
	console.log(`${status === 0 ? "ok  " : "FAIL"} ${name}${status === 0 ? "" : `; to mend it: ${mend}`}`);
	if (status !== 0) failed += 1;
}
process.exit(failed === 0 ? 0 : 1);
