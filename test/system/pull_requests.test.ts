// A pull request with an experiment, by the workflow files as they stand
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkRequest } from "../contract/github/operations.ts";
import { SOAK } from "../soak.ts";
import type { Run } from "./act.ts";
import { commentEvent, formEvent, pullRequestEvent, pushEvent, scheduleEvent } from "./github/events.ts";
import { compareRights } from "./github/permissions.ts";
import { BOT } from "./github-server.ts";
import { experiment, files } from "./project.ts";
import { openPlace, type Place } from "./repository.ts";
import { EXPERIMENTS, giveTrained } from "./trained.ts";

/** What takes minutes of waiting and of workflow runs: in the soak, after all that stands before it. */
const rarely = test.runIf(SOAK);

let place: Place;
beforeAll(async () => {
	const days = files["recipes/machines/here.yaml"]!.replace("max_minutes: 10", "max_minutes: 6000");
	place = await openPlace({ "recipes/machines/days.yaml": days });
});
afterAll(() => place.close());

const repo = "/repos/ann/road";
const get = <T>(route: string) => place.github.call<T>("GET", `${repo}/${route}`);

interface Comment {
	id: number;
	body: string;
	user: { login: string };
}
const comments = async (number: number) =>
	(await get<Comment[]>(`issues/${number}/comments?per_page=100`)).filter(({ user }) => user.login === BOT);
const labels = async (number: number) =>
	(await get<{ name: string }[]>(`issues/${number}/labels`)).map(({ name }) => name).sort();
interface Check {
	name: string;
	status: string;
	conclusion: string | null;
	output: { title: string; summary: string };
}
const checks = async (sha: string) =>
	(await get<{ check_runs: Check[] }>(`commits/${sha}/check-runs?filter=latest`)).check_runs;
const conclusions = (ran: Run) => Object.fromEntries(ran.jobs.map(({ id, conclusion }) => [id, conclusion]));

/** Opens a pull request with one experiment file. */
async function open(
	name: string,
	text: string,
	{ branch = name, ...options }: { fork?: boolean; branch?: string } = {},
) {
	const sha = await place.origin.commit(branch, { [`experiments/${name}.yaml`]: text }, options);
	const { number } = await place.origin.open(branch, options);
	return { number, sha };
}
const happens = async (number: number, action: string, actor = "ann") =>
	place.run("experiment.yml", await pullRequestEvent(place.github, number, action, actor));

/** Merges, and runs what the push starts. */
async function merge(number: number) {
	const before = place.origin.sha("main");
	const after = await place.origin.merge(number);
	return { after, ran: await place.run("promote.yml", await pushEvent(place.github, place.origin, before, after)) };
}

/** What was written since a moment; a step's own note of what git needs is nothing that GitHub was asked. */
const writesSince = (count: number) =>
	place.github.requests.slice(count).filter(({ method, path }) => method !== "GET" && !path.startsWith("/_needs"));

/** Ids of the jobs that an experiment has begun. */
const jobsOf = async (name: string) =>
	(await readdir(path.join(place.home, "jobs"))).filter((id) => new RegExp(`^${name}-[0-9a-f]{16}$`).test(id));
/** Waits until a training says how far it is; gives its id. */
async function trains(name: string, before: readonly string[] = []): Promise<string> {
	let id: string | undefined;
	await expect
		.poll(
			async () => {
				id = (await jobsOf(name)).find((other) => !before.includes(other));
				return id && (await readFile(path.join(place.home, "jobs", id, "progress.json"), "utf8").catch(() => ""));
			},
			{ timeout: 200_000, interval: 200 },
		)
		.toContain('"train"');
	return id!;
}
const hasStopped = (id: string) =>
	expect
		.poll(() => readFile(path.join(place.home, "jobs", id, "stop.json"), "utf8").catch(() => ""))
		.toContain("asked_at");

const long = experiment({ more: "train: { epochs: 2000 }\n" });
let first: { number: number; sha: string };

test("is planned, trained, judged and shown", async () => {
	first = await open("first", experiment({}));
	const ran = await happens(first.number, "opened");
	expect(conclusions(ran)).toEqual({
		plan: "success",
		approval: "success",
		show: "success",
		lost: "skipped",
		refuse: "skipped",
		train: "success",
		tidy: "skipped",
	});
	expect(ran.job("train").name).toMatch(/^Train first as [0-9a-f]{12}/);
	expect(ran.job("plan").step("plan").summary).toContain("`first` is planned");
	const [only, ...more] = await comments(first.number);
	expect(more).toEqual([]);
	expect(only!.body).toContain("✅ `first` passed 1 of 1 check; there is no production model yet");
	expect(await checks(first.sha)).toMatchObject([
		{ name: "proving-ground / first", status: "completed", conclusion: "success" },
	]);
	expect(await labels(first.number)).toEqual(["line:small-line", "model:passed"]);
});

test("becomes production when it is merged, with tags, a record and an event, once", async () => {
	const { after, ran } = await merge(first.number);
	expect(conclusions(ran)).toEqual({ settle: "success" });
	expect(ran.job("settle").log).toContain("promoted as small-line v1");
	const day = new Date().toISOString().slice(0, 10);
	const tags = place.origin.git("tag", "--list", "--format=%(refname:short) %(objectname)").split("\n");
	expect(tags).toEqual([`candidate/detection+lanes+segmentation/${day} ${after}`, `model/small-line/v1 ${after}`]);
	expect((await comments(first.number))[0]!.body).toContain("Promoted as v1.");
	expect(place.github.actions.dispatches).toMatchObject([
		{ event_type: "model.promoted", client_payload: { model: "small-line", version: 1, pull_request: first.number } },
	]);
	const record = (await get<{ title: string; head: { ref: string } }[]>("pulls?state=open")).filter(({ head }) =>
		head.ref.startsWith("proving-ground/record/"),
	);
	expect(record).toMatchObject([
		{ title: "Record small-line v1", head: { ref: "proving-ground/record/small-line-v1" } },
	]);
	const recorded = place.origin.git("diff", "--name-only", "main", "proving-ground/record/small-line-v1").split("\n");
	expect(recorded).toEqual(
		["entry.json", "index.html", "model_card.md", "promotion.json", "report.json", "verdict.json"].map(
			(file) => `reports/first/${file}`,
		),
	);
	const before = place.github.requests.length;
	const again = await place.run("promote.yml", await formEvent(place.github, {}));
	expect(again.job("settle").log).toContain("already promoted as small-line v1");
	expect(writesSince(before)).toEqual([]);
});

test("fails its gate, and stays what it is when it is merged all the same: an issue says why", async () => {
	const second = await open("third", experiment({ gates: "strict", more: "seed: 2\n" }));
	await giveTrained("third", path.join(place.home, "store"));
	const ran = await happens(second.number, "opened");
	expect(conclusions(ran)["train"]).toBe("success");
	const [comment] = await comments(second.number);
	expect(comment!.body).toContain("❌ `third` failed");
	const [check] = await checks(second.sha);
	expect(check).toMatchObject({ status: "completed", conclusion: "failure" });
	expect(await labels(second.number)).toEqual(["line:small-line", "model:failed"]);
	const { ran: settled } = await merge(second.number);
	expect(settled.job("settle").log).toContain("experiments/third.yaml: refused");
	const issues = await get<{ title: string; body: string; pull_request?: object }[]>("issues?state=all");
	const opened = issues.filter((issue) => !issue.pull_request);
	expect(opened).toMatchObject([{ title: "third was merged but not promoted" }]);
	expect(opened[0]!.body).toContain("**What to do**");
	expect(place.origin.git("tag", "--list", "model/*")).toBe("model/small-line/v1");
});

/** Runs what is done in a repository that can't have reviewers for its environment. */
async function withoutReviewers(work: () => Promise<void>): Promise<void> {
	const reviewed = place.github.actions.environments.splice(0);
	try {
		await work();
	} finally {
		place.github.actions.environments.push(...reviewed);
	}
}

rarely(
	"waits where its environment has no reviewers, whatever its own configuration says, until a comment approves one plan",
	() =>
		withoutReviewers(async () => {
			const config = place.origin.git("show", "main:.github/proving-ground.yaml");
			await place.origin.commit("alone", {
				".github/proving-ground.yaml": `${config}\nunapproved_spending: true\n`,
				"experiments/third.yaml": EXPERIMENTS.third,
				"experiments/alone.yaml": experiment({ more: "seed: 11\n" }),
			});
			const { number } = await place.origin.open("alone");
			const bodyOf = async (name: string) =>
				(await comments(number)).find(({ body }) => body.startsWith(`<!-- proving-ground: ${name} -->`))!.body;
			const offered = async (name: string) => /comments `\/approve ([0-9a-f]{12})`/.exec(await bodyOf(name))?.[1];
			const opened = await happens(number, "opened");
			expect(opened.conclusion).toBe("success");
			expect(opened.jobs.filter(({ id }) => id === "train").map(({ conclusion }) => conclusion)).toEqual(["skipped"]);
			const short = await offered("third");
			expect(opened.job("approval").log).toContain(
				`third waits for an approval of its spend: comment /approve ${short}`,
			);
			expect((await says(number, `/approve ${short}`)).reactions).toEqual(["-1"]);
			expect((await says(number, `/approve ${short}`, "fan")).reactions).toEqual(["-1"]);
			expect((await says(number, "/approve 0123456789ab", "bob")).reactions).toEqual(["confused"]);
			expect(conclusions(await happens(number, "reopened"))["train"]).toBe("skipped");
			expect((await says(number, `/approve ${short}`, "bob")).reactions).toEqual(["+1"]);
			const again = place.github.actions.runs.filter(({ run_attempt }) => run_attempt > 1);
			expect(again).toMatchObject([
				{ path: ".github/workflows/experiment.yml", status: "queued", head_branch: "alone" },
			]);
			// A run that is run again has the same event.
			const approved = await happens(number, "reopened");
			expect(approved.jobs.filter(({ id }) => id === "train")).toMatchObject([
				{ name: expect.stringMatching(`^Train third as ${short}`), conclusion: "success" },
			]);
			expect(await bodyOf("third")).toContain("✅ `third` passed");
			const other = await offered("alone");
			await place.run("follow.yml", await formEvent(place.github, { "pull-request": String(number) }));
			expect(await offered("alone")).toBe(other);
			expect(await jobsOf("alone")).toEqual([]);
			await place.github.call("PATCH", `${repo}/pulls/${number}`, { state: "closed" });
		}),
);

test("of a fork is planned in the summary with a token that reads, and nothing runs", async () => {
	const theirs = await open("theirs", experiment({ more: "seed: 9\n" }), { fork: true });
	const before = place.github.requests.length;
	const ran = await happens(theirs.number, "opened", "fan");
	expect(conclusions(ran)).toEqual({
		plan: "success",
		approval: "skipped",
		show: "skipped",
		lost: "skipped",
		refuse: "skipped",
		train: "skipped",
		tidy: "skipped",
	});
	expect(ran.job("plan").step("plan").summary).toContain("`theirs` is planned");
	expect(writesSince(before)).toEqual([]);
	expect(await jobsOf("theirs")).toEqual([]);
});

test("with mistakes in it is told each on its line, and the others of it are trained", async () => {
	const bad = await open("bad", `${experiment({})}epochs: 3\n`);
	const ran = await happens(bad.number, "opened");
	expect(conclusions(ran)).toMatchObject({ plan: "failure", refuse: "success", train: "skipped" });
	expect(ran.job("plan").step("plan").annotations).toMatchObject([
		{ level: "error", file: "experiments/bad.yaml", line: "7" },
	]);
	expect((await comments(bad.number))[0]!.body).toContain("❌ `bad` can't be planned: 1 problem");
	expect(await checks(bad.sha)).toMatchObject([{ name: "proving-ground / bad", conclusion: "failure" }]);
	await place.github.call("PATCH", `${repo}/pulls/${bad.number}`, { state: "closed" });
});

rarely(
	"keeps the place of its experiment's name while it waits for its approval, of which another is told",
	async () => {
		const group = "proving-ground-train-third";
		place.github.queue.ask("training");
		const holding = await open("third", EXPERIMENTS.third, { branch: "holding" });
		const held = happens(holding.number, "opened");
		await expect.poll(() => place.github.queue.holder(group)).not.toBeNull();
		await expect.poll(() => labels(holding.number)).toContain("line:small-line");
		const other = await open("third", `${EXPERIMENTS.third}# the same\n`, { branch: "behind" });
		const behind = happens(other.number, "opened");
		const told = async () => (await comments(other.number)).map(({ body }) => body).join();
		await expect.poll(told).toContain(`#${holding.number} may hold the place of \`third\``);
		const first = place.github.queue.holder(group);
		place.github.queue.approve("training");
		for (const ran of await Promise.all([held, behind])) expect(conclusions(ran)).toMatchObject({ train: "success" });
		expect(first).toBe((await held).id);
		for (const { number } of [holding, other])
			await place.github.call("PATCH", `${repo}/pulls/${number}`, { state: "closed" });
	},
);

/** Lets days pass for a job that runs. */
async function age(id: string, days: number): Promise<void> {
	const file = path.join(place.home, "jobs", id, "process.json");
	const process = JSON.parse(await readFile(file, "utf8")) as { started_at: string; uptime: number };
	const started_at = new Date(Date.parse(process.started_at) - days * 86_400_000).toISOString();
	await writeFile(file, JSON.stringify({ ...process, started_at, uptime: process.uptime - days * 86_400 }));
}

/** Opens a pull request whose job starts the training and leaves: the runner is free for others. */
async function startAndLeave(name: string, text: string) {
	const opened = await open(name, text.replace("machine: here", "machine: days"));
	const vars = { PROVING_GROUND_RUNNER: '["self-hosted"]', PROVING_GROUND_FOLLOW_MINUTES: "0" };
	const event = await pullRequestEvent(place.github, opened.number, "opened");
	const ran = await place.run("experiment.yml", event, { vars });
	expect(conclusions(ran), ran.log).toMatchObject({ train: "success" });
	return opened;
}
const look = () => scheduleEvent(place.github, "41 * * * *").then((event) => place.run("follow.yml", event));
const hasEnded = (id: string) =>
	expect
		.poll(() => readFile(path.join(place.home, "jobs", id, "exit.json"), "utf8").catch(() => ""))
		.toContain("finished_at");

rarely(
	"is shown, judged and stopped by looks alone where it takes days, and no other waits for its runner",
	async () => {
		const slow = await startAndLeave("slow", long);
		const id = await trains("slow");
		await age(id, 3);
		// It goes on when it's asked to stop, and until then takes no time from the others.
		const { pgid } = JSON.parse(await readFile(path.join(place.home, "jobs", id, "process.json"), "utf8"));
		process.kill(-pgid, "SIGSTOP");
		// On the same runner, while the other one trains.
		const other = await startAndLeave("other", experiment({ more: "seed: 3\n" }));
		await hasEnded((await jobsOf("other"))[0]!);
		await look();
		const [comment] = await comments(slow.number);
		expect(comment!.body).toMatch(/⏳ `slow` is running: `(train|validate)`/);
		expect(comment!.body).toMatch(/`[█░]{20}` \*\*\d+ %\*\* · `(train|validate)` · epoch \d+ of 2000/);
		expect(comment!.body).toMatch(/\b72 h \d+ min\b/);
		expect(await labels(slow.number)).toEqual(["line:small-line", "model:running"]);
		expect((await comments(other.number))[0]!.body).toContain(`Also training the line \`small-line\`: #${slow.number}`);
		expect((await checks(slow.sha))[0]).toMatchObject({ status: "in_progress" });
		// That look has begun the evaluation of the other one, which the next one judges.
		await Promise.all((await jobsOf("other")).map(hasEnded));
		await look();
		expect((await comments(other.number))[0]!.body).toContain("`other` passed");
		expect((await checks(other.sha))[0]).toMatchObject({ status: "completed", conclusion: "success" });

		process.kill(-pgid, "SIGCONT");
		await place.github.call("PATCH", `${repo}/pulls/${slow.number}`, { state: "closed" });
		const known = place.github.actions.dispatches.length;
		const closed = await happens(slow.number, "closed");
		expect(conclusions(closed)).toMatchObject({ plan: "skipped", train: "skipped", tidy: "success" });
		// By the workflow of the default branch, not by that of a head which nobody has approved.
		expect(await runStarted(known)).toMatchObject([
			{ workflow: "follow.yml", ref: "main", inputs: { "pull-request": String(slow.number) } },
		]);
		await hasStopped(id);
		await hasEnded(id);
		expect((await comments(slow.number))[0]!.body).toContain("`slow`: the training was stopped");
		expect(await labels(slow.number)).toEqual(["model:failed"]);
		await place.github.call("PATCH", `${repo}/pulls/${other.number}`, { state: "closed" });
	},
);

rarely(
	"is superseded by a push while it trains: the old run is stopped, what was approved before starts nothing",
	async () => {
		const moving = await open("moving", long);
		const stale = await pullRequestEvent(place.github, moving.number, "opened");
		const running = happens(moving.number, "opened");
		const id = await trains("moving");
		await place.origin.commit("moving", { "experiments/moving.yaml": EXPERIMENTS.moving });
		await giveTrained("moving", path.join(place.home, "store"));
		for (const stop of place.github.actions.cancelled.values()) stop();
		const ran = await happens(moving.number, "synchronize");
		await running;
		await hasStopped(id);
		expect(conclusions(ran)).toMatchObject({ plan: "success", train: "success", tidy: "success" });
		expect((await jobsOf("moving")).length).toBeGreaterThanOrEqual(3);
		expect((await comments(moving.number)).map(({ body }) => body.split("\n")[1])).toEqual([
			expect.stringContaining("`moving` passed"),
		]);
		const late = await place.run("experiment.yml", stale, { job: "train" });
		expect(late.job("train").conclusion).toBe("skipped");
		expect(late.job("approval").conclusion).toBe("failure");
		moved = moving.number;
	},
);
let moved: number;

/** Runs the workflows that were dispatched after so many events. */
async function runStarted(known: number) {
	const started = place.github.actions.dispatches
		.slice(known)
		.flatMap((event) => (event.kind === "workflow_dispatch" ? [event] : []));
	for (const { workflow, inputs } of started) await place.run(workflow, await formEvent(place.github, inputs, BOT));
	return started;
}

/** Writes a comment and runs what it starts, with the workflows that it dispatches. */
async function says(number: number, body: string, who = "ann") {
	const written = await place.github.call<{ id: number }>(
		"POST",
		`${repo}/issues/${number}/comments`,
		{ body },
		`${who}-token`,
	);
	const known = place.github.actions.dispatches.length;
	const ran = await place.run("command.yml", await commentEvent(place.github, number, written, who));
	const started = await runStarted(known);
	const reactions = place.github.reactions.get(written.id) ?? [];
	return { ran, reactions: reactions.map(({ content }) => content), started };
}

rarely("answers commands of those who may write, and acknowledges them", async () => {
	const explained = await says(moved, "/explain miou overall");
	expect(explained.reactions).toEqual(["+1"]);
	expect((await comments(moved)).at(-1)!.body).toContain(" at `recipes/gates/lenient.yaml`, line 3");
	expect((await says(moved, "/stop", "fan")).reactions).toEqual(["-1"]);
	expect((await says(moved, "/dance")).reactions).toEqual(["confused"]);
	expect((await says(moved, "/plan")).started).toMatchObject([{ workflow: "follow.yml" }]);
	expect((await says(moved, "/stop")).started).toMatchObject([{ workflow: "follow.yml", inputs: { stop: "true" } }]);
	expect((await says(moved, "/rerun")).reactions).toEqual(["+1"]);
	expect((await says(moved, "/rollback")).reactions).toEqual(["confused"]);
});

rarely("is rolled back by a pull request of its own", async () => {
	const { ran } = await merge(moved);
	expect(ran.job("settle").log).toContain("promoted as small-line v");
	const asked = await says(moved, "/rollback");
	expect(asked.reactions).toEqual(["+1"]);
	const revert = (await get<{ number: number; title: string }[]>("pulls?state=open")).find(
		({ title }) => title === `Roll back #${moved}`,
	)!;
	const { ran: back } = await merge(revert.number);
	expect(back.job("settle").log).toMatch(/small-line: rolled back from v\d to v1/);
	expect(place.github.actions.dispatches.at(-1)).toMatchObject({ event_type: "model.rolled_back" });
});

rarely("is production once more when it is merged once more, judged against what is production by then", async () => {
	const again = await open("moving", EXPERIMENTS.moving, { branch: "moving-again" });
	const opened = await happens(again.number, "opened");
	expect(conclusions(opened)["train"]).toBe("success");
	const { ran, after } = await merge(again.number);
	expect(ran.job("settle").log).toMatch(/promoted as small-line v\d/);
	const tags = place.origin.git("tag", "--list", "model/small-line/*", "--points-at", after);
	expect(tags).toMatch(/^model\/small-line\/v\d\.2$/);
	const before = place.github.requests.length;
	const settled = await place.run("promote.yml", await formEvent(place.github, {}));
	expect(settled.job("settle").log).not.toContain("rolled back");
	expect(writesSince(before)).toEqual([]);
});

rarely("needs exactly the rights that its workflows declare, none missing and none to spare", () => {
	const needed = new Map<string, { operations: Set<string>; granted: Record<string, string> }>();
	for (const ran of place.runs) {
		for (const [job, granted] of ran.granted) {
			const key = `${ran.workflow} ${job}`;
			const known = needed.get(key) ?? { operations: new Set<string>(), granted };
			for (const { operation } of ran.requests(job)) if (operation) known.operations.add(operation);
			needed.set(key, known);
		}
	}
	const found = [...needed].flatMap(([key, { operations, granted }]) => {
		// A job that did nothing in all these runs proves nothing.
		if (operations.size === 0) return [];
		const { missing, spare } = compareRights([...operations], granted as never);
		return missing.length + spare.length > 0 ? [{ key, missing, spare }] : [];
	});
	expect(found).toEqual([]);
});

test("asks GitHub for nothing that its OpenAPI description doesn't know", () => {
	const asked = place.github.requests.filter(({ path }) => !path.startsWith("/_needs"));
	expect(asked.flatMap(checkRequest)).toEqual([]);
});
