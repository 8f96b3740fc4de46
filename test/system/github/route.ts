// What the routes of our overlay share: what is asked, what is answered, and GitHub's way to page and to refuse.

import type { Permissions } from "./permissions.ts";

export interface Ask {
	method: string;
	/** Path and query, as they were sent. */
	path: string;
	query: URLSearchParams;
	/** The values in the path. */
	params: Record<string, string>;
	body: Record<string, unknown>;
	/** Who asks. */
	login: string;
	/** What the asker's token may do; undefined for one that may do anything. */
	permissions?: Permissions | undefined;
	/** The API's address, as the asker has it. */
	base: string;
}

export interface Answer {
	status: number;
	body?: unknown;
	headers?: Record<string, string>;
}

/** Asks emulate, as the asker. */
export type Upstream = (method: string, path: string, body?: object) => Promise<Answer>;

/** Answers one operation, named as GitHub's description names it. */
export type Routes = Record<string, (ask: Ask, upstream: Upstream) => Promise<Answer> | Answer>;

export const repo = "/repos/{owner}/{repo}";

/** /repos/owner/name of the asked repository. */
export function placeOf({ params }: Ask): string {
	return `/repos/${params["owner"]}/${params["repo"]}`;
}

/** The asked page of a list, with the links to the others: https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api */
export function paginate(ask: Ask, list: unknown[], wrap: (page: unknown[]) => unknown = (page) => page): Answer {
	const size = Math.min(Number(ask.query.get("per_page") ?? 30), 100);
	const page = Number(ask.query.get("page") ?? 1);
	const last = Math.max(1, Math.ceil(list.length / size));
	const link = (to: number, rel: string) => {
		const url = new URL(ask.base + ask.path);
		url.searchParams.set("page", String(to));
		return `<${url}>; rel="${rel}"`;
	};
	const links = [
		...(page > 1 ? [link(page - 1, "prev"), link(1, "first")] : []),
		...(page < last ? [link(page + 1, "next"), link(last, "last")] : []),
	];
	const headers: Record<string, string> = links.length > 0 ? { link: links.join(", ") } : {};
	return { status: 200, headers, body: wrap(list.slice((page - 1) * size, page * size)) };
}

export function refuse(status: number, message: string, errors?: object[]): Answer {
	return { status, body: { message, ...(errors ? { errors } : {}), status: String(status) } };
}

export const notFound = () => refuse(404, "Not Found");

/** GitHub's answer to what it can't take: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed */
export const invalid = (resource: string, field: string, code: string, message?: string) =>
	refuse(422, "Validation Failed", [{ resource, field, code, ...(message ? { message } : {}) }]);

/** Everything of a list that emulate gives by pages. */
export async function all<T>(upstream: Upstream, path: string): Promise<T[]> {
	const list: T[] = [];
	for (let page = 1; ; page++) {
		const { status, body } = await upstream("GET", `${path}${path.includes("?") ? "&" : "?"}per_page=100&page=${page}`);
		if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
		list.push(...(body as T[]));
		if ((body as T[]).length < 100) return list;
	}
}
