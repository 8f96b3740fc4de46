// SECURITY.md says of every file of a head which job reads it, by what, and what it can do
import { readFileSync } from "node:fs";
import path from "node:path";
import { markdownTable } from "markdown-table";
import { describe, expect, test } from "vitest";
import { headJobs, OWN_STATE, openers, READERS, readsOf } from "./trust.ts";

const page = path.resolve(import.meta.dirname, "../../SECURITY.md");
const modules = new Set(READERS.map(({ module }) => module));

test("knows everything that opens a file: a head's, or the runner's own", () => {
	const known = new Set([...modules, ...Object.keys(OWN_STATE)]);
	expect(openers().filter((module) => !known.has(module))).toEqual([]);
	expect(Object.keys(OWN_STATE).filter((module) => !openers().includes(module))).toEqual([]);
});

test("tells them in two tables", async () => {
	const jobs = headJobs();
	const acting = jobs.filter(({ actions }) => actions.length > 0);
	const reading = (module: string) => {
		const found = acting.filter(({ actions }) => actions.some((action) => readsOf(action).has(module)));
		if (found.length === acting.length) return "each that runs an action";
		return found.map(({ name }) => `\`${name}\``).join(", ") || "none";
	};
	const cell = (value: string) => value.replaceAll("|", "\\|");
	const ofFiles = READERS.map(({ files, module, can }) => [files, `\`actions/lib/${module}\``, reading(module), can]);
	const ofJobs = jobs.map(({ name, how, runner, approval, token }) => [`\`${name}\``, how, runner, approval, token]);
	const files = markdownTable(
		[["file of a head", "read by", "in the jobs", "what it can do"], ...ofFiles].map((row) => row.map(cell)),
	);
	const rights = markdownTable(
		[["job", "has the head", "runner", "approval", "token may"], ...ofJobs].map((row) => row.map(cell)),
	);
	const whole = readFileSync(page, "utf8")
		.replace(/(<!-- files -->\n)[\s\S]*(\n<!-- \/files -->)/, (_, begin, end) => `${begin}\n${files}\n${end}`)
		.replace(/(<!-- jobs -->\n)[\s\S]*(\n<!-- \/jobs -->)/, (_, begin, end) => `${begin}\n${rights}\n${end}`);
	await expect(whole).toMatchFileSnapshot(page);
});

describe("a job that reads a head", () => {
	const jobs = headJobs();

	test("is found in each way that one can", () => {
		const byName = new Map(jobs.map((job) => [job.name, job]));
		expect(byName.get("ci/check")).toMatchObject({
			how: "as its workspace",
			runner: "hosted",
			token: "contents: read",
		});
		expect(byName.get("experiment/plan")).toMatchObject({ how: "as data", runner: "hosted", token: "contents: read" });
		expect(byName.get("experiment/train")).toMatchObject({ how: "as data", approval: "training" });
		for (const name of ["follow/follow", "promote/settle"]) expect(byName.get(name)).toMatchObject({ how: "as data" });
		for (const name of ["pages/build", "ci/soak", "propose/propose"]) expect(byName.has(name), name).toBe(false);
	});

	test("as its workspace on a self-hosted runner needs an approval first", () => {
		const unapproved = jobs.filter(
			({ how, runner, approval }) => how === "as its workspace" && runner === "self-hosted" && approval === "none",
		);
		expect(unapproved).toEqual([]);
	});
});
