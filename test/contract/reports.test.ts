// The reports that are committed
import { globSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { type DocumentName, readDocument } from "../../actions/lib/documents.ts";
import { recorded } from "../../actions/lib/registries/recorded.ts";

const root = path.resolve(import.meta.dirname, "../..");
const files = globSync("reports/*/*.json", { cwd: root }).sort();

test.each(files)("%s is one that this version reads", async (file) => {
	await readDocument(path.basename(file, ".json") as DocumentName, path.join(root, file));
});

test("tell a runner without the registry what production is", async () => {
	const warned: string[] = [];
	const registry = recorded(root, (message) => warned.push(message));
	expect(await registry.lines()).toEqual(["perception-hydranet"]);
	expect((await registry.current("perception-hydranet"))?.entry.experiment).toBe("more-night");
	expect(warned).toEqual([]);
});
