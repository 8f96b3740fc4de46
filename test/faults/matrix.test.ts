// Every external effect of every stage goes wrong in each of nine ways: nothing is promoted that wasn't judged, nothing is lost or doubled, and it ends alike
import { rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isBug } from "../../actions/lib/errors.ts";
import { experiment, makeTemplate } from "../lib/follow/merged/repository.ts";
import { count, SOAK } from "../soak.ts";
import { type Call, Crash, isWrite, KINDS, type Kind, Recorder } from "./ports.ts";
import { STAGES, type Stage } from "./stages.ts";
import { World } from "./world.ts";

/** Cells of each stage in every run of the tests. */
const SAMPLE = 3;
const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));

let template: string;
let world: World;
beforeAll(async () => {
	console.log(`The cells of the fault matrix are of SEED=${seed}.`);
	template = await makeTemplate();
});
afterAll(() => rm(template, { recursive: true }));

interface Cell {
	at: number;
	kind: Kind;
	call: Call;
}

/** Each call with each fault; of reads that are made again and again with the same words, the first and the last. */
function cellsOf(calls: readonly Call[]): Cell[] {
	const textOf = ({ port, method, args }: Call) => `${port}.${method}${args}`;
	const texts = calls.map(textOf);
	const chosen = calls.flatMap((call, at) =>
		isWrite(call) || texts.indexOf(texts[at]!) === at || texts.lastIndexOf(texts[at]!) === at ? [{ call, at }] : [],
	);
	return chosen.flatMap(({ call, at }) => KINDS.map((kind) => ({ at, kind, call })));
}

/** Runs a stage as a process of its own: what it threw, once nothing of it is on its way any more. */
async function attempt({ run }: Stage, recorder: Recorder): Promise<unknown> {
	try {
		await run(world, world.portsFor(recorder));
		return null;
	} catch (error) {
		return error;
	} finally {
		await recorder.settled();
	}
}

const MAY_BE_MORE = new Set(["jobs", "started", "stored", "versions", "left", "documents"]);

function holdsAll(found: unknown, expected: unknown): boolean {
	const all = new Set((found as unknown[]).flat().map((one) => JSON.stringify(one)));
	return (expected as unknown[]).flat().every((one) => all.has(JSON.stringify(one)));
}

/** Whether all that is there beside what is expected are notes of evaluations: where one model couldn't be settled, the next is judged against what is production before it, and again by the next run. */
function isNote(name: string, found: unknown, expected: unknown): boolean {
	const known = new Set(expected as unknown[]);
	const more = name === "left" ? (found as string[]).filter((file) => !known.has(file)) : [];
	return more.length > 0 && holdsAll(found, expected) && more.every((file) => /^line\/evaluations\/./.test(file));
}

async function runCell(stage: Stage, { at, kind }: Cell, expected: object): Promise<string[]> {
	world.restore();
	const first = await attempt(stage, new Recorder({ at, kind }));
	const problems = await world.broken();
	// A bug's stack is for us; what a service or a disk does is no bug.
	const isOfDisk = Boolean((first as NodeJS.ErrnoException | null)?.syscall);
	if (first && !(first instanceof Crash) && !isOfDisk && isBug(first))
		problems.push(`it ended as a bug: ${(first as Error).message}`);
	// The next run of the schedule.
	const again = await attempt(stage, new Recorder());
	if (again) problems.push(`it doesn't go on: ${(again as Error).message}`);
	problems.push(...(await world.broken()));
	const end = await world.end();
	for (const [name, value] of Object.entries(expected)) {
		const found = JSON.stringify(end[name]);
		// An answer from before may cost one more measurement, which nothing rests on in the end.
		const isMore =
			(kind === "stale read" && MAY_BE_MORE.has(name) && holdsAll(end[name], value)) || isNote(name, end[name], value);
		if (found !== JSON.stringify(value) && !isMore)
			problems.push(`${name}: found ${found}, expected ${JSON.stringify(value)}`);
	}
	return problems;
}

describe.each(Object.entries(STAGES))("%s", { timeout: 3_600_000 }, (name, stage) => {
	afterAll(() => world.remove());

	test("ends alike whatever goes wrong", async () => {
		world = await World.open(template);
		await world.at.bring("first", experiment());
		await world.at.settle();
		await stage.prepare(world);
		world.save();
		const recorder = new Recorder();
		expect(await attempt(stage, recorder)).toBeNull();
		expect(await attempt(stage, new Recorder())).toBeNull();
		const expected = await world.end();
		expect(await world.broken()).toEqual([]);
		const all = cellsOf(recorder.calls);
		const cells = SOAK
			? all
			: (fc.sample(
					fc.shuffledSubarray(all, {
						minLength: Math.min(SAMPLE, all.length),
						maxLength: Math.min(SAMPLE, all.length),
					}),
					{ seed, numRuns: 1 },
				)[0] ?? []);
		const broken: Record<string, string[]> = {};
		for (const cell of cells) {
			const problems = await runCell(stage, cell, expected);
			if (problems.length > 0)
				broken[`${cell.kind} at ${cell.at}: ${cell.call.port}.${cell.call.method}${cell.call.args}`] = problems;
		}
		console.log(
			`${name}: ${recorder.calls.length} calls, ${cells.length} of ${all.length} cells run, ${Object.keys(broken).length} broken`,
		);
		expect(broken).toEqual({});
		expect(cells.length).toBeGreaterThanOrEqual(count(1, all.length));
	});
});
