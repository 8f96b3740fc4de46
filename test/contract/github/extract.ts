// GitHub's OpenAPI description becomes operations.json: the requests that this project may make, and nothing else of it.
// Run: node test/contract/github/extract.ts FOLDER, where FOLDER holds the npm package @octokit/openapi (385 MB, so it is no
// dependency: install it in a temporary folder).
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { knownOperations } from "../../system/github/permissions.ts";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/** By address, then as one thinks of them. */
function compare(one: string, other: string): number {
	const [[method = "", at = ""], [method2 = "", at2 = ""]] = [one.split(" "), other.split(" ")];
	return at < at2 ? -1 : at > at2 ? 1 : METHODS.indexOf(method) - METHODS.indexOf(method2);
}

const operations = [...knownOperations].sort(compare);

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
type Node = { [key: string]: Json };

const folder = process.argv[2];
if (!folder)
	throw new Error("Run: node test/contract/github/extract.ts FOLDER, with node_modules/@octokit/openapi in FOLDER.");
const source = path.join(folder, "node_modules/@octokit/openapi");
const { version } = JSON.parse(readFileSync(path.join(source, "package.json"), "utf8")) as { version: string };
const description = JSON.parse(readFileSync(path.join(source, "generated/api.github.com.json"), "utf8")) as Node;

/** What a reference points at. */
function resolve(reference: string): Json {
	return reference
		.slice(2)
		.split("/")
		.reduce<Json>((node, key) => (node as Node)[key]!, description);
}

/** A copy without references, without words for people, and in JSON Schema where OpenAPI 3.0 has its own. */
function plain(node: Json): Json {
	if (Array.isArray(node)) return node.map(plain);
	if (node === null || typeof node !== "object") return node;
	if (typeof node["$ref"] === "string") return plain(resolve(node["$ref"]));
	const copy: Node = {};
	for (const [key, value] of Object.entries(node)) {
		// Under `properties` keys are names, not keywords.
		if (key === "properties")
			copy[key] = Object.fromEntries(Object.entries(value as Node).map(([k, v]) => [k, plain(v)]));
		else if (!["description", "example", "examples", "nullable", "deprecated"].includes(key) && !key.startsWith("x-"))
			copy[key] = plain(value);
	}
	if (node["nullable"] === true && typeof copy["type"] === "string") {
		copy["type"] = [copy["type"], "null"];
		if (Array.isArray(copy["enum"])) copy["enum"] = [...copy["enum"], null];
	} else if (node["nullable"] === true) return { anyOf: [copy, { type: "null" }] };
	return copy;
}

const extracted = operations.map((name) => {
	const [method, route] = name.split(" ") as [string, string];
	const operation = ((description["paths"] as Node)[route] as Node | undefined)?.[method.toLowerCase()] as
		| Node
		| undefined;
	if (!operation) throw new Error(`GitHub's description has no operation ${name}.`);
	const parameters = (operation["parameters"] as Json[]).map((parameter) => {
		const { name, in: where, required = false, schema } = plain(parameter) as Node;
		return { name, in: where, required, schema };
	});
	const body = operation["requestBody"] ? (plain(operation["requestBody"]) as Node) : null;
	return {
		operation: name,
		documentation: ((operation["externalDocs"] as Node)["url"] as string) ?? "",
		parameters,
		body: body && {
			required: body["required"] ?? false,
			schema: ((body["content"] as Node)["application/json"] as Node)["schema"],
		},
	};
});
const notice = readFileSync(path.join(source, "LICENSE"), "utf8").trim();
const lines = extracted.map((entry) => `    ${JSON.stringify(entry)}`).join(",\n");
writeFileSync(
	path.join(import.meta.dirname, "operations.json"),
	`{\n  "source": "@octokit/openapi ${version}",\n  "notice": ${JSON.stringify(notice)},\n  "operations": [\n${lines}\n  ]\n}\n`,
);
