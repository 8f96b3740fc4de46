// The stages from a terminal: npx proving-ground <stage> runs what the stage's action runs, on the same functions.
import { statSync } from "node:fs";
import { userInfo } from "node:os";
import path from "node:path";
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { documentText } from "../lib/documents.ts";
import { InvalidFile, InvalidInput, ServiceError, toldByDisk } from "../lib/errors.ts";
import { headTree } from "../lib/experiment/tree.ts";
import { openProject, type Project } from "../lib/project.ts";
import { showDue } from "../lib/propose/forecast.ts";
import { plainText } from "../lib/text/plain.ts";
import * as stages from "./stages.ts";
import { type CopyOptions, copyWorkflows } from "./workflows.ts";

const EXIT = { done: 0, gate: 1, person: 2, service: 3 } as const;

const program = new Command("proving-ground")
	.description("Trains, measures, gates and promotes the model that a committed experiment file describes.")
	.option("--root <folder>", "the repository's folder", process.cwd())
	.option(
		"--base <folder>",
		"a checkout of the base branch, whose gates, waivers and machines apply (without it: the gates and waivers of the last commit)",
	)
	.option("--author <login>", "GitHub login of the experiment's author; waivers they granted don't count")
	.option("--json", "print the stage's document as JSON")
	.exitOverride()
	.configureHelp({ showGlobalOptions: true });

interface Globals {
	root: string;
	base?: string;
	author?: string;
	json?: boolean;
}

/** Adds a stage; what it returns is printed, as words or as its document. */
function stage(
	name: string,
	description: string,
	action: (context: stages.Context, args: string[], options: stages.Options) => Promise<stages.Outcome>,
): Command {
	return program
		.command(name)
		.description(description)
		.action(async (...received: unknown[]) => {
			const command = received.at(-1) as Command;
			const { root, base, author, json } = program.opts<Globals>();
			if (base && !statSync(base, { throwIfNoEntry: false })?.isDirectory())
				throw new InvalidInput(`--base ${base}: there is no such folder.`);
			const project: Project = await openProject(path.resolve(root));
			const context: stages.Context = {
				project,
				...(base ? { base: path.resolve(base) } : { gates: await headTree(path.resolve(root)) }),
				...(author ? { author } : {}),
				// With --json the document alone goes to standard output.
				say: (line) => process.stderr.write(`${plainText(line)}\n`),
				live: process.stderr,
			};
			const outcome = await action(context, command.args, command.opts());
			process.stdout.write(json ? documentText(outcome.document) : `${plainText(outcome.text)}\n`);
			if (outcome.passed === false) process.exitCode = EXIT.gate;
		});
}

const EXPERIMENT = ["<experiment>", "experiments/<name>.yaml"] as const;
stage("validate", "check experiment files and the recipes they name (by default, all experiments)", (context, args) =>
	stages.validate(context, args),
).argument("[experiments...]", "experiments/<name>.yaml");
stage(
	"propose",
	"list the experiments that are due by the schedules in recipes/proposals; opens no pull request",
	({ project }, _, { now }) => showDue(project.root, now),
).option("--now <time>", "the time to check the schedules at, such as 2026-11-25T03:00:00Z");
stage("plan", "show what would run, on which data, against which production model, at what cost", (context, [file]) =>
	stages.plan(context, file!),
).argument(...EXPERIMENT);
stage(
	"train",
	"start or adopt the plan's jobs and follow them (if this command is killed, they go on)",
	(context, [file], options) => stages.train(context, file!, options),
)
	.argument(...EXPERIMENT)
	.option("--no-follow", "start or adopt the jobs, look once and return")
	.option("--stop", "ask the running jobs to save a checkpoint and stop");
stage("report", "join what was measured with the plan, and draw the report's page", (context, [file]) =>
	stages.report(context, file!),
).argument(...EXPERIMENT);
stage("gate", "judge the report against the gate policy", (context, [file]) => stages.gate(context, file!)).argument(
	...EXPERIMENT,
);
stage("comment", "print the pull request's comment as Markdown", (context, [file]) =>
	stages.comment(context, file!),
).argument(...EXPERIMENT);
stage("promote", "make the judged model the production model", (context, [file], options) =>
	stages.promote(context, file!, { by: userInfo().username, ...options }),
)
	.argument(...EXPERIMENT)
	.option("--pending", "only register it; merging approves it later")
	.option("--by <name>", "name of the person who approves");
stage("run", "run all stages for each experiment, one after the other", (context, args) =>
	stages.run(context, args, userInfo().username),
).argument("<experiments...>", "experiments/<name>.yaml");
stage("examples", "run the example experiments and show where to look", (context, args) =>
	stages.examples(context, args, userInfo().username),
).argument("<experiments...>", "experiments/<name>.yaml");
stage(
	"backtest",
	"judge every model in the registry by a gate policy, and compare with another revision of the policy",
	(context, [file], options) => stages.backtest(context, file!, options),
)
	.argument("<policy>", "recipes/gates/<name>.yaml")
	.option("--against <revision>", "the revision of the policy to compare with", "HEAD")
	.option("--slices <file>", "judge on the slices in this slices.yaml instead of those that were evaluated");
stage("pages", "redraw reports/index.html (all models over time) and the page of each report", (context) =>
	stages.pages(context),
);
stage(
	"history",
	"list the versions and promotions of a line of models (by default, of all lines)",
	(context, [model]) => stages.history(context, model),
).argument("[model]", "the line's name");
program
	.command("workflows")
	.description(
		"write the workflows into this repository's .github/workflows; their jobs call the actions of this checkout's origin",
	)
	.option("--repository <owner/name>", "the repository of the actions (by default, this checkout's origin)")
	.option("--ref <commit>", "its commit or tag (by default, this checkout's commit)")
	.option("--enterprise-server", "leave out what GitHub Enterprise Server doesn't know")
	.action(async (options: CopyOptions) => {
		const text = await copyWorkflows(path.resolve(program.opts<Globals>().root), options);
		process.stdout.write(`${plainText(text)}\n`);
	});

try {
	await program.parseAsync();
} catch (error) {
	process.exitCode = showError(error);
}

function showError(thrown: unknown): number {
	const error = toldByDisk(thrown);
	if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.person;
	if (error instanceof InvalidFile || error instanceof InvalidInput) {
		console.error(plainText(error.message));
		return EXIT.person;
	}
	if (error instanceof ServiceError) {
		console.error(plainText(`${error.service}: ${error.message}`));
		return EXIT.service;
	}
	console.error(plainText(`A bug in proving-ground: ${inspect(error)}`));
	return EXIT.service;
}
