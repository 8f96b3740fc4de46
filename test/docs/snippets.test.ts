// What the guides tell people to write and to type
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { Ajv, type ValidateFunction } from "ajv";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { type Block, blocksOf, type Command, commandsOf, inlineCodeOf, pages, root } from "./pages.ts";

const { version, scripts, bin } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as {
	version: string;
	scripts: Record<string, string>;
	bin: Record<string, string>;
};
const OWN_REPOSITORY = "actions/README.md";
const blocks = pages.flatMap((page) => blocksOf(page));
const yaml = blocks.filter(({ language }) => language === "yaml");
const at = ({ page, line }: Block) => `${page}:${line}`;

type Json = Record<string, unknown>;
const load = (file: string) => parse(readFileSync(path.join(root, file), "utf8")) as Json;

/** Files by the folder that they lie in, and the schema that they hold to. */
const SCHEMAS: [file: RegExp, schema: string][] = [
	[/^experiments\//, "experiments/experiment.schema.json"],
	[/^recipes\/models\//, "recipes/models/model.schema.json"],
	[/^recipes\/data\//, "recipes/data/data.schema.json"],
	[/^recipes\/machines\//, "recipes/machines/machine.schema.json"],
	[/^recipes\/gates\/waivers\.yaml$/, "recipes/gates/waivers.schema.json"],
	[/^recipes\/gates\//, "recipes/gates/gate.schema.json"],
	[/^recipes\/lines\//, "recipes/lines/line.schema.json"],
	[/^recipes\/proposals\//, "recipes/proposals/proposal.schema.json"],
	[/^slices\.yaml$/, "recipes/data/slice_file.schema.json"],
	[/^\.github\/proving-ground\.yaml$/, ".github/proving-ground.schema.json"],
];
/** Schemas refer to each other by their places in the repository. */
const idOf = (schema: string) => `https://proving-ground/${schema}`;
const ajv = new Ajv({
	strict: false,
	schemas: SCHEMAS.map(([, schema]) => ({ ...load(schema), $id: idOf(schema) })),
});

/** What the schema of the file finds wrong with it. */
function problemsOf(file: string, value: unknown): string {
	const schema = SCHEMAS.find(([pattern]) => pattern.test(file))?.[1];
	if (!schema) return `${file}: no schema is known for it`;
	const validate = ajv.getSchema(idOf(schema)) as ValidateFunction;
	return validate(value) ? "" : ajv.errorsText(validate.errors);
}

/** A block lays its keys over a file: objects are joined, all else takes the place of what was there. */
function lay(over: unknown, on: unknown): unknown {
	const both = [over, on].every((value) => typeof value === "object" && value !== null && !Array.isArray(value));
	if (!both) return over;
	const joined = { ...(on as Json) };
	for (const [key, value] of Object.entries(over as Json)) joined[key] = lay(value, joined[key]);
	return joined;
}

interface Written {
	where: string;
	/** The file that the block stands for. */
	file: string;
	value: Json;
}

/** The blocks whose first line names a file, or the file that their keys belong `in`: one of the page or of the repository. */
const written: Written[] = [];
for (const block of yaml) {
	const [, within, file] = /^# (in )?(\S+\.yaml)\n/.exec(block.text) ?? [];
	if (!file) continue;
	const value = parse(block.text) as Json;
	const on = written.find((other) => other.file === file && other.where.startsWith(`${block.page}:`))?.value;
	written.push({ where: at(block), file, value: within ? (lay(value, on ?? load(file)) as Json) : value });
}

const isWorkflow = ({ text }: Block) => /^(# \.github\/workflows\/\S+\n)?name: /.test(text);

test("are in languages that these tests know, and YAML is a workflow or names its file", () => {
	const known = ["sh", "yaml", "json", "mermaid", ""];
	expect(blocks.filter(({ language }) => !known.includes(language)).map(at)).toEqual([]);
	const named = new Set(written.map(({ where }) => where));
	expect(yaml.filter((block) => !isWorkflow(block) && !named.has(at(block))).map(at)).toEqual([]);
});

test.each(written)("$where holds to the schema of $file", ({ file, value }) => {
	expect(problemsOf(file, value)).toBe("");
	// The schema notices: a key that it doesn't know is refused.
	expect(problemsOf(file, { ...value, unheard_of: 1 })).not.toBe("");
});

test("frames of a manifest are read by the trainer", () => {
	const manifests = blocks.filter(({ language }) => language === "json");
	expect(manifests.length).toBeGreaterThan(0);
	const program =
		"import json, sys; from proving_ground.data.manifest import parse_frame; print(parse_frame(json.load(sys.stdin), None).captured)";
	for (const { text } of manifests) {
		const env = { ...process.env, PYTHONPATH: path.join(root, "trainer") };
		const python = path.join(root, ".venv/bin/python");
		const captured = execFileSync(python, ["-c", program], { input: text, env, encoding: "utf8" });
		expect(captured.trim()).toBe(JSON.parse(text).captured.slice(0, 10));
	}
});

describe("workflows to copy", () => {
	interface Step {
		uses?: string;
		with?: Json;
	}
	const workflows = yaml.filter(isWorkflow);
	let folder: string;
	beforeAll(async () => {
		folder = await mkdtemp(path.join(tmpdir(), "workflows-"));
		for (const [place, { text }] of workflows.entries()) await writeFile(path.join(folder, `${place}.yml`), text);
		await writeFile(path.join(folder, "actionlint.yaml"), "self-hosted-runner: { labels: [gpu] }\n");
	});
	afterAll(() => rm(folder, { recursive: true }));

	test("have nothing that actionlint finds", () => {
		const files = workflows.map((_, place) => path.join(folder, `${place}.yml`));
		const args = ["-config-file", path.join(folder, "actionlint.yaml"), ...files];
		expect(execFileSync(path.join(root, ".venv/bin/actionlint"), args, { encoding: "utf8" })).toBe("");
	});

	test.each(workflows.map((block) => [at(block), block.text] as const))(
		"%s gives each action what it asks for, and no more",
		(_, text) => {
			const { jobs } = parse(text) as { jobs: Record<string, { steps?: Step[] }> };
			for (const { uses = "", with: given = {} } of Object.values(jobs).flatMap(({ steps = [] }) => steps)) {
				const [, action, tag] = /^OWNER\/proving-ground\/(actions\/\w+)@(.+)$/.exec(uses) ?? [];
				if (!action) continue;
				expect(tag).toBe(`v${version}`);
				const { inputs = {} } = load(`${action}/action.yml`) as { inputs?: Record<string, { required?: boolean }> };
				expect(Object.keys(inputs), uses).toEqual(expect.arrayContaining(Object.keys(given)));
				const required = Object.keys(inputs).filter((input) => inputs[input]!.required);
				expect(Object.keys(given), uses).toEqual(expect.arrayContaining(required));
			}
		},
	);
});

describe("what starts a workflow", () => {
	interface Events {
		schedule?: { cron: string }[];
		repository_dispatch?: { types: string[] };
		push?: { paths: string[] };
	}
	const eventsOf = (text: string) => (parse(text) as { on: Events }).on;
	const ours = globSync(".github/workflows/*.yml", { cwd: root }).map((file) =>
		readFileSync(path.join(root, file), "utf8"),
	);
	const copied = yaml.filter(isWorkflow).map(({ text }) => text);

	test("is no schedule of more than once an hour: on a hosted runner each run costs a minute", () => {
		const crons = [...ours, ...copied].flatMap((text) => eventsOf(text).schedule ?? []);
		expect(crons.length).toBeGreaterThan(4);
		expect(crons.filter(({ cron }) => !/^\d+ /.test(cron))).toEqual([]);
	});

	test("brings a look of follow in every repository on the same events, before the hour has passed", () => {
		const isFollow = (text: string) => /^name: follow$/m.test(text);
		const [here] = ours.filter(isFollow).map(eventsOf);
		expect(here).toMatchObject({ schedule: [{ cron: expect.stringMatching(/^\d+ \* \* \* \*$/) }] });
		const elsewhere = copied.filter(isFollow).map(eventsOf);
		expect(elsewhere).toHaveLength(2);
		for (const { repository_dispatch, push, schedule } of elsewhere) {
			expect(repository_dispatch!.types).toEqual(expect.arrayContaining(here!.repository_dispatch!.types));
			expect(push!.paths).toEqual(expect.arrayContaining(here!.push!.paths));
			expect(schedule).toEqual(expect.arrayContaining(here!.schedule!));
		}
	});
});

const commands = pages.flatMap(commandsOf);
const cli = path.join(root, bin["proving-ground"]!);

/** What the command line answers to each of the lines, in one process: it is loaded anew for each. */
function answersOf(lines: string[], cwd: string): Record<string, string> {
	// The file that the launcher runs.
	const [, entry] = /"([\w./]+\.ts)"/.exec(readFileSync(cli, "utf8"))!;
	const program = `
		const [url, lines] = JSON.parse(process.argv[1]);
		const answers = {};
		const write = process.stdout.write.bind(process.stdout);
		for (const line of lines) {
			answers[line] = "";
			process.stdout.write = process.stderr.write = (text) => { answers[line] += text; return true; };
			process.argv = [process.execPath, ...line.split(" ")]; // of a program given by -e, commander expects no file
			await import(url + "?" + encodeURIComponent(line));
		}
		write(JSON.stringify(answers));
		process.exitCode = 0;`;
	const url = pathToFileURL(path.resolve(path.dirname(cli), entry!)).href;
	const args = ["--input-type=module", "-e", program, JSON.stringify([url, lines])];
	return JSON.parse(execFileSync(process.execPath, args, { cwd, encoding: "utf8" })) as Record<string, string>;
}

describe("commands", () => {
	let empty: string;
	beforeAll(async () => {
		empty = await mkdtemp(path.join(tmpdir(), "empty-"));
	});
	afterAll(() => rm(empty, { recursive: true }));

	const names = new Set(written.map(({ file }) => file));
	const isThere = (file: string) => names.has(file) || existsSync(path.join(root, file));

	/** What each program that the guides call must be given. */
	const programs: Record<string, (words: string[]) => string | undefined> = {
		npx: ([name]) =>
			bin[name!] || existsSync(path.join(root, "node_modules/.bin", name!)) ? undefined : `${name} is not installed`,
		bash: ([file]) => (isThere(file!) ? undefined : `${file} isn't there`),
		npm: (words) => {
			const [name, script] = words[0] === "--prefix" ? words.slice(2) : words;
			const wanted = name === "run" ? script : name;
			if (!scripts[wanted!]) return `package.json has no script ${wanted}`;
			const benches = readFileSync(path.join(root, "test/bench/run.ts"), "utf8");
			const [, bench] = words.join(" ").split(" -- ");
			return bench && !benches.includes(`\t${bench}: `) ? `there is no bench ${bench}` : undefined;
		},
		".venv/bin/python": (words) => (isThere(words.at(-1)!) ? undefined : `${words.at(-1)} isn't there`),
		// These are run below, in the repository of the guide's files.
		git: () => undefined,
		ln: () => undefined,
		node: () => undefined,
		// These change a machine, or GitHub.
		sudo: () => undefined,
		gh: () => undefined,
	};

	test.each(commands.map(({ where, words }) => [where, words.join(" ")] as const))("%s: %s", (_, command) => {
		const [program, ...words] = command.split(" ");
		expect(Object.keys(programs)).toContain(program);
		expect(programs[program!]!(words)).toBeUndefined();
		const files = words.filter((word) => /^(experiments|recipes)\/.*\.yaml$/.test(word));
		expect(files.filter((file) => !isThere(file))).toEqual([]);
	});

	const isOwn = ({ words }: Command) => words[0] === "npx" && words[1] === "proving-ground";
	const lines = [...new Set(commands.filter(isOwn).map(({ words }) => words.slice(2).join(" ")))];

	test("are taken by the command line as they stand, and with anything else they aren't", () => {
		const wrong = ["plan a.yaml b.yaml", "train a.yaml --halt", "judge a.yaml", "plan"];
		// In a sentence a stage may be named without what it is about.
		const whole = lines.map((line) =>
			/^(plan|train|report|gate|comment|promote)$/.test(line) ? `${line} a.yaml` : line,
		);
		expect(whole.length).toBeGreaterThan(10);
		const said = answersOf([...whole, ...wrong], empty);
		// Its arguments are right, and what is missing is a repository.
		const taken = [...whole, ...wrong].filter((line) => said[line]!.includes("has no .github/proving-ground.yaml"));
		expect(taken).toEqual(whole);
	});

	test("of shell are shell", () => {
		for (const { text } of blocks.filter(({ language }) => language === "sh"))
			execFileSync("bash", ["-n"], { input: text });
	});
});

describe("files", () => {
	let home: string;
	beforeAll(async () => {
		home = await mkdtemp(path.join(tmpdir(), "guides-"));
	});
	afterAll(() => rm(home, { recursive: true }));

	async function write(folder: string, file: string, text: string): Promise<void> {
		await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
		await writeFile(path.join(folder, file), text);
	}

	test("of a repository of one's own are valid, by the commands that stand beside them", async () => {
		const own = path.join(home, "own");
		for (const { text } of yaml.filter(({ page }) => page === OWN_REPOSITORY))
			await write(own, /^# (\S+)/.exec(text)![1]!, text);
		await symlink(root, path.join(home, "proving-ground"));
		const shell = blocksOf(OWN_REPOSITORY).filter(({ language }) => language === "sh");
		const [clone, setup, ...ours] = shell.flatMap(({ text }) => text.trim().split("\n"));
		expect(clone).toMatch(new RegExp(`--branch v${version} .* \\.\\./proving-ground$`));
		expect(setup).toBe("npm --prefix ../proving-ground run setup");
		const answers = ours.map((line) => {
			const [program, ...args] = line.split(" ");
			expect(program).toBe("node");
			// A checkout that tests run in may have no origin.
			const more = args.at(-1) === "workflows" ? ["--repository", "OWNER/proving-ground"] : [];
			return execFileSync(process.execPath, [...args, ...more], { cwd: own, encoding: "utf8" });
		});
		expect(answers).toEqual([
			expect.stringMatching(/^\d workflows of OWNER\/proving-ground at [0-9a-f]{40}:\n/),
			"1 experiment valid\n",
		]);
	});

	test("of the other guides are valid together with the recipes that they name", async () => {
		const all = path.join(home, "all");
		for (const folder of ["recipes", "experiments", ".github"])
			await cp(path.join(root, folder), path.join(all, folder), { recursive: true });
		// Each is judged by a policy of its own here.
		await rm(path.join(all, "recipes/lines"), { recursive: true });
		// Any data will do for a recipe, and any recipe for data: a head that has no labels there is left out.
		const base = load("experiments/baseline.yaml");
		const model = load("recipes/models/hydranet-small.yaml");
		await write(
			all,
			"recipes/models/any.yaml",
			stringify({ ...model, optional_heads: ["detection", "segmentation", "lanes"] }),
		);
		const rules = [{ metric: "latency_p95_ms", max: 1000, reason: "it was measured" }];
		await write(all, "recipes/gates/any.yaml", stringify({ description: "Any head", rules }));
		const keys: Record<string, string> = { models: "recipe", data: "data", machines: "machine", gates: "gates" };
		let experiments = 3;
		for (const [place, { where, file, value }] of written.entries()) {
			if (where.startsWith(`${OWN_REPOSITORY}:`) || file === "slices.yaml") continue;
			const [top, kind] = file.split("/") as [string, string];
			if (top === ".github" || file === "recipes/gates/waivers.yaml") {
				await write(all, file, stringify(value));
				continue;
			}
			const name = `x${place}`;
			await write(all, path.join(path.dirname(file), `${name}.yaml`), stringify(value));
			if (top === "experiments") experiments += 1;
			const key = keys[kind];
			if (!key) continue;
			const any = key === "data" ? { recipe: "any", gates: "any" } : {};
			await write(all, `experiments/with-${name}.yaml`, stringify({ ...base, ...any, [key]: name }));
			experiments += 1;
		}
		const { stdout, stderr } = spawnSync(process.execPath, [cli, "validate"], { cwd: all, encoding: "utf8" });
		expect({ stdout, stderr }).toEqual({ stdout: `${experiments} experiments valid\n`, stderr: "" });
	});
});

describe("keys", () => {
	/** The keys of an object's schema. */
	const keysOf = (schema: Json) => Object.keys(schema["properties"] as Json);
	const inner = (schema: Json, key: string) => (schema["properties"] as Record<string, Json>)[key]!;
	const experiment = load("experiments/experiment.schema.json");
	const gate = load("recipes/gates/gate.schema.json");
	const proposal = load("recipes/proposals/proposal.schema.json");
	const rule = inner(gate, "rules")["items"] as Json;

	test.each([
		["experiments/README.md", "an experiment", keysOf(experiment)],
		["experiments/README.md", "train", keysOf(inner(experiment, "train"))],
		["experiments/README.md", "weights", keysOf(inner(experiment, "weights"))],
		["recipes/README.md", "a data recipe", keysOf(load("recipes/data/data.schema.json"))],
		["recipes/README.md", "a machine recipe", keysOf(load("recipes/machines/machine.schema.json"))],
		["recipes/README.md", "a gate policy", [...keysOf(gate), ...keysOf(rule)]],
		["recipes/README.md", "a proposal", keysOf(proposal)],
	])("%s names every key of %s", (page, _, keys) => {
		const code = [...blocksOf(page).map(({ text }) => text), ...inlineCodeOf(page)].join("\n");
		expect(keys.filter((key) => !new RegExp(`\\b${key}\\b`).test(code))).toEqual([]);
	});
});
