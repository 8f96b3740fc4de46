// A disk that is full, read-only or failing is told as one, and never as a bug
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyFolder } from "../../actions/lib/artefacts.ts";
import { documentText, sha256, writeDocument } from "../../actions/lib/documents.ts";
import { isBug, sentenceOf } from "../../actions/lib/errors.ts";
import { local } from "../../actions/lib/executors/local.ts";
import { createFile, replaceFile } from "../../actions/lib/files.ts";
import { folder as registryIn } from "../../actions/lib/registries/folder.ts";
import { folder as storeIn } from "../../actions/lib/stores/folder.ts";
import { exampleRun, standIn } from "../fixtures/jobs.ts";
import { makePlan } from "../fixtures/plan.ts";

let temporary: string;
let disk: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "disks-"));
	disk = path.join(temporary, "disk");
	await mkdir(disk);
});
afterEach(() => rm(temporary, { recursive: true, force: true }));

/** Whether this machine lets us mount a small disk of our own. */
function canMount(): boolean {
	try {
		execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"], { stdio: "ignore" });
		execFileSync("umount", ["/mnt"]);
		return true;
	} catch {
		return false;
	}
}

const LARGE = "x".repeat(200_000);

/** Everything of ours that writes where people keep things. */
const writers: Record<string, () => Promise<unknown>> = {
	"a new file": () => createFile(path.join(disk, "new"), LARGE),
	"a file in the place of another": () => replaceFile(path.join(disk, "other"), LARGE),
	"a document": () => {
		const plan = makePlan();
		plan.experiment.why = LARGE;
		return writeDocument("plan", plan, path.join(disk, "plan.json"));
	},
	"the store": () => storeIn(disk).put("models/line/run/weights", LARGE),
	"a copy of a model": async () => {
		const from = path.join(temporary, "model");
		await mkdir(from);
		await writeFile(path.join(from, "weights"), LARGE);
		const files = [{ file: "weights", sha256: sha256(LARGE), bytes: LARGE.length }];
		const manifest = documentText({ schema: 1, run: "run", files });
		await writeFile(path.join(from, "manifest.json"), manifest);
		return copyFolder(from, sha256(manifest), path.join(disk, "copy"));
	},
	"a job": async () => {
		const run = exampleRun(path.join(temporary, "store"), "short");
		run.document.experiment = LARGE;
		const trainer = await standIn(temporary);
		return local({ jobs: path.join(disk, "jobs"), trainer, copyTrainer: false }).start(run);
	},
};

describe.skipIf(!canMount())("of a real disk", () => {
	beforeEach(() => void execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", disk]));
	afterEach(() => void execFileSync("umount", ["-l", disk]));

	async function failureOf(attempt: Promise<unknown>): Promise<string> {
		const error = await attempt.then(
			() => new Error("it was written"),
			(thrown: unknown) => thrown,
		);
		expect(isBug(error), String(error)).toBe(false);
		return sentenceOf(error);
	}

	test.each(Object.keys(writers))("that is full takes %s, and leaves no part of it", async (name) => {
		const message = await failureOf(writers[name]!());
		expect(message).toMatch(/^storage: \S+ can't be read or written: no space is left on the disk \(ENOSPC\)\.$/);
		expect(message).toContain(disk);
		if (!["a copy of a model", "a job"].includes(name)) {
			const left = (await readdir(disk, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
			expect(left.map((file) => file.name)).toEqual([]);
		}
	});

	test.each(Object.keys(writers))("that is read-only takes %s", async (name) => {
		execFileSync("mount", ["-o", "remount,ro", disk]);
		const message = await failureOf(writers[name]!());
		expect(message).toMatch(/^storage: \S+ can't be read or written: the disk is read-only \(EROFS\)\.$/);
	});
});

describe("of any disk", () => {
	test.each(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "ESTALE"])("%s is no bug", (code) => {
		const error = Object.assign(new Error(`${code}: said the system`), { code, syscall: "write", path: "/data/x" });
		expect(isBug(error)).toBe(false);
		expect(sentenceOf(error)).toMatch(/^storage: \/data\/x can't be read or written: /);
	});

	test("what our own code gets wrong stays one", () => {
		for (const error of [new TypeError("x"), Object.assign(new Error("x"), { code: "EINVAL", syscall: "open" }), "x"])
			expect(isBug(error)).toBe(true);
	});

	test("a store or a registry that can't be listed isn't taken for an empty one", async () => {
		await writeFile(path.join(disk, "models"), "");
		expect(await storeIn(disk).list("models/line/")).toEqual([]);
		await rm(path.join(disk, "models"));
		const loop = path.join(disk, "models");
		execFileSync("ln", ["-s", loop, loop]);
		await expect(storeIn(disk).list("models/line/")).rejects.toThrow("ELOOP");
		await expect(registryIn(loop).lines()).rejects.toThrow("ELOOP");
	});
});
