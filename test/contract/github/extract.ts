// GitHub's OpenAPI description becomes operations.json: the requests that this project may make, and nothing else of it.
// Run: node test/contract/github/extract.ts FOLDER, where FOLDER holds the npm package @octokit/openapi (385 MB, so it is no
// dependency: install it in a temporary folder).
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

const repo = "/repos/{owner}/{repo}";
const operations = [
	`GET ${repo}`,
	`GET ${repo}/actions/runs`,
	`GET ${repo}/actions/runs/{run_id}`,
	`POST ${repo}/actions/runs/{run_id}/cancel`,
	`POST ${repo}/actions/runs/{run_id}/rerun`,
	`POST ${repo}/actions/runs/{run_id}/rerun-failed-jobs`,
	`POST ${repo}/actions/workflows/{workflow_id}/dispatches`,
	`GET ${repo}/actions/workflows/{workflow_id}/runs`,
	`GET ${repo}/branches`,
	`GET ${repo}/branches/{branch}`,
	`POST ${repo}/check-runs`,
	`GET ${repo}/check-runs/{check_run_id}`,
	`PATCH ${repo}/check-runs/{check_run_id}`,
	`GET ${repo}/check-runs/{check_run_id}/annotations`,
	`GET ${repo}/collaborators/{username}/permission`,
	`GET ${repo}/commits`,
	`GET ${repo}/commits/{commit_sha}/pulls`,
	`GET ${repo}/commits/{ref}`,
	`GET ${repo}/commits/{ref}/check-runs`,
	`GET ${repo}/commits/{ref}/status`,
	`GET ${repo}/compare/{basehead}`,
	`GET ${repo}/contents/{path}`,
	`PUT ${repo}/contents/{path}`,
	`DELETE ${repo}/contents/{path}`,
	`GET ${repo}/deployments`,
	`POST ${repo}/deployments`,
	`GET ${repo}/deployments/{deployment_id}`,
	`GET ${repo}/deployments/{deployment_id}/statuses`,
	`POST ${repo}/deployments/{deployment_id}/statuses`,
	`POST ${repo}/dispatches`,
	`GET ${repo}/environments`,
	`GET ${repo}/environments/{environment_name}`,
	`POST ${repo}/git/blobs`,
	`GET ${repo}/git/blobs/{file_sha}`,
	`POST ${repo}/git/commits`,
	`GET ${repo}/git/commits/{commit_sha}`,
	`GET ${repo}/git/matching-refs/{ref}`,
	`GET ${repo}/git/ref/{ref}`,
	`POST ${repo}/git/refs`,
	`PATCH ${repo}/git/refs/{ref}`,
	`DELETE ${repo}/git/refs/{ref}`,
	`POST ${repo}/git/tags`,
	`GET ${repo}/git/tags/{tag_sha}`,
	`POST ${repo}/git/trees`,
	`GET ${repo}/git/trees/{tree_sha}`,
	`GET ${repo}/issues`,
	`POST ${repo}/issues`,
	`GET ${repo}/issues/comments/{comment_id}`,
	`PATCH ${repo}/issues/comments/{comment_id}`,
	`DELETE ${repo}/issues/comments/{comment_id}`,
	`GET ${repo}/issues/comments/{comment_id}/reactions`,
	`POST ${repo}/issues/comments/{comment_id}/reactions`,
	`GET ${repo}/issues/{issue_number}`,
	`PATCH ${repo}/issues/{issue_number}`,
	`GET ${repo}/issues/{issue_number}/comments`,
	`POST ${repo}/issues/{issue_number}/comments`,
	`GET ${repo}/issues/{issue_number}/labels`,
	`POST ${repo}/issues/{issue_number}/labels`,
	`PUT ${repo}/issues/{issue_number}/labels`,
	`DELETE ${repo}/issues/{issue_number}/labels/{name}`,
	`GET ${repo}/labels`,
	`POST ${repo}/labels`,
	`GET ${repo}/labels/{name}`,
	`PATCH ${repo}/labels/{name}`,
	`DELETE ${repo}/labels/{name}`,
	`GET ${repo}/pulls`,
	`POST ${repo}/pulls`,
	`GET ${repo}/pulls/{pull_number}`,
	`PATCH ${repo}/pulls/{pull_number}`,
	`GET ${repo}/pulls/{pull_number}/commits`,
	`GET ${repo}/pulls/{pull_number}/files`,
	`PUT ${repo}/pulls/{pull_number}/merge`,
	`POST ${repo}/pulls/{pull_number}/requested_reviewers`,
	`GET ${repo}/pulls/{pull_number}/reviews`,
	`POST ${repo}/statuses/{sha}`,
	`GET ${repo}/tags`,
];

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
