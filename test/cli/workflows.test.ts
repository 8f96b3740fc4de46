// The workflows that another repository copies
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { copyOf } from "../../actions/build/workflows.ts";
import { copyWorkflows } from "../../actions/cli/workflows.ts";

const root = path.resolve(import.meta.dirname, "../..");
const SHA = "0123456789abcdef0123456789abcdef01234567";
const FOLDER = ".github/workflows";

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "copies-"));
});
afterEach(() => rm(folder, { recursive: true }));

const copied = () => globSync(`${FOLDER}/*.yml`, { cwd: folder }).sort();
const textOf = (file: string) => readFileSync(path.join(folder, file), "utf8");

test("are those that others could call, each by its own name", async () => {
	await copyWorkflows(folder, { repository: "acme/pg", ref: SHA });
	const callable = globSync(`${FOLDER}/*.yml`, { cwd: root }).filter((file) =>
		/^ {2}workflow_call:/m.test(readFileSync(path.join(root, file), "utf8")),
	);
	expect(copied()).toEqual(expect.arrayContaining(callable));
	const { version } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8")) as { version: string };
	for (const file of copied()) {
		const text = textOf(file);
		expect(text, file).not.toMatch(/OWNER|\$\/|workflow_call/);
		expect(text).toContain(`uses: acme/pg/actions/`);
		const [own, copy] = [readFileSync(path.join(root, file), "utf8"), text].map(
			(one) => (parse(one) as { jobs: Record<string, { permissions: object }> }).jobs,
		);
		expect(Object.keys(copy!)).toEqual(Object.keys(own!));
		for (const job of Object.keys(copy!)) expect(copy![job]!.permissions).toEqual(own![job]!.permissions);
		for (const [, pinned] of text.matchAll(/acme\/pg\/actions\/\w+@(.+)$/gm))
			expect(pinned).toMatch(new RegExp(`^${SHA} # v${version}( # .*)?$`));
	}
});

test("are found nothing wrong with by zizmor's auditor, at a commit", async () => {
	await copyWorkflows(folder, { repository: "acme/pg", ref: SHA });
	await writeFile(path.join(folder, "zizmor.yml"), readFileSync(path.join(root, ".github/zizmor.yml")));
	const args = [
		"--quiet",
		"--color",
		"never",
		"--offline",
		"--persona",
		"auditor",
		"--config",
		path.join(folder, "zizmor.yml"),
	];
	const tool = path.join(root, ".venv/bin/zizmor");
	const found = spawnSync(tool, [...args, ...copied()], { cwd: folder, encoding: "utf8" });
	expect(`${found.stdout}${found.stderr}`).toMatch(/^No findings to report/);
	expect(found.status).toBe(0);
});

test("hold for GitHub Enterprise Server nothing that only github.com knows", async () => {
	await copyWorkflows(folder, { repository: "acme/pg", ref: "v9", enterpriseServer: true });
	expect(copied().length).toBeGreaterThan(5);
	expect(copied()).not.toContain(`${FOLDER}/pages.yml`);
	expect(textOf(`${FOLDER}/propose.yml`)).toContain("  # GitHub Enterprise Server has no queue: a newer waiting run");
	for (const file of copied()) {
		expect(textOf(file), file).not.toMatch(/^\s*(queue|cache-mode):/m);
		expect(textOf(file)).toContain("@v9\n");
		expect(parse(textOf(file))).toHaveProperty("jobs");
	}
});

test("are told where they had other text, and left alone where they are the same", async () => {
	const options = { repository: "acme/pg", ref: SHA };
	expect(await copyWorkflows(folder, options)).toMatch(/^\d workflows of acme\/pg at 0123/);
	expect(await copyWorkflows(folder, options)).toBe(`The workflows are those of acme/pg at ${SHA} already`);
	await writeFile(path.join(folder, FOLDER, "follow.yml"), "name: mine\n");
	expect(await copyWorkflows(folder, options)).toBe(
		`1 workflow of acme/pg at ${SHA}:\n  ${FOLDER}/follow.yml (it had other text: git diff shows what changed)`,
	);
});

test.each([
	[{ repository: "acme", ref: SHA }, '--repository: found "acme"; it must be owner/name.'],
	[{ repository: "a/b\n- run: evil", ref: SHA }, /^--repository: found "a\/b\\n- run: evil"; it must be owner/],
	[{ repository: "acme/pg", ref: "a b" }, '--ref: found "a b"; it must be a commit or a tag.'],
])("are not written for %j", async (options, message) => {
	await expect(copyWorkflows(folder, options)).rejects.toThrow(message);
	expect(await readdir(folder)).toEqual([]);
});

test("are made with their comments, and without what only a caller needs", () => {
	const own = [
		"# Why.",
		"on:",
		"  push: # here",
		"  workflow_call:",
		"    inputs:",
		"      a: { type: string }",
		"",
		"jobs:",
		"  a: # there",
		"    steps: [{ uses: $/actions/plan }]",
	];
	expect(copyOf(own.join("\n"), "1.2.3").split("\n")).toEqual([
		...own.slice(0, 3),
		...own.slice(6, 9),
		"    steps: [{ uses: OWNER/proving-ground/actions/plan@v1.2.3 }]",
	]);
});

test("come from the origin of the checkout, at its commit", async () => {
	const checkout = path.join(folder, "proving-ground");
	const git = (...args: string[]) => execFileSync("git", ["-C", checkout, ...args], { encoding: "utf8" }).trim();
	await cp(path.join(root, "actions/workflows"), path.join(checkout, "actions/workflows"), { recursive: true });
	git("init", "--quiet");
	git("-c", "user.name=ann", "-c", "user.email=ann@x.dev", "commit", "--quiet", "--allow-empty", "--message", "one");
	await expect(copyWorkflows(folder, {}, checkout)).rejects.toThrow(/^--repository is missing/);
	git("remote", "add", "origin", root);
	await expect(copyWorkflows(folder, {}, checkout)).rejects.toThrow(/^--repository is missing/);
	const addresses = ["https://github.com/acme/pg.git", "git@github.com:acme/pg.git", "ssh://git@ghe.acme.dev/acme/pg"];
	for (const address of addresses) {
		git("remote", "set-url", "origin", address);
		expect(await copyWorkflows(folder, {}, checkout)).toContain(`acme/pg at ${git("rev-parse", "HEAD")}`);
	}
});
