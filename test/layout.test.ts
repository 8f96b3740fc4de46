// The layout
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "..");
const lib = path.join(root, "actions/lib");
const stages = ["experiment", "plan", "train", "report", "gate", "comment", "promote", "propose"];

/** A package that talks to a service, and the only files that may import it. */
const sdks: Record<string, string[]> = {
	"@octokit/rest": ["actions/lib/github/connect.ts"],
	"@octokit/plugin-retry": ["actions/lib/github/connect.ts"],
	"@octokit/plugin-throttling": ["actions/lib/github/connect.ts"],
};

async function importsOf(file: string): Promise<string[]> {
	const text = await readFile(file, "utf8");
	return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);
}

async function sources(): Promise<string[]> {
	const files = await readdir(path.join(root, "actions"), { recursive: true });
	return files
		.filter((file) => file.endsWith(".ts") && !file.includes("generated"))
		.map((file) => path.join(root, "actions", file));
}

describe("of the stages", () => {
	test.each(stages.map((stage, position) => [stage, position] as const))(
		"lets %s import only from stages to its left",
		async (stage, position) => {
			// What a stage's own files import counts as the stage's import.
			const seen = new Set<string>();
			const queue = [path.join(lib, `${stage}.ts`)];
			for (const file of queue) {
				if (seen.has(file)) continue;
				seen.add(file);
				for (const target of await importsOf(file)) {
					if (target.startsWith(".") && target.endsWith(".ts") && !target.endsWith(".d.ts"))
						queue.push(path.resolve(path.dirname(file), target));
				}
			}
			const reached = [...seen]
				.map((file) => path.relative(lib, file).replace(".ts", ""))
				.filter((name) => stages.includes(name));
			const right = stages.slice(position + 1);
			expect(reached.filter((name) => right.includes(name))).toEqual([]);
		},
	);

	test.each(stages.filter((stage) => stage !== "experiment"))(
		"gives %s its action, its lib file and its test",
		(stage) => {
			for (const file of ["action.yml", "main.ts", "README.md", "dist/index.js"])
				expect(existsSync(path.join(root, "actions", stage, file)), `${stage}/${file}`).toBe(true);
			expect(existsSync(path.join(lib, `${stage}.ts`))).toBe(true);
			expect(existsSync(path.join(root, "test/lib", `${stage}.test.ts`))).toBe(true);
		},
	);
});

describe("of the adapters", () => {
	test("lets only an adapter import its SDK", async () => {
		const strays: string[] = [];
		for (const file of await sources()) {
			for (const target of await importsOf(file)) {
				const sdk = Object.keys(sdks).find((name) => target === name || target.startsWith(`${name}/`));
				if (sdk && !sdks[sdk]!.includes(path.relative(root, file)))
					strays.push(`${path.relative(root, file)} imports ${target}`);
			}
		}
		expect(strays).toEqual([]);
	});

	test("has each adapter import no other kind's adapter but through its own port", async () => {
		for (const kind of ["executors", "registries"]) {
			for (const file of await readdir(path.join(lib, kind))) {
				const targets = await importsOf(path.join(lib, kind, file));
				const others = ["executors", "registries"].filter((other) => other !== kind);
				expect(targets.filter((target) => others.some((other) => target.includes(`/${other}/`)))).toEqual([]);
			}
		}
	});
});

describe("of the folders", () => {
	test("holds the top-level folders that the design names, and no other", async () => {
		const files = execFileSync("git", ["-C", root, "ls-files"], { encoding: "utf8" }).split("\n");
		const folders = new Set(files.filter((file) => file.includes("/")).map((file) => file.split("/")[0]!));
		expect([...folders].sort()).toEqual([
			".ci",
			".github",
			"actions",
			"experiments",
			"recipes",
			"reports",
			"test",
			"trainer",
		]);
	});
});
