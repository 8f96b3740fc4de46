// Each message that a README quotes under "What can go wrong"
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { root } from "./pages.ts";

const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const sources = globSync(["actions/**/*.{ts,mjs}", "trainer/proving_ground/**/*.py"], { cwd: root })
	.filter((file) => !/generated|dist/.test(file))
	.map((file) => read(file).replaceAll(/"\s*\n\s*f?"/g, ""))
	.join("\n");

/** The quoted messages of a README's table, each in the parts that stand between what varies. */
function quoted(file: string): [string, string][] {
	const [, table = ""] = read(file).split("## What can go wrong");
	return [...table.matchAll(/^\| `([^`]+)` \|/gm)].flatMap(([, message]) =>
		message!
			// What a service or git answered isn't ours.
			.replace(/(: \d{3}|: .* found|ended with \d+)$/, "")
			.split("…")
			.map((part): [string, string] => [file, part.trim()])
			.filter(([, part]) => part.length > 12 && !/^(could not|git fetch|dataset\.)/.test(part)),
	);
}

const messages = globSync("actions/*/README.md", { cwd: root }).sort().flatMap(quoted);

test("are found at all", () => {
	expect(messages.length).toBeGreaterThan(15);
});

test.each(messages)("%s: %s", (_, message) => {
	expect(sources).toContain(message);
});
