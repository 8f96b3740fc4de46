// Pull requests of a repository that has had many
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { openGitHub } from "../../../actions/lib/github/github.ts";

const DAY_MS = 86_400_000;

/** Asks a server for rollbacks of the last days; it has so many pages of pull requests, of ten days each. */
async function ask(pages: number, days: number): Promise<{ asked: string[]; numbers: number[] }> {
	const asked: string[] = [];
	const server = createServer((request, response) => {
		asked.push(request.url!);
		const page = Number(new URL(request.url!, "http://x").searchParams.get("page") ?? 1);
		const base = { sha: "b", ref: "main", repo: { id: 1 } };
		const list = Array.from({ length: 100 }, (_, place) => ({
			...{ number: page * 1000 + place, title: "a", user: null, state: "closed", labels: [] },
			...{ merged_at: null, merge_commit_sha: null, base },
			head: { sha: "a", ref: `proving-ground/rollback/${page}`, repo: { id: 1 } },
			updated_at: new Date(Date.now() - (page - 1 + place / 100) * 10 * DAY_MS).toISOString(),
		}));
		const { port } = server.address() as AddressInfo;
		const link = page < pages ? { link: `<http://127.0.0.1:${port}/list?page=${page + 1}>; rel="next"` } : {};
		response.writeHead(200, { "content-type": "application/json", ...link }).end(JSON.stringify(list));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	const github = await openGitHub({ token: "t", repository: "ann/road", apiUrl, author: "bot", second: 0 });
	const found = await github.pullRequestsFrom("proving-ground/rollback/", new Date(Date.now() - days * DAY_MS));
	server.closeAllConnections();
	await new Promise((resolve) => server.close(resolve));
	return { asked, numbers: found.map(({ number }) => number) };
}

test("are read from the last back, as far as somebody asks and no further", async () => {
	const { asked, numbers } = await ask(1000, 24.95);
	expect(asked).toHaveLength(3);
	expect(asked[0]).toContain("sort=updated&direction=desc");
	expect(numbers).toHaveLength(250);
	expect(Math.max(...numbers)).toBeLessThan(3051);
});

test("are all read where none is older", async () => {
	expect((await ask(2, 3650)).numbers).toHaveLength(200);
});
