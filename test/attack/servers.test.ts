// A server in GitHub's place, whatever it answers, gets the token of no other place and keeps nobody waiting for ever
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { ServiceError } from "../../actions/lib/errors.ts";
import { openGitHub } from "../../actions/lib/github/github.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import type { Limits } from "../../actions/lib/github/requests.ts";
import { BOT } from "../system/github-server.ts";

type Answer = (request: IncomingMessage, response: ServerResponse, url: string) => void;

const servers: Server[] = [];
afterEach(async () => {
	for (const server of servers.splice(0)) {
		server.closeAllConnections();
		await new Promise((resolve) => server.close(resolve));
	}
});

/** A server that answers so, and keeps what it was asked with which token. */
async function serve(answer: Answer): Promise<{ url: string; asked: (string | undefined)[] }> {
	const asked: (string | undefined)[] = [];
	const server = createServer((request, response) => {
		asked.push(request.headers.authorization);
		answer(request, response, url);
	});
	servers.push(server);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	return { url, asked };
}

const open = (apiUrl: string, limits: Partial<Limits> = {}) =>
	openGitHub({ token: "secret", repository: "ann/road", apiUrl, author: BOT, second: 1, limits });

/** An empty page with a link to the next; of the shape that the list has. */
function page(request: IncomingMessage, response: ServerResponse, next: string): void {
	const shape = [/check-runs/, /workflows/].findIndex((part) => part.test(request.url!));
	const body = shape < 0 ? [] : { total_count: 0, [["check_runs", "workflow_runs"][shape]!]: [] };
	response.writeHead(200, { "content-type": "application/json", link: `<${next}>; rel="next"` });
	response.end(JSON.stringify(body));
}

/** Every list that is read. */
const LISTS: [string, (github: GitHub) => Promise<unknown>][] = [
	["pull requests", (github) => github.openPullRequests()],
	["the pull requests of a branch", (github) => github.pullRequestsFrom("a")],
	["the pull requests of a commit", (github) => github.pullRequestsOf("a".repeat(40))],
	["comments", (github) => github.commentsOf(1, "<!--")],
	["check runs", (github) => github.checkRuns("a".repeat(40))],
	["labels", (github) => github.setLabels(1, [], () => true)],
	["issues", (github) => github.closeIssue("<!-- a -->", "why")],
	["workflow runs", (github) => github.cancelRuns("experiment.yml", { branch: "a" })],
];

async function refusal(asked: Promise<unknown>): Promise<string> {
	const error = await asked.catch((reason: unknown) => reason);
	if (!(error instanceof ServiceError)) throw new Error(`no ServiceError: ${error}`);
	return error.message;
}

describe("a link to another host", () => {
	test.each(LISTS)("is not followed in a list of %s", async (_, list) => {
		const other = await serve((request, response, url) => page(request, response, url));
		const api = await serve((request, response) => page(request, response, `${other.url}/steal`));
		expect(await refusal(list(await open(api.url)))).toContain(`leads to ${other.url}; only ${api.url} is asked.`);
		expect([api.asked, other.asked]).toEqual([["token secret"], []]);
	});

	test.each([301, 302, 307, 308])("is not followed as a move, by %i", async (status) => {
		const other = await serve((request, response, url) => page(request, response, url));
		const api = await serve((_, response) => response.writeHead(status, { location: `${other.url}/steal` }).end());
		expect(await refusal((await open(api.url)).pullRequest(1))).toContain(`leads to ${other.url}`);
		expect(await refusal((await open(api.url)).emit("a", {}))).toContain(`leads to ${other.url}`);
		expect(other.asked).toEqual([]);
	});

	test("is told from a repository that was renamed, which is asked where it is now", async () => {
		const api = await serve((request, response, url) => {
			const isOld = request.url!.startsWith("/repos/");
			response.writeHead(isOld ? 301 : 404, { location: `${url}/repositories/1`, "content-type": "application/json" });
			response.end("{}");
		});
		expect(await (await open(api.url)).hasFile("a", "b")).toBe(false);
		expect(api.asked).toEqual(["token secret", "token secret"]);
	});

	test("and moves have an end", async () => {
		const api = await serve((_, response, url) => response.writeHead(302, { location: `${url}/again` }).end());
		expect(await refusal((await open(api.url)).pullRequest(1))).toContain("the answer has moved more than 3 times");
		expect(api.asked).toHaveLength(4);
	});
});

describe("pages without an end", () => {
	test.each(LISTS)("come round in a list of %s", async (_, list) => {
		const api = await serve((request, response, url) =>
			page(request, response, `${url}${request.url!.includes("page=2") ? "/x?page=1" : "/x?page=2"}`),
		);
		expect(await refusal(list(await open(api.url)))).toMatch(/the pages of the list come round to .*page=2/);
		expect(api.asked.length).toBeLessThan(5);
	});

	test.each(LISTS)("go on in a list of %s", async (_, list) => {
		let number = 1;
		const api = await serve((request, response, url) => page(request, response, `${url}/x?page=${++number}`));
		expect(await refusal(list(await open(api.url, { pages: 5 })))).toContain("the list has more than 5 pages");
		expect(api.asked).toHaveLength(5);
	});
});

describe("an answer without an end", () => {
	test.each<[string, Answer]>([
		["that never begins", () => {}],
		["that never goes on", (_, response) => response.writeHead(200, { "content-type": "application/json" }).write("[")],
		[
			"that comes by the byte",
			(_, response) => {
				response.writeHead(200, { "content-type": "application/json" });
				const drip = setInterval(() => response.write(" "), 20);
				response.on("close", () => clearInterval(drip));
			},
		],
	])("%s is given up, in words", async (_, answer) => {
		const api = await serve(answer);
		const message = await refusal((await open(api.url, { milliseconds: 150 })).openPullRequests());
		expect(message).toBe("could not list pull requests: no answer: there was no whole answer within 0.15 s.");
		// As often as any that is lost.
		expect(api.asked).toHaveLength(4);
	});

	test("that fills a memory is cut, and not asked for again", async () => {
		const api = await serve((_, response) => {
			response.writeHead(200, { "content-type": "application/json" });
			const more = () => {
				while (!response.destroyed && response.write(Buffer.alloc(65_536, " ")));
			};
			response.on("drain", more);
			more();
		});
		const message = await refusal((await open(api.url, { bytes: 1_000_000 })).openPullRequests());
		expect(message).toContain("the answer has more than 1000000 bytes");
		expect(api.asked).toHaveLength(1);
	});
});
