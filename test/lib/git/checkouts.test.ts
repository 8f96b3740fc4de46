// A checkout of a commit
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { checkOut, pruneCheckouts } from "../../../actions/lib/git/checkouts.ts";
import { openGit } from "../../../actions/lib/git/git.ts";
import { openState } from "../../../actions/lib/state.ts";

let temporary: string;
/** The bare repository that stands for GitHub's, and the runner's checkout of it. */
let origin: string;
let root: string;

const at = (folder: string, ...args: string[]) =>
	execFileSync("git", ["-C", folder, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", ...args], {
		encoding: "utf8",
		stdio: "pipe",
	}).trim();
const place = (sha: string) => path.join(root, ".proving-ground/checkouts", sha);
const repository = () => ({ home: root, state: openState(root, ".proving-ground") });
const checkouts = () => readdir(path.join(root, ".proving-ground/checkouts"));

/** A commit on the origin's main, or on a pull request's head alone. */
async function commit(text: string, pullRequest?: number, file = "recipe.yaml"): Promise<string> {
	const work = path.join(temporary, "work");
	if (pullRequest !== undefined) at(work, "checkout", "--quiet", "--detach");
	await mkdir(path.dirname(path.join(work, file)), { recursive: true });
	await writeFile(path.join(work, file), text);
	at(work, "add", "--force", ".");
	at(work, "commit", "--quiet", "--message", text);
	at(work, "push", "--quiet", "origin", `HEAD:${pullRequest === undefined ? "main" : `refs/pull/${pullRequest}/head`}`);
	const sha = at(work, "rev-parse", "HEAD");
	at(work, "checkout", "--quiet", "main");
	return sha;
}

/** All three with one commit, made once. */
let template: string;
beforeAll(async () => {
	template = await mkdtemp(path.join(tmpdir(), "template-"));
	open(template);
	execFileSync("git", ["init", "--quiet", "--template=", "--bare", "--initial-branch=main", origin]);
	for (const folder of [path.join(template, "work"), root]) {
		execFileSync("git", ["clone", "--quiet", "--template=", origin, folder], { stdio: "pipe" });
		at(folder, "config", "remote.origin.url", "../origin.git");
		at(folder, "checkout", "--quiet", "-B", "main");
		if (folder !== root) await commit("first");
	}
});
afterAll(() => rm(template, { recursive: true }));

function open(folder: string): void {
	temporary = folder;
	origin = path.join(temporary, "origin.git");
	root = path.join(temporary, "root");
}

beforeEach(async () => {
	const folder = await mkdtemp(path.join(tmpdir(), "checkouts-"));
	await cp(template, folder, { recursive: true });
	open(folder);
	await mkdir(path.join(root, ".proving-ground"));
});
afterEach(async () => {
	await rm(temporary, { recursive: true });
	vi.unstubAllEnvs();
});

describe("is made", () => {
	test("of a pull request's head, which is on no branch, by its number", async () => {
		const sha = await commit("proposed", 7);
		const there = await checkOut(repository(), openGit(root), sha, 7);
		expect(there).toBe(place(sha));
		expect(await readFile(path.join(there, "recipe.yaml"), "utf8")).toBe("proposed");
		expect(at(there, "rev-parse", "HEAD")).toBe(sha);
		// The repository's own checkout stays as it is.
		expect(await readFile(path.join(root, "recipe.yaml"), "utf8")).toBe("first");
	});

	test("of a commit that is here, without asking the origin", async () => {
		const sha = at(root, "rev-parse", "HEAD");
		await rm(origin, { recursive: true });
		expect(
			await readFile(path.join(await checkOut(repository(), openGit(root), sha, null), "recipe.yaml"), "utf8"),
		).toBe("first");
	});

	test("once: what is there as it was committed is kept", async () => {
		const sha = await commit("proposed", 7);
		const there = await checkOut(repository(), openGit(root), sha, 7);
		const { ino } = await stat(there);
		expect(await checkOut(repository(), openGit(root), sha, 7)).toBe(there);
		expect((await stat(there)).ino).toBe(ino);
	});

	test("but not of a commit that has what a machine keeps", async () => {
		for (const [index, file] of [
			".proving-ground/registry/line/1/entry.json",
			".venv",
			"node_modules/x.js",
		].entries()) {
			const sha = await commit("proposed", index + 1, file);
			await expect(checkOut(repository(), openGit(root), sha, index + 1)).rejects.toThrow(
				`The commit ${sha} has ${file.split("/")[0]}, where a machine keeps its own state and packages`,
			);
			expect(await checkouts().catch(() => [])).toEqual([]);
		}
	});

	test("of no name but a whole commit's", async () => {
		for (const name of ["main", "HEAD", "--upload-pack=touch x", "ab12", `${"a".repeat(40)}\n`, "../../etc"])
			await expect(checkOut(repository(), openGit(root), name, 7)).rejects.toThrow("is not a commit.");
	});

	test("but not of a commit that the pull request doesn't have", async () => {
		await commit("proposed", 7);
		await expect(checkOut(repository(), openGit(root), "a".repeat(40), 7)).rejects.toThrow("git ls-tree ended with");
		await expect(checkOut(repository(), openGit(root), "a".repeat(40), 8)).rejects.toThrow(
			/git fetch ended with 128: fatal: couldn't find remote ref refs\/pull\/8\/head/,
		);
	});
});

describe("is made anew where it was left half done", () => {
	let sha: string;
	beforeEach(async () => {
		sha = await commit("proposed", 7);
	});
	const isWhole = async () => {
		const there = await checkOut(repository(), openGit(root), sha, 7);
		expect(await readFile(path.join(there, "recipe.yaml"), "utf8")).toBe("proposed");
		expect(at(there, "status", "--porcelain", "--", "recipe.yaml")).toBe("");
	};

	test("by a process that was killed while git wrote files", async () => {
		const hook = path.join(root, ".git/slow");
		const reached = path.join(temporary, "reached");
		await writeFile(hook, `#!/bin/sh\ntouch ${reached}\nexec sleep 30\n`);
		await chmod(hook, 0o755);
		await mkdir(path.join(root, ".git/info"));
		await writeFile(path.join(root, ".git/info/attributes"), "recipe.yaml filter=slow\n");
		at(root, "fetch", "--quiet", "origin", "refs/pull/7/head");
		at(root, "config", "filter.slow.smudge", hook);
		const child = spawn("git", ["-C", root, "worktree", "add", "--quiet", "--detach", place(sha), sha], {
			detached: true,
			stdio: "ignore",
		});
		const ended = new Promise((resolve) => child.once("exit", resolve));
		while (!existsSync(reached)) await new Promise((resolve) => setTimeout(resolve, 10));
		process.kill(-child.pid!, "SIGKILL");
		await ended;
		at(root, "config", "--unset", "filter.slow.smudge");
		// To git it looks whole.
		expect(at(place(sha), "rev-parse", "HEAD")).toBe(sha);
		expect(existsSync(path.join(place(sha), "recipe.yaml"))).toBe(false);
		await isWhole();
	});

	test("or was changed since: a file, one more, one less", async () => {
		const recipe = () => path.join(place(sha), "recipe.yaml");
		for (const change of [
			() => writeFile(recipe(), "another"),
			() => writeFile(path.join(place(sha), "stray.yaml"), ""),
			() => rm(recipe()),
		]) {
			await checkOut(repository(), openGit(root), sha, 7);
			await change();
			await isWhole();
			expect((await readdir(place(sha))).sort()).toEqual([".git", "recipe.yaml"]);
		}
	});

	test("as a folder that git doesn't know, even of the very commit that the repository is at", async () => {
		sha = at(root, "rev-parse", "HEAD");
		await mkdir(place(sha), { recursive: true });
		await writeFile(path.join(place(sha), "stray"), "");
		const there = await checkOut(repository(), openGit(root), sha, null);
		expect(await readdir(there)).toEqual([".git", "recipe.yaml"]);
	});

	test.each(["locked", "gone from git", "gone from the disk, and locked", "without its link to git, and locked"])(
		"and is %s",
		async (how) => {
			await checkOut(repository(), openGit(root), sha, 7);
			if (how.endsWith("locked")) at(root, "worktree", "lock", place(sha));
			if (how.includes("from the disk")) await rm(place(sha), { recursive: true });
			if (how.includes("its link")) await rm(path.join(place(sha), ".git"));
			if (how.includes("from git")) await rm(path.join(root, ".git/worktrees"), { recursive: true });
			await isWhole();
		},
	);
});

describe("is removed", () => {
	test("where nobody needs it, whatever has become of it, and others stay", async () => {
		const [kept, old, locked] = [await commit("one", 1), await commit("two", 2), await commit("three", 3)];
		const young = await commit("four", 4);
		for (const [index, sha] of [kept, old, locked, young].entries())
			await checkOut(repository(), openGit(root), sha, index + 1);
		at(root, "worktree", "lock", place(locked));
		await writeFile(path.join(place(old), "recipe.yaml"), "changed");
		await mkdir(place("stray"));
		await writeFile(path.join(root, ".proving-ground/store"), "the store");
		const yesterday = new Date(Date.now() - 25 * 3_600_000);
		for (const name of [kept, old, locked, "stray"]) await utimes(place(name), yesterday, yesterday);
		await pruneCheckouts(repository(), openGit(root), new Set([kept]));
		// Another runner may still read what is young.
		expect((await checkouts()).sort()).toEqual([kept, young].sort());
		expect(at(root, "worktree", "list").split("\n")).toHaveLength(3);
		expect(existsSync(path.join(root, ".proving-ground/store"))).toBe(true);
	});

	test("and nothing where there is none", async () => {
		await pruneCheckouts(repository(), openGit(root), new Set());
	});
});

describe("is fetched with the token", () => {
	const token = "a-secret-token";
	const basic = `basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}`;

	/** A server that keeps what git sends, and has no repository. */
	async function listen(): Promise<{ url: string; heard: IncomingHttpHeaders[]; close: () => Promise<unknown> }> {
		const heard: IncomingHttpHeaders[] = [];
		const server = createServer(({ headers }, response) => {
			heard.push(headers);
			response.writeHead(404).end();
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
		return { url, heard, close: () => new Promise((resolve) => server.close(resolve)) };
	}

	test("that its server alone is sent", async () => {
		const [own, other] = [await listen(), await listen()];
		const git = openGit(root, { token, server: own.url });
		for (const { url } of [own, other])
			await expect(git("fetch", `${url}/ann/road`)).rejects.toThrow("git fetch ended with 128");
		await expect(openGit(root)("fetch", `${own.url}/ann/road`)).rejects.toThrow("git fetch ended with 128");
		expect(own.heard.map(({ authorization }) => authorization)).toEqual([basic, undefined]);
		expect(other.heard.map(({ authorization }) => authorization)).toEqual([undefined]);
		await Promise.all([own.close(), other.close()]);
	});

	test("in no argument, no file and no message, and with none of the runner's other secrets", async () => {
		const sha = await commit("proposed", 7);
		const seen = path.join(temporary, "seen");
		const bin = path.join(temporary, "bin");
		await mkdir(bin);
		const real = execFileSync("/bin/sh", ["-c", "command -v git"], { encoding: "utf8" }).trim();
		const script = `#!/bin/sh\nprintf '%s\\n' "$@" >> ${seen}.arguments\nenv >> ${seen}.environment\nexec ${real} "$@"\n`;
		await writeFile(path.join(bin, "git"), script, { mode: 0o755 });
		vi.stubEnv("PATH", `${bin}:${process.env["PATH"]}`);
		vi.stubEnv("INPUT_TOKEN", "another-secret");
		const git = openGit(root, { token, server: "https://github.example" });
		await checkOut(repository(), git, sha, 7);
		const message = await git("fetch", "origin", "refs/pull/9/head").catch(String);
		const secrets = new RegExp(`${token}|${basic.slice("basic ".length)}|another-secret`);
		expect(spawnSync("grep", ["-rlE", secrets.source, root], { encoding: "utf8" })).toMatchObject({
			status: 1,
			stdout: "",
		});
		expect(await readFile(`${seen}.arguments`, "utf8")).not.toMatch(secrets);
		expect(message).not.toMatch(secrets);
		expect(await readFile(`${seen}.environment`, "utf8")).not.toContain("another-secret");
	});
});
