// What fast-check draws for the readers of people's files: texts of every kind, and good files that somebody has slipped in.
import fc from "fast-check";
import { SOAK } from "./soak.ts";

/** Follows the seed of the run: always the same, but in the soak, where fast-check draws one and prints it where a property fails. */
export function parameters(numRuns: number): fc.Parameters<unknown> {
	const given = process.env["SEED"] ?? (SOAK ? undefined : "1");
	return { numRuns, ...(given === undefined ? {} : { seed: Number(given) }) };
}

/** Words and marks that mean something in YAML, or to who reads what it holds. */
const PARTS = [
	..."{}[],:?-&*!|>'\"%@`#~\n\t\r \0\u00A0\u2028\uFEFF\uD800",
	...["- ", ": ", ":\n", "\n  ", "\n\t", "? ", "<<: ", "---\n", "...\n", "%YAML 1.1\n", "&a ", "*a", "!!merge x"],
	...[
		"!!set { a }",
		"!!binary aGk=",
		"!!timestamp 2001-01-01",
		"!!js/function x",
		"!<tag:yaml.org,2002:str>",
		"! ",
		"|+\n",
	],
	...["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "'__proto__': { a: 1 }", "100%", "%zz"],
	...[
		"null",
		"~",
		"true",
		"no",
		"0x1F",
		"0o17",
		"1e999",
		"-.inf",
		".nan",
		"-0",
		"12345678901234567890",
		"1_000",
		"1:30",
	],
	...[
		"2026-02-30",
		"",
		"x".repeat(99),
		"日本語",
		"👩‍🚀",
		"\u001B[31m",
		"../../etc/passwd",
		"$(id)",
		"[[[[[[[[",
		"{a: {a: {a: ",
	],
];

const part = fc.constantFrom(...PARTS);
const any = fc.string({ unit: "binary", maxLength: 30 });
const soup = fc
	.array(fc.oneof({ weight: 4, arbitrary: part }, { weight: 1, arbitrary: any }), { maxLength: 10 })
	.map((parts) => parts.join(""));

/** Keys of every kind, those among them that every object inherits. */
const key = fc.oneof(fc.constantFrom("__proto__", "constructor", "prototype", "toString", "a/b", "a~b", "100%"), any);
const tree = fc.object({ key, maxDepth: 2, maxKeys: 4, values: [fc.anything({ maxDepth: 0 }), part] });

/** Documents of plain values as JSON writes them, which is YAML too; what JSON leaves out is left out. */
const json = tree.map(
	(value) => JSON.stringify(value, (_, own) => (typeof own === "bigint" ? Number(own) : own)) ?? "",
);

/** One of the good texts with a few slips: a piece replaced, dropped or doubled. */
function slipped(good: readonly string[]): fc.Arbitrary<string> {
	const slip = fc.record({ at: fc.nat(10_000), length: fc.nat(12), by: fc.oneof(part, any), doubled: fc.boolean() });
	return fc.tuple(fc.constantFrom(...good), fc.array(slip, { minLength: 1, maxLength: 3 })).map(([text, slips]) =>
		slips.reduce((was, { at, length, by, doubled }) => {
			const place = at % (was.length + 1);
			const kept = doubled ? was.slice(place, place + length) : "";
			return was.slice(0, place) + by + kept + was.slice(place + (doubled ? 0 : length));
		}, text),
	);
}

/** Texts of a file that a person wrote, or meant to. */
export function texts(good: readonly string[]): fc.Arbitrary<string> {
	return fc.oneof({ weight: 5, arbitrary: slipped(good) }, { weight: 3, arbitrary: soup }, json, any);
}

/** A value with some of its parts, at any depth, replaced by something of any kind. */
export function spoiled(good: unknown): fc.Arbitrary<unknown> {
	const other = fc.oneof(
		fc.anything({ maxDepth: 1, key }),
		fc.constantFrom<unknown>(null, [null], "abc", 5, {}, [], [[]], true, -1, 1e308),
	);
	return fc.array(fc.tuple(fc.nat(1_000), other), { minLength: 0, maxLength: 3 }).map((changes) => {
		const value = structuredClone(good);
		for (const [at, by] of changes) {
			const places = [...placesOf(value)];
			const [holder, name] = places[at % places.length]!;
			Object.defineProperty(holder, name, {
				value: structuredClone(by),
				enumerable: true,
				configurable: true,
				writable: true,
			});
		}
		return value;
	});
}

function* placesOf(value: unknown): Generator<[holder: object, name: string]> {
	if (value === null || typeof value !== "object") return;
	for (const [name, inner] of Object.entries(value)) {
		yield [value, name];
		yield* placesOf(inner);
	}
}
