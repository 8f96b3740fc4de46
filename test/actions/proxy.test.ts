// An action behind a company's proxy, with a certificate authority of its own
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createServer as createSecure } from "node:tls";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { writeDocument } from "../../actions/lib/documents.ts";
import { makePlan } from "../fixtures/plan.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";
import { type Ran, runAction } from "./runner.ts";

/** A host that no name server knows: only the proxy has a way to it. */
const HOST = "api.acme.test";

let folder: string;
let authority: string;
let github: GitHubServer;
/** GitHub behind TLS, and the proxy. */
let servers: Server[];
let secured: number;
let proxy: string;
/** What the proxy answers. */
let answer = "200 Connection established";
/** What it was asked for: the host, and who asked. */
let asked: [host: string, credentials: string | undefined][] = [];

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;
const listen = (server: Server) => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

/** A certificate for the stand-in of GitHub, signed by an authority of our own. */
function certify(): { key: Buffer; cert: Buffer } {
	const file = (name: string) => path.join(folder, name);
	const make = (name: string, ...more: string[]) => {
		const fresh = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
		const named = ["-keyout", file(`${name}.key`), "-out", file(`${name}.pem`), "-subj", `/CN=${name}`];
		execFileSync("openssl", ["req", ...fresh, ...named, ...more], { stdio: "ignore" });
	};
	make("authority");
	const signed = ["-CA", file("authority.pem"), "-CAkey", file("authority.key")];
	make("github", ...signed, "-addext", `subjectAltName=DNS:${HOST},IP:127.0.0.1`);
	return { key: readFileSync(file("github.key")), cert: readFileSync(file("github.pem")) };
}

beforeAll(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "proxy-"));
	authority = path.join(folder, "authority.pem");
	github = await startGitHub();
	const secure = createSecure(certify(), (socket) => {
		const inner = connect(Number(new URL(github.url).port), "127.0.0.1");
		socket
			.on("error", () => inner.destroy())
			.pipe(inner)
			.on("error", () => socket.destroy())
			.pipe(socket);
	}) as unknown as Server;
	const between = createServer((_, response) => response.writeHead(501).end());
	between.on("connect", ({ url, headers }, socket) => {
		asked.push([url!, headers["proxy-authorization"]]);
		if (!answer.startsWith("200")) return socket.end(`HTTP/1.1 ${answer}\r\n\r\n`);
		const there = connect(secured, "127.0.0.1", () => socket.write(`HTTP/1.1 ${answer}\r\n\r\n`));
		there
			.on("error", () => socket.destroy())
			.pipe(socket)
			.on("error", () => there.destroy())
			.pipe(there);
	});
	servers = [secure, between];
	for (const server of servers) await listen(server);
	secured = portOf(secure);
	proxy = `127.0.0.1:${portOf(between)}`;
});
afterAll(async () => {
	for (const server of servers) server.close();
	await github.close();
	await rm(folder, { recursive: true });
});
beforeEach(() => {
	asked = [];
	answer = "200 Connection established";
	github.requests.length = 0;
});

/** The comment action, which asks GitHub at an address. */
async function comment(address: string, environment: Record<string, string>): Promise<Ran> {
	const plan = await writeDocument("plan", makePlan(), path.join(folder, "plan.json"));
	const inputs = { plan, "pull-request": String(github.pullRequest), sha: github.sha, token: "bot-token", author: BOT };
	const place = { GITHUB_API_URL: address, GITHUB_REPOSITORY: github.repository };
	return runAction("comment", { workspace: folder, inputs, environment: { ...place, ...environment } });
}

test.each([
	["HTTPS_PROXY", (address: string) => `http://${address}`, undefined],
	["https_proxy", (address: string) => `http://me:p%40ss@${address}`, `Basic ${btoa("me:p@ss")}`],
	["HTTPS_PROXY", (address: string) => address, undefined],
])("asks GitHub through the proxy that %s names", async (name, written, credentials) => {
	const ran = await comment(`https://${HOST}`, { [name]: written(proxy), NODE_EXTRA_CA_CERTS: authority });
	expect(ran, ran.log).toMatchObject({ code: 0, annotations: [] });
	expect(asked.length).toBeGreaterThan(0);
	for (const each of asked) expect(each).toEqual([`${HOST}:443`, credentials]);
	expect(github.requests.length).toBeGreaterThan(0);
});

test.each(["NO_PROXY", "no_proxy"])("asks the hosts in %s without it", async (name) => {
	const environment = { HTTPS_PROXY: `http://${proxy}`, NODE_EXTRA_CA_CERTS: authority };
	const address = `https://127.0.0.1:${secured}`;
	expect(await comment(address, environment)).toMatchObject({ code: 0 });
	expect(asked).not.toEqual([]);
	asked = [];
	const around = await comment(address, { ...environment, [name]: "127.0.0.1,localhost" });
	expect(around, around.log).toMatchObject({ code: 0, annotations: [] });
	expect(asked).toEqual([]);
});

test("trusts what the machine trusts where Node is told to", async () => {
	const system = { NODE_USE_SYSTEM_CA: "1", SSL_CERT_FILE: authority };
	const ran = await comment(`https://${HOST}`, { HTTPS_PROXY: `http://${proxy}`, ...system });
	expect(ran, ran.log).toMatchObject({ code: 0, annotations: [] });
});

test("says once, and at once, that nobody knows the certificate's authority, and how to trust it", async () => {
	const ran = await comment(`https://${HOST}`, { HTTPS_PROXY: `http://${proxy}` });
	expect(ran.code).toBe(1);
	expect(ran.annotations).toEqual([
		`::error::GitHub: could not read pull request 1: no answer: Node doesn't know the authority that signed the certificate of ${HOST} (UNABLE_TO_VERIFY_LEAF_SIGNATURE); to trust it, name its file in NODE_EXTRA_CA_CERTS.`,
	]);
	expect(asked).toHaveLength(1);
	expect(github.requests).toEqual([]);
});

test("says which variable names no proxy, without its value, which may have a password", async () => {
	const ran = await comment(`https://${HOST}`, { https_proxy: "socks5://me:a-password@proxy.acme.com:1080" });
	expect(ran.annotations).toEqual([
		"::error::https_proxy must be the address of an HTTP proxy, such as http://proxy.acme.com:3128.",
	]);
	expect(ran.log).not.toContain("a-password");
});

test.each([
	["407 Proxy Authentication Required", "the proxy asks for a name and a password (407); they belong into its address"],
	["403 Forbidden", `the proxy refuses the way to ${HOST} (403)`],
])("says once what the proxy means by %s", async (given, said) => {
	answer = given;
	const ran = await comment(`https://${HOST}`, { HTTPS_PROXY: `http://${proxy}`, NODE_EXTRA_CA_CERTS: authority });
	expect(ran.annotations).toEqual([`::error::GitHub: could not read pull request 1: no answer: ${said}.`]);
	expect(asked).toHaveLength(1);
});
