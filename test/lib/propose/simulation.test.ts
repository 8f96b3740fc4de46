// Proposals, whatever the scheduler and the runners do
import { rm } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { forgeOn } from "../../../actions/lib/propose/forge.ts";
import { proposeDue } from "../../../actions/lib/propose/propose.ts";
import { addDays } from "../../../actions/lib/text/days.ts";
import { Crash, Server, seeded } from "./proposals/github.ts";
import { makeRepository, proposal, readWith, since } from "./proposals/repository.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
const at = (time: string) => new Date(time);

let root: string;
beforeAll(async () => {
	root = await makeRepository();
});
afterAll(() => rm(root, { recursive: true }));
const read = (proposals: Record<string, string>) => readWith(root, proposals);

describe("over a long time", () => {
	interface World {
		ticks: number;
		days: number;
		schedule: "weekly" | "nightly";
		/** Longest delay, in days. */
		delay: number;
		more?: object;
	}

	/** Lets a proposal live through its ticks: dropped, doubled, late, crashing, and never more than one for each. */
	async function live(
		{ ticks, days, schedule, delay, more = {} }: World,
		seed: number,
	): Promise<{ server: Server; runs: number }> {
		const random = seeded(seed);
		const server = new Server();
		const moment = await read({ mine: proposal({ schedule, since }, { window: { days: 28 }, ...more }) });
		const run = async (now: Date, faults = { crash: 0.02, lost: 0.02 }) => {
			const github = server.connect(random, faults);
			// Planning takes a while.
			const forecast = async () => {
				for (let turns = Math.floor(random() * 20); turns > 0; turns -= 1) await Promise.resolve();
				return "not here";
			};
			const ports = { forge: forgeOn(github, { base: "main", dispatch: true }), forecast };
			await proposeDue(ports, { ...moment, now }).catch((error: Error) => {
				if (!(error instanceof Crash) && error.name !== "ServiceError") throw error;
			});
		};
		const begin = Date.parse(`${since}T00:00:00Z`);
		let runs = 0;
		for (let tick = 0; tick < ticks; tick += 1) {
			const scheduled = begin + tick * days * DAY_MS;
			// People decide on some of them, and merging deletes the branch.
			for (const pullRequest of server.pullRequests)
				if (pullRequest.state === "open" && random() < 0.5) server.close(pullRequest);
			const chance = random();
			const twins = chance < 0.2 ? 0 : chance < 0.3 ? 2 : 1;
			runs += twins;
			const late = () => new Date(scheduled + random() * delay * DAY_MS);
			await Promise.all(Array.from({ length: twins }, () => run(late())));
		}
		const end = new Date(begin + ((ticks - 1) * days + delay) * DAY_MS);
		// What was missed at the very end is caught up by the next run that lives.
		for (let more = 0; more < 40; more += 1) {
			for (const pullRequest of server.pullRequests.slice(0, -1)) server.close(pullRequest);
			await run(end, { crash: 0, lost: 0 });
		}
		return { server, runs };
	}

	function expectOneEach({ server }: { server: Server }, names: string[]): void {
		expect(server.pullRequests.map(({ branch }) => branch).sort()).toEqual(
			names.map((name) => `propose/mine-${name}`).sort(),
		);
		for (const { branch, state, started } of server.pullRequests) {
			if (state === "open")
				expect([branch, started > 0, server.branches.get(branch)?.length]).toEqual([branch, true, 1]);
		}
	}

	const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

	test(`are 1,000 pull requests in 1,000 weeks, each of another week (SEED=${seed})`, async () => {
		const world = await live({ ticks: 1000, days: 7, schedule: "weekly", delay: 2 }, seed);
		const weeks = Array.from({ length: 1000 }, (_, week) => isoWeek(addDays(since, 7 * week)));
		expect(new Set(weeks).size).toBe(1000);
		expect(world.runs).toBeGreaterThan(700);
		expectOneEach(world, weeks);
		// The window of a week is its own, however late it was proposed.
		for (const [branch, [files]] of world.server.branches) {
			const week = weeks.findIndex((name) => branch.endsWith(name));
			const { window } = parse(String(files![0]!.content)) as { window: object };
			expect(window).toEqual({ from: addDays(since, 7 * week - 28), to: addDays(since, 7 * week - 1) });
		}
	});

	test(`are 100 in 100 nights, and as many where only three may be open (SEED=${seed})`, async () => {
		const nights = Array.from({ length: 100 }, (_, night) => addDays(since, night));
		for (const more of [{}, { max_open: 3 }]) {
			const world = await live({ ticks: 100, days: 1, schedule: "nightly", delay: 0.9, more }, seed);
			expectOneEach(world, nights);
		}
	});
});

describe("of several runs", () => {
	test("keep no other back where one fails, and say so", async () => {
		const moment = await read({
			first: proposal({ schedule: "weekly", since }, { priority: 1 }),
			second: proposal({ schedule: "weekly", since }),
		});
		const forge = forgeOn(new Server().connect(seeded(1), { crash: 0, lost: 0 }), { base: "main", dispatch: false });
		const made: string[] = [];
		const failing = {
			...forge,
			propose: async (each: { branch: string }) => {
				if (each.branch.includes("first")) throw new Error("no");
				made.push(each.branch);
				return "created" as const;
			},
		};
		const ports = { forge: failing, forecast: async () => "not here" };
		await expect(proposeDue(ports, { ...moment, now: at("2026-11-25T03:00:00Z") })).rejects.toThrow("no");
		expect(made).toEqual(["propose/second-2026-w48"]);
	});

	test("leave what somebody pushed to the branch while another run still planned", async () => {
		const moment = await read({ mine: proposal({ schedule: "weekly", since }) });
		const server = new Server();
		const connect = () => forgeOn(server.connect(seeded(1), { crash: 0, lost: 0 }), { base: "main", dispatch: true });
		const now = at("2026-11-25T03:00:00Z");
		const pushed = [{ path: "experiments/mine-2026-w48.yaml", content: "mended by hand" }];
		const forecast = async () => {
			await proposeDue({ forge: connect(), forecast: async () => "not here" }, { ...moment, now });
			server.branches.set("propose/mine-2026-w48", [pushed]);
			return "not here";
		};
		const { proposed } = await proposeDue({ forge: connect(), forecast }, { ...moment, now });
		expect(proposed.map(({ result }) => result)).toEqual(["there"]);
		expect(server.branches.get("propose/mine-2026-w48")).toEqual([pushed]);
		expect(server.pullRequests).toHaveLength(1);
	});

	test("are opened by one of them, where they race", async () => {
		const moment = await read({ mine: proposal({ schedule: "nightly", since }) });
		for (let seed = 0; seed < 50; seed += 1) {
			const [server, random] = [new Server(), seeded(seed)];
			const run = () => {
				const forge = forgeOn(server.connect(random, { crash: 0, lost: 0 }), { base: "main", dispatch: true });
				return proposeDue({ forge, forecast: async () => "not here" }, { ...moment, now: at("2026-11-25T03:00:00Z") });
			};
			const outcomes = await Promise.all([run(), run(), run()]);
			const created = outcomes.flatMap(({ proposed }) => proposed.filter(({ result }) => result === "created"));
			expect([seed, server.pullRequests.length, created.length]).toEqual([seed, 3, 3]);
		}
	});

	test("have their checks started by a later one where an earlier one died before it, and once", async () => {
		const moment = await read({ mine: proposal({ schedule: "weekly", since }) });
		const server = new Server();
		const forge = () => forgeOn(server.connect(seeded(1), { crash: 0, lost: 0 }), { base: "main", dispatch: true });
		const dying = { ...forge(), start: () => Promise.reject(new Crash("the runner died")) };
		const run = (one = forge()) =>
			proposeDue({ forge: one, forecast: async () => "not here" }, { ...moment, now: at("2026-11-25T03:00:00Z") });
		await expect(run(dying)).rejects.toThrow(Crash);
		expect(server.pullRequests.map(({ started }) => started)).toEqual([0]);
		for (let again = 0; again < 3; again += 1) await run();
		expect(server.pullRequests.map(({ started }) => started)).toEqual([1]);
	});

	test("start no checks where the token's pull requests start their own", async () => {
		const moment = await read({ mine: proposal({ schedule: "weekly", since }) });
		const server = new Server();
		const forge = forgeOn(server.connect(seeded(1), { crash: 0, lost: 0 }), { base: "main", dispatch: false });
		await proposeDue({ forge, forecast: async () => "not here" }, { ...moment, now: at("2026-11-25T03:00:00Z") });
		expect(server.pullRequests.map(({ started }) => started)).toEqual([0]);
	});
});

/** The week of a Monday as `date` counts it, for a check of our own counting. */
function isoWeek(monday: string): string {
	const thursday = new Date(Date.parse(`${monday}T00:00:00Z`) + 3 * DAY_MS);
	const first = new Date(Date.UTC(thursday.getUTCFullYear(), 0, 4));
	const firstMonday = first.getTime() - ((first.getUTCDay() + 6) % 7) * DAY_MS;
	const week = Math.round((Date.parse(`${monday}T00:00:00Z`) - firstMonday) / (7 * DAY_MS)) + 1;
	return `${thursday.getUTCFullYear()}-w${String(week).padStart(2, "0")}`;
}
