// A value that breaks its schema becomes problems that its author can act on: what was found, what is allowed, where.
import type { ErrorObject, ValidateFunction } from "ajv";
import { closest, distance } from "fastest-levenshtein";
import type { Problem } from "../errors.ts";
import { escapePointer, type Source } from "./yaml.ts";

type Schema = Record<string, unknown>;

/** So many problems of a file are told: nobody reads more, and each takes a search for the name that was meant. */
const MOST = 100;

/** Checks a parsed file against its schema; `schemas` are those that error paths may lead into, by $id. */
export function checkSchema(source: Source, validate: ValidateFunction, schemas: readonly Schema[]): Problem[] {
	if (source.value === undefined || validate(source.value)) return [];
	// A union is told once, by the union itself: its branches and the `if` that chose one only repeat it.
	const errors = (validate.errors ?? []).filter(
		({ keyword, schemaPath, propertyName }) =>
			!["if", "const"].includes(keyword) && !/\/(oneOf|anyOf)\/\d/.test(schemaPath) && propertyName === undefined,
	);
	const told = errors.filter((error) => !isToldAlready(source, error) && !isOfWrongType(error, errors));
	const problems = told
		.slice(0, MOST)
		.map((error) => explain(source, error, schemas))
		.sort((a, b) => a.line - b.line || a.column - b.column);
	if (told.length > MOST) problems.push(problemAt(source, "", `and ${told.length - MOST} more problems`));
	return problems;
}

/** A problem at a pointer of a file. */
export function problemAt(source: Source, pointer: string, message: string, part: "key" | "value" = "value"): Problem {
	return { file: source.file, ...source.placeOf(pointer, part), message };
}

/** `found "x"; allowed: a, b` and the nearest of them where it is near. */
export function notAmong(found: string, allowed: readonly string[], noun = "allowed"): string {
	const list = allowed.length > 0 ? allowed.join(", ") : "none";
	return `${noun}: ${list}${suggest(found, allowed)}`;
}

function suggest(found: string, allowed: readonly string[]): string {
	const near = nearest(found, allowed);
	return near === null ? "" : `. Did you mean ${near}?`;
}

/** The allowed name that was probably meant; null where none is near. */
export function nearest(found: string, allowed: readonly string[]): string | null {
	if (allowed.length === 0) return null;
	const near = closest(found, [...allowed]);
	return distance(found, near) <= Math.max(2, Math.floor(near.length / 3)) ? near : null;
}

/** A key whose value the reader refused stands there without a value: it isn't missing. */
function isToldAlready(source: Source, error: ErrorObject): boolean {
	const parent = lookUp(source.value, error.instancePath);
	return error.keyword === "required" && Object.hasOwn(parent as object, String(error.params["missingProperty"]));
}

/** What isn't of its type at all has none of a union's branches either: the type is told. */
function isOfWrongType({ keyword, instancePath }: ErrorObject, errors: readonly ErrorObject[]): boolean {
	return keyword === "oneOf" && errors.some((other) => other.keyword === "type" && other.instancePath === instancePath);
}

function explain(source: Source, error: ErrorObject, schemas: readonly Schema[]): Problem {
	const here = error.instancePath;
	const value = lookUp(source.value, here);
	const name = here === "" ? "the file" : here.slice(1).replaceAll("/", ".");
	const params = error.params as Record<string, unknown>;
	const at = (message: string, pointer = here, part: "key" | "value" = "value") =>
		problemAt(source, pointer, message, part);
	switch (error.keyword) {
		case "additionalProperties": {
			const key = String(params["additionalProperty"]);
			const allowed = allowedKeys(parentSchema(error, schemas));
			const whose = here === "" ? "" : ` in ${name}`;
			return at(`unknown key ${key}${whose}; ${notAmong(key, allowed)}`, `${here}/${escapePointer(key)}`, "key");
		}
		case "required": {
			const key = String(params["missingProperty"]);
			const properties = (parentSchema(error, schemas)["properties"] ?? {}) as Record<string, Schema>;
			const purpose = properties[key]?.["description"];
			return at(`${here === "" ? "" : `${name}: `}${key} is missing${purpose ? ` (${purpose})` : ""}`);
		}
		case "propertyNames":
			return at(`${name}: ${params["propertyName"]} can't be a key`);
		case "dependencies":
			return at(`${name}: ${params["property"]} needs ${params["missingProperty"]}, which is missing`);
		case "type":
			return at(`${name}: found ${show(value)}; it must be ${article(String(params["type"]))}`);
		case "enum":
			return at(
				`${name}: found ${show(value)}; ${notAmong(String(value), (params["allowedValues"] as unknown[]).map(String))}`,
			);
		case "pattern":
			return at(
				`${name}: found ${show(value)}; it must be ${patterns[String(params["pattern"])] ?? `a match of ${params["pattern"]}`}`,
			);
		case "minLength":
			return at(`${name}: found ${show(value)}; it must have at least ${params["limit"]} character`);
		case "maxLength":
			return at(`${name}: found ${String(value).length} characters; it must have at most ${params["limit"]}`);
		case "minItems":
		case "maxItems":
			return at(
				`${name}: found ${(value as unknown[]).length} items; it must have ${error.keyword === "minItems" ? "at least" : "at most"} ${params["limit"]}`,
			);
		case "minProperties":
			return at(`${name}: found no key; it must have at least ${params["limit"]}`);
		case "minimum":
		case "maximum":
		case "exclusiveMinimum":
		case "exclusiveMaximum":
			return at(`${name}: found ${show(value)}; it must be ${params["comparison"]} ${params["limit"]}`);
		case "multipleOf":
			return at(`${name}: found ${show(value)}; it must be a multiple of ${params["multipleOf"]}`);
		case "uniqueItems":
			return at(`${name}: items ${Number(params["j"]) + 1} and ${Number(params["i"]) + 1} are the same`);
		case "anyOf":
			return at(`${name} has no bound; add one or more of: min, max, max_drop, max_regression_percent`);
		case "oneOf": {
			// A mapping's branches each ask for a key of their own.
			const keys = ((parentSchema(error, schemas)["oneOf"] ?? []) as Schema[]).flatMap(
				({ required }) => required ?? [],
			);
			if (keys.length === 0) return at(`${name}: found ${show(value)}; it must be a text or a list of texts`);
			const given = keys.filter((key) => Object.hasOwn(value as object, String(key)));
			return at(`${name}: found ${given.join(" and ") || "none"}; it must have exactly one of: ${keys.join(", ")}`);
		}
		default:
			return at(`${name}: found ${show(value)}; it ${error.message}`);
	}
}

/** The keys that a schema's mapping may have; a family of them ends in a star. */
function allowedKeys({ properties = {}, patternProperties = {} }: Schema): string[] {
	const families = Object.keys(patternProperties as Schema).map((pattern) =>
		pattern.slice(1, -1).replace("[A-Z0-9_]+", "*"),
	);
	return [...Object.keys(properties as Schema), ...families];
}

function parentSchema(error: ErrorObject, schemas: readonly Schema[]): Schema {
	const [id = "", pointer = ""] = error.schemaPath.split("#");
	const root = schemas.find((schema) => schema["$id"] === id) ?? schemas[0]!;
	// A schema's path is a fragment of a URI, a value's is not.
	return (lookUp(root, decodeURIComponent(pointer.slice(0, pointer.lastIndexOf("/")))) ?? {}) as Schema;
}

function lookUp(value: unknown, pointer: string): unknown {
	let current = value;
	for (const part of pointer.split("/").slice(1)) {
		current = (current as Record<string, unknown> | undefined)?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
	}
	return current;
}

const patterns: Record<string, string> = {
	"^[a-z0-9]+(-[a-z0-9]+)*$": "lower-case letters and digits, joined by single hyphens",
	"^[0-9]{4}-[0-9]{2}-[0-9]{2}$": "a day, YYYY-MM-DD",
	"^[A-Za-z0-9][A-Za-z0-9_-]*$": "a GitHub login, without an @",
	"^(?!.*\\.\\.)[A-Za-z0-9][A-Za-z0-9._/-]*$": "a tag, a branch or a commit",
	"\\S": "a text that isn't blank",
	"^(?!/)(?!([\\s\\S]*[\\\\/])?\\.\\.([\\\\/]|(?![\\s\\S])))[^\\u0000]+$": "a path inside the dataset's folder",
	"^[^\\u0000-\\u001f]*$": "a text of one line",
	"^[^\\u0000-\\u001f@]*$": "an address without a name or a password; give an address that has one by `secrets`",
	"^(?!(GITHUB|ACTIONS|INPUT|RUNNER|LD|DYLD|PROVING_GROUND)_|PYTHON|(PATH|HOME)$)[A-Za-z_][A-Za-z0-9_]*$":
		"the name of a variable, and not PATH, HOME, PYTHON*, LD_*, GITHUB_*, ACTIONS_*, INPUT_* or RUNNER_*",
};

function show(value: unknown): string {
	if (value === null || value === undefined) return "nothing";
	if (Array.isArray(value)) return "a list";
	if (typeof value === "object") return "a mapping";
	const text = JSON.stringify(value);
	return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function article(type: string): string {
	const names: Record<string, string> = {
		string: "a text",
		number: "a number",
		integer: "a whole number",
		boolean: "true or false",
		array: "a list",
		object: "a mapping",
	};
	// What may be left out may be null, which nobody writes.
	const wanted = type.split(",").filter((each, _, all) => each !== "null" || all.length === 1);
	return wanted.map((each) => names[each] ?? each).join(" or ");
}
