// Every store
import { fork } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Store } from "../../../actions/lib/plan/store.ts";
import { folder } from "../../../actions/lib/stores/folder.ts";

/** The conformance suite: called once for each adapter. */
function conforms(name: string, open: () => Promise<Store>): void {
	describe(name, () => {
		let store: Store;
		beforeEach(async () => {
			store = await open();
		});

		test("gives back the bytes that were put", async () => {
			const bytes = Uint8Array.from([0, 255, 10, 13]);
			expect(await store.put("runs/a/weights", bytes)).toBe(true);
			expect(Buffer.from((await store.get("runs/a/weights"))!)).toEqual(Buffer.from(bytes));
		});

		test("has nothing at a key that was never put, nor at a prefix of one", async () => {
			await store.put("runs/a/b", "x");
			expect(await store.get("runs/none")).toBeNull();
			expect(await store.get("runs/a")).toBeNull();
			expect(await store.get("runs/a/b/c")).toBeNull();
		});

		test("never changes what is there", async () => {
			await store.put("key", "first");
			expect(await store.put("key", "second")).toBe(false);
			expect(Buffer.from((await store.get("key"))!).toString()).toBe("first");
		});

		test("lets one of fifty simultaneous writers win", async () => {
			const wrote = await Promise.all(Array.from({ length: 50 }, (_, index) => store.put("race", `writer ${index}`)));
			expect(wrote.filter(Boolean)).toHaveLength(1);
			expect(Buffer.from((await store.get("race"))!).toString()).toBe(`writer ${wrote.indexOf(true)}`);
		});

		test("lists the keys under a prefix, sorted", async () => {
			for (const key of ["runs/b/2", "runs/a/1", "runs/b/1", "other"]) await store.put(key, "x");
			expect(await store.list("runs/")).toEqual(["runs/a/1", "runs/b/1", "runs/b/2"]);
			expect(await store.list("none/")).toEqual([]);
			expect(await store.list("runs/b")).toEqual(["runs/b/1", "runs/b/2"]);
			expect(await store.list("runs/b/1/")).toEqual([]);
			expect(await store.list("o")).toEqual(["other"]);
			expect(await store.list("")).toHaveLength(4);
		});

		test("refuses a key that leads out of it", async () => {
			for (const key of ["../outside", "/etc/passwd", "a/../../b", ""])
				await expect(store.put(key, "x")).rejects.toThrow("can't be a key of a store");
			for (const prefix of ["../", "a/../../"])
				await expect(store.list(prefix)).rejects.toThrow("can't be a key of a store");
		});
	});
}

let temporary: string;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "store-"));
});
afterEach(() => rm(temporary, { recursive: true }));

conforms("folder", async () => folder(path.join(temporary, "store")));

test("folder shows a key whole or not at all while its writer is killed", async () => {
	const writer = path.join(temporary, "writer.ts");
	const { writeFile } = await import("node:fs/promises");
	await writeFile(
		writer,
		`import { folder } from ${JSON.stringify(path.resolve(import.meta.dirname, "../../../actions/lib/stores/folder.ts"))};
const store = folder(${JSON.stringify(path.join(temporary, "store"))});
process.send("ready");
for (let n = 0; ; n++) await store.put("big/" + n, Buffer.alloc(4_000_000, 7));`,
	);
	const child = fork(writer);
	await new Promise((resolve) => child.once("message", resolve));
	const store = folder(path.join(temporary, "store"));
	while ((await store.list("big/")).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
	// Somewhere in a later key.
	await new Promise((resolve) => setTimeout(resolve, 20));
	child.kill("SIGKILL");
	await new Promise((resolve) => child.once("exit", resolve));
	const keys = await store.list("big/");
	expect(keys.length).toBeGreaterThan(0);
	for (const key of keys) expect((await store.get(key))!.length).toBe(4_000_000);
});
