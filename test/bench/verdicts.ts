// Simulated trials become the verdict's own error rates: false alarms, power, and how often the intervals hold the truth.
// Run: npm run bench -- verdicts
import { spawn } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import { judgeScores, type Measured } from "../../actions/lib/gate/gate.ts";
import type { PlanRule, Report } from "../../actions/lib/generated/documents.d.ts";

type Score = Report["scores"][number];
interface Truth {
	candidate: number;
	production: number;
	delta: number;
}
interface Case {
	name: string;
	options: string[];
	trials: number;
	/** What the case is there to show; a deliberate mistake is there to break it. */
	holds: boolean;
}

const root = path.resolve(import.meta.dirname, "../..");
const SEED = 1;
const cases: Case[] = [
	{ name: "nothing changed", options: [], trials: 400, holds: true },
	{ name: "nothing changed, drives of 10 frames", options: ["--cluster", "10"], trials: 400, holds: true },
	{ name: "about 1 point less", options: ["--drop", "0.025"], trials: 200, holds: true },
	{ name: "about 2 points less", options: ["--drop", "0.058"], trials: 200, holds: true },
	{ name: "about 5 points less", options: ["--drop", "0.142"], trials: 200, holds: true },
	{ name: "mistake: unpaired resampling", options: ["--mistake", "unpaired"], trials: 200, holds: false },
	{
		name: "mistake: frames for drives of 10",
		options: ["--cluster", "10", "--mistake", "frames"],
		trials: 200,
		holds: false,
	},
];

/** Prints the table; a figure that is not what is promised, or a mistake that goes unnoticed, ends it with 1. */
export async function benchVerdicts(): Promise<void> {
	console.log(
		`\nVerdicts on simulated models (seed ${SEED}; the bound is a drop of 0, where false alarms are likeliest)\n`,
	);
	console.log("| case | true change of map | slice | fails | passes | interval of the change holds | of the level |");
	console.log("|:--|--:|:--|--:|--:|--:|--:|");
	for (const item of cases) {
		const { truth, trials } = await simulate(item);
		const rates = ratesOf(truth, trials);
		for (const [place, rate] of rates.slices.entries()) {
			const [name, change] = place === 0 ? [item.name, `${(100 * truth.delta).toFixed(1)} points`] : ["", ""];
			console.log(
				`| ${name} | ${change} | ${rate.slice} | ${percent(rate.fails)} | ${percent(rate.passes)} | ${percent(rate.change)} | ${percent(rate.level)} |`,
			);
		}
		console.log(
			`| | | any of the five | ${percent(rates.anyFails)} | | ${percent(rates.change)} | ${percent(rates.level)} |`,
		);
		const promised = rates.change >= 0.93 && rates.change <= 0.97 && (truth.delta !== 0 || rates.anyFails <= 0.05);
		if (promised !== item.holds) {
			console.log(`\n${item.name}: ${item.holds ? "not what is promised" : "the mistake goes unnoticed"}\n`);
			process.exitCode = 1;
		}
	}
}

/** Runs the trials of a case. */
async function simulate({ options, trials }: Case): Promise<{ truth: Truth; trials: Score[][] }> {
	const script = path.join(root, "test/bench/verdicts.py");
	const child = spawn(
		path.join(root, ".venv/bin/python"),
		[script, "--trials", String(trials), "--seed", String(SEED), ...options],
		{ stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, OMP_NUM_THREADS: "1" } },
	);
	const lines: string[] = [];
	for await (const line of createInterface({ input: child.stdout })) lines.push(line);
	if (lines.length !== trials + 1) throw new Error(`${script} made ${lines.length - 1} of ${trials} trials.`);
	const [truth, ...rest] = lines.map((line) => JSON.parse(line));
	return { truth, trials: rest };
}

/** Shares of the trials, by slice and of all five checks together. */
function ratesOf(truth: Truth, trials: Score[][]) {
	const verdicts = trials.map((scores) => judgeScores(reportOf(scores)));
	const share = (count: number, of = trials.length) => count / of;
	const holds = (ends: Score["delta_interval"], value: number) => ends !== null && ends[0] <= value && value <= ends[1];
	const slices = trials[0]!.map(({ slice }, place) => ({
		slice: slice ?? "overall",
		fails: share(verdicts.filter(({ checks }) => checks[place]!.outcome === "fail").length),
		passes: share(verdicts.filter(({ checks }) => checks[place]!.outcome === "pass").length),
		change: share(trials.filter((scores) => holds(scores[place]!.delta_interval, truth.delta)).length),
		level: share(trials.filter((scores) => holds(scores[place]!.candidate_interval, truth.candidate)).length),
	}));
	const mean = (of: (item: (typeof slices)[number]) => number) =>
		slices.reduce((sum, item) => sum + of(item), 0) / slices.length;
	return {
		slices,
		anyFails: share(verdicts.filter(({ outcome }) => outcome === "fail").length),
		change: mean((item) => item.change),
		level: mean((item) => item.level),
	};
}

/** What the gate reads of a report: map may not fall, overall and on every slice. */
function reportOf(scores: Score[]): Measured {
	const rule: PlanRule = {
		metric: "map",
		slice: null,
		bound: "max_drop",
		value: 0,
		min_frames: 1,
		inconclusive: "block",
		reason: "simulated",
		line: 1,
	};
	return {
		policy: { name: "simulated", file: "", drift: "off", rules: [rule, { ...rule, slice: "*" }] },
		slices: [],
		scores,
		uncertainty: { unit: "frame" },
	};
}

function percent(value: number): string {
	return `${(100 * value).toFixed(1)} %`;
}
