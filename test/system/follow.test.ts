// Following pull requests
import { execFileSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ServiceError } from "../../actions/lib/errors.ts";
import { type FollowPorts, follow } from "../../actions/lib/follow/follow.ts";
import { openGit } from "../../actions/lib/git/git.ts";
import { openGitHub } from "../../actions/lib/github/github.ts";
import { planExperiment } from "../../actions/lib/plan/plan_files.ts";
import { openProject } from "../../actions/lib/project.ts";
import { claimsOf } from "../../actions/lib/train/claims.ts";
import { followJobs, startJobs } from "../../actions/lib/train/train.ts";
import { count } from "../soak.ts";
import { BOT } from "./github-server.ts";
import { experiment } from "./project.ts";
import { openPlace, type Place } from "./repository.ts";
import { giveTrained } from "./trained.ts";

let place: Place;
let ports: FollowPorts;
let number: number;
const options = { stop: false, question: "", say: () => {} };

/** The machine's checkout of the default branch, and GitHub as the workflow's token sees it. */
async function openPorts(): Promise<FollowPorts> {
	const root = path.join(place.home, "checkout");
	execFileSync("git", ["clone", "--quiet", place.origin.folder, root]);
	const github = await openGitHub({
		token: "bot-token",
		repository: "ann/road",
		apiUrl: place.github.url,
		author: BOT,
		second: 1,
	});
	return { project: await openProject(root), git: openGit(root), github };
}

beforeAll(async () => {
	place = await openPlace();
	ports = await openPorts();
	await place.origin.commit("first", { "experiments/first.yaml": experiment({}) });
	({ number } = await place.origin.open("first"));
});
afterAll(() => place.close());

const repo = "/repos/ann/road";
const call = <T>(method: string, route: string, body?: object) =>
	place.github.call<T>(method, `${repo}/${route}`, body, "bot-token");
interface Shown {
	id: number;
	body: string;
}
const comments = (of = number) => call<Shown[]>("GET", `issues/${of}/comments`);
const labels = async () => (await call<{ name: string }[]>("GET", `issues/${number}/labels`)).map(({ name }) => name);
const writes = (since: number) => place.github.requests.slice(since).filter(({ method }) => method !== "GET");

/** The plan of the pull request's experiment, at its head. */
async function planHead(name: string, sha: string) {
	const root = path.join(place.home, `work-${sha.slice(0, 8)}`);
	execFileSync("git", ["clone", "--quiet", "--no-checkout", place.origin.folder, root]);
	execFileSync("git", ["-C", root, "fetch", "--quiet", "origin", sha]);
	execFileSync("git", ["-C", root, "checkout", "--quiet", sha]);
	const project = ports.project.at(root, "digested");
	const plan = await planExperiment(project, `experiments/${name}.yaml`);
	const { store, registry } = project;
	return { plan, places: { executor: project.executorFor(plan.machine), store, registry, pullRequest: number } };
}

test("starts no training, shows what is planned, and carries on what is trained to its verdict", async () => {
	await follow(null, ports, options);
	expect((await comments()).map(({ body }) => body.split("\n")[1])).toEqual(["### 📋 `first` is planned"]);
	expect(await labels()).toEqual(expect.arrayContaining(["model:planned", "line:small-line"]));
	expect(await ports.project.executors()[0]!.list()).toEqual([]);
	const { plan, places } = await planHead("first", place.origin.sha("first"));
	await giveTrained("first", path.join(place.home, "store"));
	await followJobs(plan, places);
	await follow(null, ports, options);
	expect((await comments())[0]!.body).toContain("`first` passed");
	expect((await ports.project.registry.history("small-line")).versions).toHaveLength(1);
	expect(await ports.project.registry.current("small-line")).toBeNull();
});

test("puts back what was deleted by hand, in one run", async () => {
	const before = await comments();
	for (const { id } of before) await call("DELETE", `issues/comments/${id}`);
	for (const name of await labels()) await call("DELETE", `issues/${number}/labels/${encodeURIComponent(name)}`);
	await call("DELETE", `labels/${encodeURIComponent("model:passed")}`);
	for (const cache of ["checkouts", "documents"])
		await rm(path.join(ports.project.state.folder, cache), { recursive: true, force: true });
	await follow(null, ports, options);
	expect((await comments()).map(({ body }) => body)).toEqual(before.map(({ body }) => body));
	expect((await labels()).sort()).toEqual(["line:small-line", "model:passed"]);
});

const runs = count(10, 100);
test(`writes nothing in ${runs} runs where there is nothing to do`, async () => {
	const since = place.github.requests.length;
	for (let run = 0; run < runs; run += 1) await follow(null, ports, options);
	expect(writes(since)).toEqual([]);
	// The token has a thousand requests an hour: one for the list, three for each pull request with an experiment, two to compare what it was judged by.
	expect(place.github.requests.length - since).toBe(runs * (1 + 3 + 2));
});

test("stops what a closed pull request has asked for, and nothing that somebody has started by hand", async () => {
	const long = experiment({ more: "train: { epochs: 2000 }\n" });
	const sha = await place.origin.commit("long", { "experiments/long.yaml": long });
	const { number: other } = await place.origin.open("long");
	const { plan, places } = await planHead("long", sha);
	await startJobs(plan, { ...places, pullRequest: other });
	expect(await claimsOf(plan.run.id, places.store)).toEqual([other]);
	const byHand = path.join(place.home, "by-hand");
	execFileSync("git", ["clone", "--quiet", place.origin.folder, byHand]);
	await mkdir(path.join(byHand, "experiments"), { recursive: true });
	await writeFile(path.join(byHand, "experiments/hand.yaml"), `${long}seed: 7\n`);
	const hand = ports.project.at(byHand, "digested");
	const own = await planExperiment(hand, "experiments/hand.yaml", {});
	const { executor, store, registry } = places;
	await startJobs(own, { executor, store, registry });
	const running = async () => (await executor.list()).map(({ id }) => id).sort();
	await follow(null, ports, options);
	expect(await running()).toEqual([own.run.id, plan.run.id].sort());
	// What nobody can plan just then, for a mistake on the base, is not what nobody wants.
	const machine = path.join(ports.project.home, "recipes/machines/here.yaml");
	const text = await readFile(machine, "utf8");
	await writeFile(machine, "executor: none\n");
	await follow(other, ports, { ...options, question: "*" });
	await writeFile(machine, text);
	expect(await running()).toEqual([own.run.id, plan.run.id].sort());
	// The same file on another branch asks for the same run.
	await place.origin.commit("again", { "experiments/long.yaml": long });
	const { number: again } = await place.origin.open("again");
	await startJobs(plan, { ...places, pullRequest: again });
	await call("PATCH", `pulls/${other}`, { state: "closed" });
	await follow(other, ports, options);
	expect(await running()).toEqual([own.run.id, plan.run.id].sort());
	await follow(again, ports, options);
	// A push that renames the file: its comment says so, and the new one has its own.
	await place.origin.commit("again", { "experiments/long.yaml": null, "experiments/longer.yaml": long });
	await follow(again, ports, options);
	expect((await comments(again)).map(({ body }) => body.split("\n")[1])).toEqual([
		"### ⏹️ `long` is no longer in this pull request",
		expect.stringContaining("`longer` is"),
	]);
	await call("PATCH", `pulls/${again}`, { state: "closed" });
	await expect.poll(running).toEqual([own.run.id]);
	await executor.stop(own.run.id);
	await expect.poll(running).toEqual([]);
});

test("leaves the others alone where one can't be followed, and stops nothing of it", async () => {
	await place.origin.commit("odd", { "experiments/odd.yaml": experiment({ more: "seed: 5\n" }) });
	const { number: odd } = await place.origin.open("odd");
	const said: string[] = [];
	const broken = (error: Error): FollowPorts => ({
		...ports,
		git: async (...args) => {
			if (args[0] === "fetch" && args.at(-1) === `refs/pull/${odd}/head`) throw error;
			return ports.git(...args);
		},
	});
	const say = { ...options, say: (line: string) => said.push(line) };
	const followed = await follow(null, broken(new ServiceError("git", "no way")), say);
	expect(followed.map(({ pull }) => pull.number)).toEqual([number]);
	expect(said.splice(0)).toEqual([`#${odd}: git: no way`]);
	// A bug of ours fails the step once the others are served.
	await expect(follow(null, broken(new TypeError("x is undefined")), say)).rejects.toThrow("x is undefined");
	expect(said).toEqual([`#${odd}: A bug in Proving Ground: x is undefined`]);
});
