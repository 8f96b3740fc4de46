// An experiment's authors
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { authorsOf } from "../../../actions/lib/experiment/author.ts";

let root: string;
const git = (...args: string[]) => execFileSync("git", ["-C", root, ...args], { encoding: "utf8" }).trim();

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "author-"));
	git("init", "--quiet");
});
afterEach(() => rm(root, { recursive: true }));

async function commit(email: string, file = "mine.yaml"): Promise<string> {
	await writeFile(path.join(root, file), `${email} ${Math.random()}`);
	git("add", ".");
	git("-c", "user.name=Somebody", "-c", `user.email=${email}`, "commit", "--quiet", "--message", "a change");
	return git("rev-parse", "HEAD");
}
const NOREPLY = "users.noreply.github.com";

test("are all who changed its file, by the addresses that GitHub gives", async () => {
	await commit(`12345+ann@${NOREPLY}`);
	await commit(`Bob-2@${NOREPLY}`);
	await commit(`1+robot[bot]@${NOREPLY}`);
	await commit(`carol@${NOREPLY}`, "other.yaml");
	expect((await authorsOf(root, "mine.yaml", {})).sort()).toEqual(["Bob-2", "ann", "robot[bot]"]);
});

test("are not known where one of them has another address, unless the push names its login", async () => {
	await commit(`ann@${NOREPLY}`);
	const other = await commit("bob@example.com");
	expect(await authorsOf(root, "mine.yaml", {})).toEqual([]);
	expect(await authorsOf(root, "mine.yaml", { commits: new Map([["0".repeat(40), "eve"]]) })).toEqual([]);
	expect((await authorsOf(root, "mine.yaml", { commits: new Map([[other, "bob"]]) })).sort()).toEqual(["ann", "bob"]);
});

test("are who opened the pull request, and everybody else, as long as each of them is known", async () => {
	await commit(`ann@${NOREPLY}`);
	expect(await authorsOf(root, "mine.yaml", { author: "carol" })).toEqual(["carol", "ann"]);
	for (const _ of [1, 2]) await commit("bob@example.com");
	expect(await authorsOf(root, "mine.yaml", { author: "carol" })).toEqual([]);
	expect(await authorsOf(root, "mine.yaml", { author: "carol", lookUp: async () => null })).toEqual([]);
	const asked: string[] = [];
	const lookUp = async (commit: string) => {
		asked.push(commit);
		return "bob";
	};
	expect((await authorsOf(root, "mine.yaml", { author: "carol", lookUp })).sort()).toEqual(["ann", "bob", "carol"]);
	expect(asked).toEqual([git("rev-parse", "HEAD")]);
});

test("are whom the person at the terminal names, and whoever else is known", async () => {
	await commit(`ann@${NOREPLY}`);
	await commit("bob@example.com");
	expect(await authorsOf(root, "mine.yaml", { named: "carol" })).toEqual(["carol", "ann"]);
	await writeFile(path.join(root, "new.yaml"), "new");
	expect(await authorsOf(root, "new.yaml", { named: "ann" })).toEqual(["ann"]);
});

test("are not known where the file is in no commit, or git can't tell", async () => {
	await writeFile(path.join(root, "new.yaml"), "new");
	expect(await authorsOf(root, "new.yaml", {})).toEqual([]);
	expect(await authorsOf(path.join(root, "nowhere"), "new.yaml", {})).toEqual([]);
	expect(await authorsOf(root, "new.yaml", { author: "ann" })).toEqual([]);
});

test("are not known where history is cut off: its first commit seems to have written everything", async () => {
	await commit(`ann@${NOREPLY}`);
	await commit(`bob@${NOREPLY}`, "other.yaml");
	const shallow = path.join(root, "shallow");
	git("clone", "--quiet", "--depth", "1", `file://${root}`, shallow);
	expect(await authorsOf(shallow, "mine.yaml", {})).toEqual([]);
	expect(await authorsOf(shallow, "mine.yaml", { author: "carol" })).toEqual([]);
});

test("are not known where the file has changes that nobody committed", async () => {
	await commit(`ann@${NOREPLY}`);
	await writeFile(path.join(root, "mine.yaml"), "changed");
	expect(await authorsOf(root, "mine.yaml", {})).toEqual([]);
});
