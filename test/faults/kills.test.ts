// The command line and the promote action's bundle are killed at one of their writes: nothing half done is believed, and the next run ends alike
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { experiment, makeTemplate } from "../lib/follow/merged/repository.ts";
import { count } from "../soak.ts";
import { STAGES } from "./stages.ts";
import { World } from "./world.ts";

const root = path.resolve(import.meta.dirname, "../..");
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const FILE = "experiments/second.yaml";
/** Three hundred in all in the soak. */
const KILLS = count(2, 60);

let template: string;
let world: World;
beforeAll(async () => {
	console.log(`The kills are of SEED=${seed}.`);
	template = await makeTemplate();
});
afterAll(async () => {
	await rm(template, { recursive: true });
});

interface Ended {
	code: number | null;
	signal: NodeJS.Signals | null;
	said: string;
}

function start(args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ended> {
	const preload = path.join(import.meta.dirname, "kill.mjs");
	const child = spawn(process.execPath, ["--import", preload, ...args], {
		cwd: world.at.home,
		env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
	});
	let said = "";
	for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += chunk));
	return new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal, said })));
}

const cli =
	(...args: string[]) =>
	(env: NodeJS.ProcessEnv) =>
		start([path.join(root, "actions/cli/proving-ground.mjs"), ...args], env);

/** The bundle, as the runner starts it. */
const bundle = (env: NodeJS.ProcessEnv) => {
	const inputs = {
		plan: ".proving-ground/documents/second/plan.json",
		report: "reports/second/report.json",
		verdict: "reports/second/verdict.json",
		approve: "true",
		by: "ann",
	};
	const given = Object.entries(inputs).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]);
	const runner = { GITHUB_WORKSPACE: world.at.home, ...Object.fromEntries(given) };
	return start([path.join(root, "actions/dist/promote.js")], { ...runner, ...env });
};

const COMMANDS: [name: string, stage: string, command: (env: NodeJS.ProcessEnv) => Promise<Ended>][] = [
	["proving-ground report", "report", cli("report", FILE)],
	["proving-ground gate", "gate", cli("gate", FILE)],
	["proving-ground promote --pending", "register", cli("promote", FILE, "--pending")],
	["proving-ground promote", "approve", cli("promote", FILE)],
	["the bundle of promote", "approve", bundle],
];

/** What is left in the end, but for the small files that were never given their name. */
async function endOf(): Promise<object> {
	const end = await world.end();
	const named = (value: unknown) =>
		Array.isArray(value)
			? value.filter((name) => !/(^|\/)\.tmp-[\w-]+$|\.json\.\d+$|\.(md|html)\.\d+$/.test(String(name)))
			: value;
	return Object.fromEntries(Object.entries(end).map(([name, value]) => [name, named(value)]));
}

test.each(COMMANDS)("%s", { timeout: 3_600_000 }, async (_, stage, command) => {
	world = await World.open(template);
	try {
		await world.at.bring("first", experiment());
		await world.at.settle();
		await STAGES[stage]!.prepare(world);
		world.save();
		const told = path.join(world.at.home, "../", `${path.basename(world.at.home)}.writes`);
		const whole = await command({ KILL_WRITES: told });
		expect(whole.said, whole.said).not.toMatch(/bug/i);
		expect(whole.code, whole.said).toBe(0);
		const steps = Number(readFileSync(told, "utf8"));
		rmSync(told);
		const expected = await endOf();
		expect(steps).toBeGreaterThan(4);
		const places = fc.sample(fc.noBias(fc.nat(steps - 1)), { seed, numRuns: KILLS });
		let killed = 0;
		for (const place of places) {
			world.restore();
			const { signal } = await command({ KILL_AT: String(place) });
			if (signal === "SIGKILL") killed += 1;
			expect(await world.broken(), `killed at ${place} of ${steps}`).toEqual([]);
			const again = await command({});
			expect(again.code, `killed at ${place} of ${steps}: ${again.said}`).toBe(0);
			expect(await world.broken()).toEqual([]);
			expect(await endOf(), `killed at ${place} of ${steps}`).toEqual(expected);
		}
		console.log(`${stage}: ${killed} of ${places.length} killed at one of ${steps} steps`);
		expect(killed).toBeGreaterThan(places.length / 2);
	} finally {
		world.remove();
	}
});
