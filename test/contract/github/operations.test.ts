// Requests, against GitHub's own description
import { expect, test } from "vitest";
import { checkRequest, matchOperation } from "./operations.ts";

const at = "/repos/ann/road";

test.each<[method: string, path: string, body: unknown]>([
	["GET", `${at}/commits/main/check-runs?check_name=x&filter=latest&per_page=100`, undefined],
	["POST", `${at}/check-runs`, { name: "x", head_sha: "0", status: "completed", conclusion: "success" }],
	["POST", `${at}/git/trees`, { tree: [{ path: "a", mode: "100644", type: "blob", sha: null }] }],
	["POST", `${at}/issues/3/labels`, { labels: ["model:passed"] }],
	["PATCH", `${at}/issues/3`, { state: "closed", state_reason: "completed", milestone: null }],
	["POST", `${at}/actions/workflows/follow.yml/dispatches`, { ref: "main", inputs: { name: "x" } }],
])("let %s %s by", (method, path, body) => {
	expect(checkRequest({ method, path, body })).toEqual([]);
});

test.each<[what: string, method: string, path: string, body: unknown, problem: RegExp]>([
	["an address that is none", "GET", `${at}/isues`, undefined, /no operation/],
	["a number that is none", "PATCH", `${at}/issues/comments/x`, { body: "b" }, /must be integer/],
	["a query that nobody reads", "GET", `${at}/issues?label=x`, undefined, /label is unknown/],
	[
		"a key that nobody reads",
		"POST",
		`${at}/pulls`,
		{ title: "t", head: "a", base: "b", drft: true },
		/drft is unknown/,
	],
	["a body without what it needs", "POST", `${at}/issues/3/comments`, {}, /required property 'body'/],
	["no body", "POST", `${at}/issues/3/comments`, undefined, /body is missing/],
	["a name that is too long", "POST", `${at}/dispatches`, { event_type: "x".repeat(101) }, /100 characters/],
	["a word that is not allowed", "POST", `${at}/issues/comments/3/reactions`, { content: "nod" }, /allowed values/],
	["a time that is none", "POST", `${at}/check-runs`, { name: "x", head_sha: "0", started_at: "now" }, /date-time/],
	["a body where none belongs", "DELETE", `${at}/issues/comments/3`, { body: "x" }, /takes no body/],
])("complain of %s", (_, method, path, body, problem) => {
	expect(checkRequest({ method, path, body }).join()).toMatch(problem);
});

test("tell operations apart that look alike, and decode what a path holds", () => {
	const names = (path: string) => matchOperation("GET", path);
	expect(names(`${at}/issues/comments/3/reactions`)?.operation).toMatch(/\{comment_id\}\/reactions$/);
	expect(names(`${at}/contents/a/b.yaml?ref=x`)?.params["path"]).toBe("a/b.yaml");
	expect(names(`${at}/git/ref/heads%2Fmain`)?.params["ref"]).toBe("heads/main");
	expect(names(`${at}/commits/main`)?.operation).toMatch(/commits\/\{ref\}$/);
});
