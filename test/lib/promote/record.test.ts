// The record of a promotion
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseDocument } from "../../../actions/lib/documents.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { GitHub } from "../../../actions/lib/github/objects.ts";
import type { Project } from "../../../actions/lib/project.ts";
import { findInSeries, findPromotions } from "../../../actions/lib/promote/marks.ts";
import { promote } from "../../../actions/lib/promote/promote.ts";
import { type Promoted, recordPromotion, recordRollback } from "../../../actions/lib/promote/record.ts";
import { folder as registryIn } from "../../../actions/lib/registries/folder.ts";
import { openState } from "../../../actions/lib/state.ts";
import { folder as storeIn } from "../../../actions/lib/stores/folder.ts";
import { leaveJudged } from "../../fixtures/judged.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";

const at = "/repos/ann/road";
const LINE = "perception-hydranet";
const day = "2026-01-02";
let server: GitHubServer;
let github: GitHub;
let home: string;
/** The commits that the merges made. */
let merges: string[];

beforeEach(async () => {
	home = await mkdtemp(path.join(tmpdir(), "record-"));
	server = await startGitHub({ opened: false });
	const { repository, url: apiUrl } = server;
	github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 1 });
	merges = [];
	for (const name of ["baseline", "more-night"]) merges.push(await commit(name));
	server.writes();
});
afterEach(async () => {
	await server.close();
	await rm(home, { recursive: true });
});

const get = <T>(route: string) => server.call<T>("GET", `${at}/${route}`);
async function commit(name: string): Promise<string> {
	const file = { message: name, content: "", branch: "main" };
	return (await server.call<{ commit: { sha: string } }>("PUT", `${at}/contents/experiments/${name}.yaml`, file)).commit
		.sha;
}
const project = (record: Project["record"] = "pull_request") =>
	({
		...{ home, state: openState(home, "state"), record },
		registry: registryIn(path.join(home, "registry")),
		store: storeIn(path.join(home, "store")),
	}) as Project;

/** Promotes the first of the line, or one that takes its place. */
async function promoted(first: boolean, time = "03:04:05"): Promise<Promoted> {
	const documents = await leaveJudged(project(), first ? { name: "baseline", first } : {});
	const now = new Date(`${day}T${time}.000Z`);
	const promotion = await promote({ ...documents, approve: true, by: "ann", now }, project());
	return { ...documents, promotion, card: "# card\n", commit: merges[first ? 0 : 1]!, pullRequest: first ? null : 4 };
}
const told: string[] = [];
const tell = (line: string) => void told.push(line);
const record = (one: Promoted, mode?: Project["record"]) =>
	recordPromotion(one, { project: project(mode), github, tell }, "main");

async function tags(): Promise<Record<string, string>> {
	const refs = await get<{ ref: string; object: { sha: string } }[]>("git/matching-refs/tags/");
	return Object.fromEntries(refs.map(({ ref, object }) => [ref.slice("refs/tags/".length), object.sha]));
}
const pulls = async () =>
	(await get<{ title: string; body: string; head: { ref: string }; base: { ref: string } }[]>("pulls?state=all")).map(
		({ title, head, base }) => [title, head.ref, base.ref],
	);
async function filesOn(branch: string): Promise<string[]> {
	const { commit } = await get<{ commit: { sha: string } }>(`branches/${encodeURIComponent(branch)}`);
	const { tree } = await get<{ tree: { path: string; type: string }[] }>(`git/trees/${commit.sha}?recursive=1`);
	return tree.filter(({ type, path }) => type === "blob" && path.startsWith("reports/")).map(({ path }) => path);
}
async function read<K extends "promotion" | "entry">(kind: K, branch: string, file: string) {
	const { content } = await get<{ content: string }>(`contents/reports/${file}?ref=${branch}`);
	return parseDocument(kind, Buffer.from(content, "base64"), file);
}
const files = ["entry.json", "index.html", "model_card.md", "promotion.json", "report.json", "verdict.json"];
const heads = "detection+lanes+segmentation";

describe("is left", () => {
	test("on a branch of its own with a pull request, by tags on the merge and by an event", async () => {
		expect(await record(await promoted(true))).toBe(true);
		const branch = `proving-ground/record/${LINE}-v1`;
		expect(await pulls()).toEqual([[`Record ${LINE} v1`, branch, "main"]]);
		expect(await filesOn(branch)).toEqual(files.map((file) => `reports/baseline/${file}`));
		expect(await filesOn("main")).toEqual([]);
		expect(await read("promotion", branch, "baseline/promotion.json")).toMatchObject({
			...{ model: LINE, version: 1, status: "approved", approved_by: "ann" },
			location: `registry/${LINE}/v000001/model`,
		});
		expect(await read("entry", branch, "baseline/entry.json")).toMatchObject({ version: 1, experiment: "baseline" });
		expect(await tags()).toEqual({
			[`candidate/${heads}/${day}`]: merges[0],
			[`model/${LINE}/v1`]: merges[0],
		});
		expect(server.actions.dispatches).toMatchObject([
			{ event_type: "model.promoted", client_payload: { model: LINE, version: 1, replaced: null, pull_request: null } },
		]);
	});

	test("on the branch itself where the configuration says so, with no pull request", async () => {
		expect(await record(await promoted(true), "commit")).toBe(true);
		expect(await pulls()).toEqual([]);
		expect(await filesOn("main")).toEqual(files.map((file) => `reports/baseline/${file}`));
		const [last] = await get<{ commit: { message: string } }[]>("commits?sha=main");
		expect(last!.commit.message).toBe(`Record ${LINE} v1`);
	});

	test("of two on one day by a candidate's tag with a number, and of another day by one without", async () => {
		await record(await promoted(true));
		const second = await promoted(false, "23:59:59");
		await record(second);
		expect(await tags()).toEqual({
			[`candidate/${heads}/${day}`]: merges[0],
			[`candidate/${heads}/${day}.2`]: merges[1],
			[`model/${LINE}/v1`]: merges[0],
			[`model/${LINE}/v2`]: merges[1],
		});
		const promotion = { ...second.promotion, approved_at: "2026-01-03T00:00:00.000Z" };
		const again = { ...second, promotion, commit: await commit("again") };
		await record(again);
		expect(await tags()).toMatchObject({
			[`candidate/${heads}/2026-01-03`]: again.commit,
			[`model/${LINE}/v2.2`]: again.commit,
		});
		expect((await pulls()).map(([, branch]) => branch).sort()).toEqual(
			["v1", "v2", "v2.2"].map((name) => `proving-ground/record/${LINE}-${name}`),
		);
	});

	test("of production that goes back, by its promotion and the entry of what is production again", async () => {
		const first = await promoted(true);
		await record(first);
		await promoted(false);
		const before = await tags();
		const promotion = { ...first.promotion, replaced: 2, approved_at: "2026-01-05T06:07:08.000Z" };
		const again = () => recordRollback(promotion, merges[1]!, { project: project(), github, tell }, "main");
		const dying = { ...github, emit: () => Promise.reject(new Error("the runner died")) };
		await expect(
			recordRollback(promotion, merges[1]!, { project: project(), github: dying, tell }, "main"),
		).rejects.toThrow("died");
		expect(await again()).toBe(true);
		// Stopped between its tag and its mark.
		const { store } = project();
		const [mark] = await store.list(`settled/${LINE}/rollbacks/`);
		await rm(store.locate(mark!));
		expect(await again()).toBe(false);
		expect(await store.list(`settled/${LINE}/rollbacks/`)).toEqual([mark]);
		const branch = `proving-ground/record/${LINE}-v1-again-20260105060708000`;
		expect((await pulls()).find(([title]) => title!.includes("rollback"))).toEqual([
			`Record the rollback of ${LINE} to v1`,
			branch,
			"main",
		]);
		expect(await filesOn(branch)).toEqual(["reports/baseline/entry.json", "reports/baseline/promotion.json"]);
		expect(server.actions.dispatches.slice(1)).toMatchObject([
			{ event_type: "model.rolled_back", client_payload: { model: LINE, version: 1, replaced: 2 } },
		]);
		expect(await tags()).toEqual({ ...before, [`rollback/${LINE}/v1-20260105060708000`]: merges[1] });
		server.writes();
		expect(await again()).toBe(false);
		expect(server.writes()).toEqual([]);
	});
});

describe("is left once", () => {
	test.each(["pull_request", "commit"] as const)("as a %s: another run writes nothing", async (mode) => {
		const one = await promoted(true);
		await record(one, mode);
		server.writes();
		expect(await record(one, mode)).toBe(false);
		expect(server.writes()).toEqual([]);
		expect(server.actions.dispatches).toHaveLength(1);
	});

	test("where the run before was stopped short of the version's tag, which comes last: the rest is done, and nothing twice", async () => {
		const one = await promoted(true);
		const createTag = async (name: string, sha: string) => {
			if (name.startsWith("model/")) throw new Error("the runner died");
			return github.createTag(name, sha);
		};
		const dying = { project: project(), github: { ...github, createTag }, tell };
		await expect(recordPromotion(one, dying, "main")).rejects.toThrow("died");
		expect(await tags()).toEqual({ [`candidate/${heads}/${day}`]: merges[0] });
		expect(await record(one)).toBe(true);
		expect(await pulls()).toHaveLength(1);
		expect(Object.keys(await tags())).toEqual([`candidate/${heads}/${day}`, `model/${LINE}/v1`]);
	});

	test("also where somebody has closed its pull request meanwhile, and deleted its branch", async () => {
		const one = await promoted(true);
		const dying = { ...github, emit: () => Promise.reject(new Error("the runner died")) };
		await expect(recordPromotion(one, { project: project(), github: dying, tell }, "main")).rejects.toThrow("died");
		await server.call("PATCH", `${at}/pulls/1`, { state: "closed" });
		await server.call("DELETE", `${at}/git/refs/heads/proving-ground/record/${LINE}-v1`);
		expect(await record(one)).toBe(true);
		expect(await pulls()).toHaveLength(1);
		expect((await get<{ name: string }[]>("branches")).map(({ name }) => name)).toEqual(["main"]);
		expect(Object.keys(await tags())).toHaveLength(2);
	});
});

describe("where GitHub refuses the tags, for workflow files that have changed since", () => {
	beforeEach(async () => {
		told.splice(0);
		const file = { message: "New workflow", content: "", branch: "main" };
		await server.call("PUT", `${at}/contents/.github/workflows/experiment.yml`, file);
	});

	test("is whole all the same: they are told, the event is sent once, and nothing is done again", async () => {
		const one = await promoted(true);
		expect(await record(one)).toBe(true);
		expect(await tags()).toEqual({});
		expect(told).toEqual(
			[`candidate/${heads}/${day}`, `model/${LINE}/v1`].map((tag) =>
				expect.stringMatching(
					`^The tag ${tag.replaceAll("+", "\\+")} on ${one.commit} is missing: could not create a tag: 403 `,
				),
			),
		);
		server.writes();
		expect(await record(one)).toBe(false);
		expect(server.writes()).toEqual([]);
		expect(server.actions.dispatches).toHaveLength(1);
		const { store } = project();
		expect(await findPromotions(LINE, 1, { github, store })).toMatchObject({
			commits: [one.commit],
			free: `model/${LINE}/v1`,
		});
	});

	test("is known by its mark when it goes back, which is told once as well", async () => {
		const first = await promoted(true);
		await record(first);
		await promoted(false);
		const promotion = { ...first.promotion, replaced: 2, approved_at: "2026-01-05T06:07:08.000Z" };
		const again = () => recordRollback(promotion, merges[1]!, { project: project(), github, tell }, "main");
		told.splice(0);
		expect(await again()).toBe(true);
		expect(told).toEqual([expect.stringContaining(`The tag rollback/${LINE}/v1-20260105060708000 on ${merges[1]}`)]);
		server.writes();
		expect(await again()).toBe(false);
		expect(server.writes()).toEqual([]);
	});
});

test("of a series is found by each name that follows the first", async () => {
	const known: Record<string, string> = { "model/m/v1": "a", "model/m/v1.2": "b", "model/m/v1.4": "d" };
	const tagged = async (name: string) => known[name] ?? null;
	expect(await findInSeries("model/m/v1", { tagged })).toEqual({ commits: ["a", "b"], free: "model/m/v1.3" });
	expect(await findInSeries("other", { tagged })).toEqual({ commits: [], free: "other" });
});

test.each([
	["of tags and no mark, as before there were any", ["a", "b"], [], ["a", "b"]],
	["of marks whose tags were refused", [], ["1-a", "2-b"], ["a", "b"]],
	["of a mark between two tags", ["a", "c"], ["1-a", "2-b", "3-c"], ["a", "b", "c"]],
	["of a tag whose run was stopped before its mark", ["a", "b"], ["1-a"], ["a", "b"]],
	["of old tags, then a mark alone", ["a", "b"], ["3-c"], ["a", "b", "c"]],
	["of the tenth after the second", [], ["10-c", "2-b"], ["b", "c"]],
])("the promotions of a version are in their order %s", async (_, tagged, marked, expected) => {
	const names = tagged.map((commit, i) => [i === 0 ? "model/m/v1" : `model/m/v1.${i + 1}`, commit]);
	const known = Object.fromEntries(names) as Record<string, string>;
	const store = { list: async (folder: string) => marked.map((mark) => `${folder}${mark}.json`) };
	const ports = { github: { tagged: async (name: string) => known[name] ?? null }, store };
	expect((await findPromotions("m", 1, ports as never)).commits).toEqual(expected);
});
