// What can go wrong with a request to GitHub, and must not be seen in the end.
import { type Fault, limits } from "../../system/github/faults.ts";

/** Everything that can go wrong with a request once, and must not be seen in the end. */
export function mishaps(method: string, path: RegExp): [string, Fault][] {
	const soon = Math.floor(Date.now() / 1000) + 5;
	const before = { method, path, worked: false };
	const headers = { "retry-after": "1" };
	return [
		["the answer is lost", { ...before, worked: true, answer: null }],
		["the request is lost", { ...before, answer: null }],
		["it fails before the write", { ...before, answer: limits.failure(503) }],
		["it fails twice before the write", { ...before, times: 2, answer: limits.failure(500) }],
		["it fails after the write", { ...before, worked: true, answer: limits.failure(502) }],
		["a secondary limit answers 403", { ...before, answer: limits.secondary(1, 403) }],
		["a secondary limit answers 429", { ...before, answer: limits.secondary(1, 429) }],
		["a limit is told by its header alone", { ...before, answer: { status: 429, headers, body: { message: "Slow" } } }],
		["the primary limit is reached", { ...before, answer: limits.primary(soon) }],
	];
}
const nothing = /nothing is like this/;
/** Each of them by its name and its place. */
export const names = mishaps("POST", nothing).map(([name], index) => [name, index] as const);
/** One of each kind, where the same code has borne all of them elsewhere. */
export const kinds = names.filter(([name]) => /answer is lost|twice before|after the write|header alone/.test(name));
