// The layout
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "..");

/** The rooms of actions/, each below those after it; those of one line don't know each other. A file imports from rooms below its own. */
const ORDER: readonly (readonly string[])[] = [
	["generated", "schemas"],
	["errors", "metrics"],
	["files", "process", "state"],
	["text"],
	["git"],
	["documents"],
	["artefacts"],
	["trainer"],
	["experiment"],
	["data", "github"],
	["plan"],
	["train"],
	["executors", "stores", "registries"],
	["project"],
	["report"],
	["gate"],
	["comment", "page"],
	["promote", "propose"],
	["follow"],
	["action"],
	["cli"],
];
const rankOf = new Map(ORDER.flatMap((rooms, rank) => rooms.map((room) => [room, rank] as const)));

/** Stages that have a room, an action and a test of one name. */
const STAGES = ["plan", "train", "report", "gate", "comment", "promote", "propose", "follow"];

/** A package that talks to a service, and the only files that may import it. */
const SDKS: Record<string, string[]> = {
	"@octokit/rest": ["actions/lib/github/connect.ts"],
	"@octokit/plugin-retry": ["actions/lib/github/connect.ts"],
	"@octokit/plugin-throttling": ["actions/lib/github/connect.ts"],
};

const tracked = execFileSync("git", ["-C", root, "ls-files", "--cached", "--others", "--exclude-standard"], {
	encoding: "utf8",
})
	.split("\n")
	.filter((file) => existsSync(path.join(root, file)));
const sources = tracked.filter((file) => /^actions\/.*\.ts$/.test(file) && !file.includes("/generated/"));

/** What a file imports, types included: packages by their name, files by their path from the root. */
function importsOf(file: string): string[] {
	const text = readFileSync(path.join(root, file), "utf8");
	return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map(([, target]) =>
		target!.startsWith(".") ? path.join(path.dirname(file), target!) : target!,
	);
}

/** The room of a file of actions/lib or actions/cli; null for any other file. */
function roomOf(file: string): string | null {
	const [, top, name = ""] = /^actions\/(lib|cli)\/([^/]+)/.exec(file) ?? [];
	return top === "cli" ? "cli" : top === "lib" ? name.replace(/\.ts$/, "") : null;
}

/** Whether a room holds what is written by `npm run schemas`, or what that reads. */
function isWritten(room: string | undefined): boolean {
	return room === "generated" || room === "schemas";
}

/** Whether a file of one room may import a file of another. */
function isBelow(room: string, own: string): boolean {
	return room === own || rankOf.get(room)! < rankOf.get(own)!;
}

describe("of the rooms", () => {
	test("has every room in its order, and no room in it that isn't there", () => {
		const rooms = new Set(sources.map(roomOf).filter((room) => room !== null));
		expect([...rankOf.keys()].filter((room) => !isWritten(room)).sort()).toEqual([...rooms].sort());
	});

	test("lets every file import only from its own room and from rooms below", () => {
		const wrong = sources.flatMap((file) => {
			const own = roomOf(file);
			if (own === null) return [];
			return importsOf(file)
				.filter((target) => {
					const room = roomOf(target);
					// Schemas lie beside what they are of; nothing else outside of the rooms is theirs.
					if (room === null) return target.includes("/") && /\.m?ts$/.test(target);
					return !isBelow(room, own);
				})
				.map((target) => `${file} imports ${target}`);
		});
		expect(wrong).toEqual([]);
	});

	test("is the order that CONTRIBUTING.md tells", () => {
		const told = readFileSync(path.join(root, "CONTRIBUTING.md"), "utf8");
		const order = ORDER.filter(([room]) => !isWritten(room)).map((rooms) => rooms.join(", "));
		expect(told.replaceAll(/\s+/g, " ")).toContain(order.join(" ← "));
	});

	test.each(STAGES)("gives %s its action, its room with the file of its name, and its test", (stage) => {
		expect(readdirSync(path.join(root, "actions", stage)).sort()).toEqual(["README.md", "action.yml", "main.ts"]);
		expect(tracked).toContain(`actions/lib/${stage}/${stage}.ts`);
		expect(tracked).toContain(`test/lib/${stage}/${stage}.test.ts`);
		expect(tracked).toContain(`actions/dist/${stage}.js`);
	});

	test("has a folder of tests for no room that isn't there", () => {
		const folders = new Set(tracked.flatMap((file) => /^test\/lib\/([^/]+)\/.*\.test\.ts$/.exec(file)?.[1] ?? []));
		expect([...folders].filter((folder) => !rankOf.has(folder))).toEqual([]);
	});
});

describe("of the adapters", () => {
	test("lets only an adapter import its SDK", () => {
		const strays = sources.flatMap((file) =>
			importsOf(file)
				.filter((target) => {
					const sdk = Object.keys(SDKS).find((name) => target === name || target.startsWith(`${name}/`));
					return sdk !== undefined && !SDKS[sdk]!.includes(file);
				})
				.map((target) => `${file} imports ${target}`),
		);
		expect(strays).toEqual([]);
	});
});

describe("of the folders", () => {
	test("holds the top-level folders that the design names, and no other", () => {
		const folders = new Set(tracked.filter((file) => file.includes("/")).map((file) => file.split("/")[0]!));
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
