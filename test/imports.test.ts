// Every source is one that Node itself can import: it takes the types off by a parser of its own, which no other tool here uses
import { globSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { expect, test } from "vitest";

const root = path.resolve(import.meta.dirname, "..");
const files = globSync(["actions/**/*.ts", "test/**/*.ts", "*.ts"], { cwd: root }).filter(
	(file) => !file.includes("node_modules") && !file.endsWith(".d.ts"),
);

/** Why Node can't import a text; null where it can. */
function refusal(text: string): string | null {
	try {
		stripTypeScriptTypes(text);
		return null;
	} catch (error) {
		return (error as Error).message;
	}
}

test("as each of the sources is", () => {
	expect(files.length).toBeGreaterThan(200);
	const refused = files.flatMap((file) => {
		const why = refusal(readFileSync(path.join(root, file), "utf8"));
		return why === null ? [] : [`${file}: ${why}`];
	});
	expect(refused).toEqual([]);
});

test.each([
	["a loop over what is named of", "for (const of of [1]) console.log(of);"],
	["an enum, which is more than a type", "enum Color { Red }"],
	["a parameter that is a property", "class Point { constructor(readonly x: number) {} }"],
])("and %s is not", (_, text) => {
	expect(refusal(text)).not.toBeNull();
});
