// A GitHub for tests: emulate's, behind a proxy that records every request and can lose an answer.
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createEmulator } from "emulate";

/** Login whose token the actions get. */
export const BOT = "github-actions[bot]";

export interface Recorded {
	method: string;
	path: string;
}

export interface GitHubServer {
	/** GITHUB_API_URL of the proxy. */
	url: string;
	repository: string;
	pullRequest: number;
	/** Head commit of the pull request. */
	sha: string;
	requests: Recorded[];
	/** Requests since the last call that write. */
	writes(): Recorded[];
	/** The next request that matches does its work, and its answer never arrives. */
	loseAnswer(method: string, path: RegExp): void;
	call<T>(method: string, path: string, body?: object, token?: string): Promise<T>;
	close(): Promise<void>;
}

const TOKENS = { "bot-token": BOT, "ann-token": "ann" };

/** Starts a server with a repository and an open pull request in it. */
export async function startGitHub(): Promise<GitHubServer> {
	const github = await createEmulator({
		service: "github",
		port: 0,
		seed: {
			tokens: Object.fromEntries(Object.entries(TOKENS).map(([token, login]) => [token, { login, scopes: ["repo"] }])),
			github: {
				users: Object.values(TOKENS).map((login) => ({ login })),
				repos: [{ owner: "ann", name: "road", auto_init: true }],
			},
		},
	});
	// emulate names its own address by host; on loopback the number is what is bound.
	const upstream = github.url.replace("localhost", "127.0.0.1");
	const requests: Recorded[] = [];
	const losses: { method: string; path: RegExp }[] = [];
	const proxy = await startProxy(upstream, github.url, requests, losses);
	const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;

	async function call<T>(method: string, path: string, body?: object, token = "ann-token"): Promise<T> {
		const headers = { authorization: `token ${token}`, "content-type": "application/json" };
		const answer = await fetch(upstream + path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
		if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
		return (await answer.json()) as T;
	}

	const main = await call<{ object: { sha: string } }>("GET", "/repos/ann/road/git/ref/heads/main");
	await call("POST", "/repos/ann/road/git/refs", { ref: "refs/heads/night", sha: main.object.sha });
	await call("PUT", "/repos/ann/road/contents/experiments/more-night.yaml", {
		message: "More night",
		content: "",
		branch: "night",
	});
	const pull = await call<{ number: number; head: { sha: string } }>("POST", "/repos/ann/road/pulls", {
		title: "More night",
		head: "night",
		base: "main",
	});
	return {
		url,
		repository: "ann/road",
		pullRequest: pull.number,
		sha: pull.head.sha,
		requests,
		writes: () => requests.splice(0).filter(({ method }) => method !== "GET"),
		loseAnswer: (method, path) => losses.push({ method, path }),
		call,
		async close() {
			proxy.closeAllConnections();
			await new Promise((resolve) => proxy.close(resolve));
			await github.close();
		},
	};
}

async function startProxy(
	upstream: string,
	named: string,
	requests: Recorded[],
	losses: { method: string; path: RegExp }[],
): Promise<Server> {
	const server = createServer(async (request, response) => {
		const { method = "GET", url: path = "/" } = request;
		requests.push({ method, path });
		const chunks: Buffer[] = [];
		for await (const chunk of request) chunks.push(chunk);
		const headers = { authorization: request.headers.authorization ?? "", "content-type": "application/json" };
		const answer = await fetch(upstream + path, {
			method,
			headers,
			...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
		});
		const lost = losses.findIndex((loss) => loss.method === method && loss.path.test(path));
		if (lost >= 0) {
			losses.splice(lost, 1);
			request.socket.destroy();
			return;
		}
		// The next page is asked of us too.
		const own = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
		const link = answer.headers.get("link")?.replaceAll(named, own).replaceAll(upstream, own);
		response.writeHead(answer.status, { "content-type": "application/json", ...(link ? { link } : {}) });
		response.end(Buffer.from(await answer.arrayBuffer()));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return server;
}
