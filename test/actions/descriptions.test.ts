// An action's description
import { existsSync, readFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

const folder = path.resolve(import.meta.dirname, "../../actions");
const entries = await readdir(folder, { withFileTypes: true });
const actions = entries
	.filter((entry) => entry.isDirectory() && existsSync(path.join(folder, entry.name, "main.ts")))
	.map((entry) => entry.name);

interface Description {
	name: string;
	description: string;
	inputs?: Record<string, { description: string; required: boolean; default?: string }>;
	outputs?: Record<string, { description: string }>;
	runs: { using: string; main: string };
}

/** Names that the sources ask the toolkit for. */
function namesIn(text: string, call: RegExp): string[] {
	return [...new Set([...text.matchAll(call)].map((match) => match[1]!))];
}

describe.each(actions)("of %s", (action) => {
	const at = (...names: string[]) => path.join(folder, action, ...names);
	const {
		name,
		description,
		inputs = {},
		outputs = {},
		runs,
	} = parse(readFileSync(at("action.yml"), "utf8")) as Description;
	const main = readFileSync(at("main.ts"), "utf8");

	test("runs its bundle on Node 24", () => {
		expect(runs).toEqual({ using: "node24", main: `../dist/${action}.js` });
		expect(existsSync(at(runs.main))).toBe(true);
		expect(name && description).toBeTruthy();
	});

	test("says of each input what it is, and gives each that may be left out a default", () => {
		for (const [input, { description, required, default: given }] of Object.entries(inputs)) {
			expect(description, input).toBeTruthy();
			expect(required === true || typeof given === "string", input).toBe(true);
		}
	});

	test("names every input that is read, and every output that is set", () => {
		const read = namesIn(main, /get(?:Multiline|Boolean)?Input\("([^"]+)"/g);
		expect(Object.keys(inputs)).toEqual(expect.arrayContaining(read));
		const set = namesIn(main, /setOutput\("([^"]+)"/g);
		expect(Object.keys(outputs).sort()).toEqual(set.sort());
	});

	test("has a workflow to copy that keeps a head apart, and off a machine of one's own until somebody approves it", () => {
		interface Job {
			if?: string;
			"runs-on": unknown;
			environment?: string;
			steps?: { uses?: string; with?: Record<string, unknown> }[];
		}
		const copied = [...readFileSync(at("README.md"), "utf8").matchAll(/^```yaml\n(name: .*?)^```$/gms)];
		for (const [, text] of copied) {
			const { on, jobs } = parse(text!) as { on: object; jobs: Record<string, Job> };
			for (const job of Object.values(jobs)) {
				for (const { uses, with: given = {} } of (job.steps ?? []).filter(({ uses }) =>
					uses?.startsWith("actions/checkout@"),
				)) {
					expect(given).not.toHaveProperty("clean");
					if (/head/.test(String(given["ref"]))) expect(given["path"], uses).toBe("head");
				}
				const isOwn = /self-hosted|RUNNER/.test(JSON.stringify(job["runs-on"]));
				const isStarted = job.if?.startsWith("github.event_name == 'workflow_dispatch'");
				if (isOwn && "pull_request" in on && !isStarted) expect(job.environment).toBe("training");
			}
		}
	});
});
