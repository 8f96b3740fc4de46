// An action runs as the runner runs it: its bundle in a child process, inputs in the environment, files and annotations out.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse } from "yaml";

const root = path.resolve(import.meta.dirname, "../..");

export interface Ran {
	code: number;
	log: string;
	outputs: Record<string, string>;
	summary: string;
	/** Workflow commands such as ::error. */
	annotations: string[];
}

export interface RunOptions {
	workspace: string;
	inputs?: Record<string, string>;
	environment?: Record<string, string>;
}

/** Runs what action.yml names as main to its end. */
export async function runAction(name: string, { workspace, inputs = {}, environment = {} }: RunOptions): Promise<Ran> {
	const folder = await mkdtemp(path.join(tmpdir(), "runner-"));
	const file = async (name: string) => {
		await writeFile(path.join(folder, name), "");
		return path.join(folder, name);
	};
	const { inputs: declared = {}, runs } = await describe(name);
	const env = {
		PATH: process.env["PATH"] ?? "",
		HOME: process.env["HOME"] ?? "",
		NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"] ?? "",
		GITHUB_ACTIONS: "true",
		GITHUB_WORKSPACE: workspace,
		GITHUB_OUTPUT: await file("output"),
		GITHUB_STEP_SUMMARY: await file("summary"),
		// The runner gives every input of action.yml, in capitals, dashes as they are.
		...Object.fromEntries(
			Object.entries({ ...defaultsOf(declared), ...inputs }).map(([key, value]) => [
				`INPUT_${key.toUpperCase()}`,
				value,
			]),
		),
		...environment,
	};
	const child = spawn(process.execPath, [path.join(root, "actions", name, runs.main)], { cwd: workspace, env });
	let log = "";
	child.stdout.on("data", (chunk) => (log += chunk));
	child.stderr.on("data", (chunk) => (log += chunk));
	const code = await new Promise<number>((resolve) => child.once("close", (status) => resolve(status ?? -1)));
	const outputs = parseOutputs(await readFile(env.GITHUB_OUTPUT, "utf8"));
	const summary = await readFile(env.GITHUB_STEP_SUMMARY, "utf8");
	await rm(folder, { recursive: true });
	return {
		code,
		log,
		outputs,
		summary,
		annotations: log.split("\n").filter((line) => /^::(error|warning|notice)/.test(line)),
	};
}

interface Description {
	inputs?: Record<string, { default?: string }>;
	runs: { main: string };
}

async function describe(name: string): Promise<Description> {
	return parse(await readFile(path.join(root, "actions", name, "action.yml"), "utf8")) as Description;
}

/** What action.yml gives an input that a workflow leaves out; an expression comes to nothing without an event. */
function defaultsOf(inputs: NonNullable<Description["inputs"]>): Record<string, string> {
	const given = Object.entries(inputs).map(([key, input]): [string, string] => [key, input.default ?? ""]);
	return Object.fromEntries(given.map(([key, value]) => [key, value.includes("${{") ? "" : value]));
}

function parseOutputs(text: string): Record<string, string> {
	return Object.fromEntries(
		[...text.matchAll(/^(.+?)<<(ghadelimiter_\S+)\n([\s\S]*?)\n?\2$/gm)].map((match) => [
			match[1]!,
			match[3]!.replace(/\n$/, ""),
		]),
	);
}
