// A request becomes the operation of GitHub's API that it is, and what GitHub's OpenAPI description has against it.
import { readFileSync } from "node:fs";
import path from "node:path";
import { Ajv, type ValidateFunction } from "ajv";

type Schema = { [keyword: string]: unknown };

interface Operation {
	/** Method and route, as GitHub's description writes them: GET /repos/{owner}/{repo} */
	operation: string;
	documentation: string;
	parameters: { name: string; in: "path" | "query" | "header"; required: boolean; schema: Schema }[];
	body: { required: boolean; schema: Schema } | null;
}

export interface Matched {
	operation: string;
	documentation: string;
	/** The values in the path, decoded. */
	params: Record<string, string>;
}

const { operations } = JSON.parse(readFileSync(path.join(import.meta.dirname, "operations.json"), "utf8")) as {
	operations: Operation[];
};

/** Parameters that may hold slashes. */
const DEEP = new Set(["path", "ref", "basehead", "branch", "name", "environment_name"]);

const routes = operations
	.map((operation) => {
		const [method, template] = operation.operation.split(" ") as [string, string];
		const names: string[] = [];
		const pattern = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
			names.push(name);
			return DEEP.has(name) ? "(.+)" : "([^/]+)";
		});
		const literal = template.split("/").filter((part) => !part.startsWith("{")).length;
		return { operation, method, names, literal, pattern: new RegExp(`^${pattern}$`) };
	})
	// The route that says more in its own words is the one that is meant: issues/comments/1 before issues/1/comments.
	.sort((a, b) => b.literal - a.literal);

const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false, validateFormats: true });
ajv.addFormat("date-time", (text) => !Number.isNaN(Date.parse(text)) && /^\d{4}-\d\d-\d\dT/.test(text));
ajv.addFormat("uri", (text) => URL.canParse(text));
for (const format of ["timestamp", "int64", "email", "uri-template", "date", "repo.nwo"]) ajv.addFormat(format, true);
// What stands in a path or a query is text, whatever type it is of.
const fromText = new Ajv({ strict: false, allErrors: true, coerceTypes: "array", validateFormats: false });
const compiled = new Map<string, ValidateFunction>();

/** The operation that a request is; null where it is none that this project knows. */
export function matchOperation(method: string, url: string): Matched | null {
	const found = find(method, url);
	return (
		found && {
			operation: found.operation.operation,
			documentation: found.operation.documentation,
			params: found.params,
		}
	);
}

/** What GitHub's description has against the request; empty where it is valid. */
export function checkRequest(request: { method: string; path: string; body?: unknown }): string[] {
	const { method, path: url, body } = request;
	const found = find(method, url);
	if (!found) return [`${method} ${url}: no operation that operations.json has; extract.ts lists what it is made of`];
	const { operation, params } = found;
	const problems: string[] = [];
	const query = new URL(url, "http://localhost").searchParams;
	for (const { name, in: where, required, schema } of operation.parameters) {
		if (where === "header") continue;
		const value = where === "path" ? params[name] : (query.get(name) ?? undefined);
		if (value === undefined && required) problems.push(`${where} parameter ${name} is missing`);
		if (value !== undefined)
			problems.push(
				...validate(fromText, `${operation.operation} ${name}`, wrap(schema), { value }).map((p) => `${name}: ${p}`),
			);
	}
	for (const name of query.keys())
		if (!operation.parameters.some((parameter) => parameter.in === "query" && parameter.name === name))
			problems.push(`query parameter ${name} is unknown`);
	problems.push(...checkBody(operation, body));
	return problems.map((problem) => `${method} ${url}: ${problem}`);
}

function find(method: string, url: string) {
	const { pathname } = new URL(url, "http://localhost");
	for (const { operation, pattern, names, method: own } of routes) {
		const match = own === method ? pattern.exec(pathname) : null;
		if (match) {
			const params = Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(match[i + 1]!)]));
			return { operation, params };
		}
	}
	return null;
}

function wrap(schema: Schema): Schema {
	return { type: "object", properties: { value: schema } };
}

function checkBody(operation: Operation, body: unknown): string[] {
	if (body === undefined) return operation.body?.required ? ["the body is missing"] : [];
	if (!operation.body) return ["this operation takes no body"];
	const problems = validate(ajv, operation.operation, operation.body.schema, body);
	if (body === null || typeof body !== "object" || Array.isArray(body)) return problems;
	// GitHub overlooks a key that it doesn't know, and so what its author meant never happens.
	const known = keysOf(operation.body.schema);
	const unknown = known.size > 0 ? Object.keys(body).filter((key) => !known.has(key)) : [];
	return [...problems, ...unknown.map((key) => `the body's key ${key} is unknown`)];
}

function keysOf(schema: Schema): Set<string> {
	const keys = new Set(Object.keys((schema["properties"] as object | undefined) ?? {}));
	for (const word of ["oneOf", "anyOf", "allOf"])
		for (const part of (schema[word] as Schema[] | undefined) ?? []) for (const key of keysOf(part)) keys.add(key);
	return keys;
}

function validate(engine: Ajv, key: string, schema: Schema, value: unknown): string[] {
	let check = compiled.get(key);
	if (!check) {
		check = engine.compile(schema);
		compiled.set(key, check);
	}
	if (check(structuredClone(value))) return [];
	return (check.errors ?? []).map(({ instancePath, message }) =>
		`${instancePath.replace(/^\/value/, "")} ${message}`.trim(),
	);
}
