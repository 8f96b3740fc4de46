// What is true of a pull request's experiments becomes its labels.
import { createHash } from "node:crypto";
import type { Label, ShownCheck } from "../github/objects.ts";

/** GitHub refuses a longer name. */
const MAX_NAME = 50;

const STATES = {
	planned: { color: "c5def5", description: "An experiment here is planned and waits for approval" },
	running: { color: "fbca04", description: "An experiment here is being trained or evaluated" },
	passed: { color: "0e8a16", description: "An experiment here passed its gates" },
	failed: { color: "d73a4a", description: "An experiment here failed its gates, or its job failed" },
	inconclusive: {
		color: "bfd4f2",
		description: "The test data can't decide whether an experiment here passes its gates",
	},
} as const;

type Word = keyof typeof STATES;

/** The labels of a pull request whose experiments have these check runs, each once: whoever shows one experiment knows of all. */
export function labelsOf(checks: readonly Pick<ShownCheck, "status" | "conclusion" | "title">[]): Label[] {
	const words = new Set(checks.map(wordOf));
	return (Object.keys(STATES) as Word[])
		.filter((word) => words.has(word))
		.map((word) => ({ name: `model:${word}`, ...STATES[word] }));
}

function wordOf({ status, conclusion, title }: Pick<ShownCheck, "status" | "conclusion" | "title">): Word {
	if (status !== "completed") return status === "queued" ? "planned" : "running";
	if (conclusion === "success") return "passed";
	// The conclusion says what the policy makes of a verdict, the title what the verdict is.
	return title.startsWith("inconclusive") ? "inconclusive" : "failed";
}

/** The label that all pull requests have which train a line of models: two with it are told of each other. */
export function lineLabel(model: string): Label {
	return { name: lineName(model), color: "5319e7", description: "Trains this line of models" };
}

function lineName(model: string): string {
	const name = `line:${model.replaceAll(/[^\w.-]/g, "_")}`;
	if (name === `line:${model}` && name.length <= MAX_NAME) return name;
	// Cut or changed alone, two lines could come to the same name.
	const digest = createHash("sha256").update(model).digest("hex").slice(0, 8);
	return `${name.slice(0, MAX_NAME - 9)}-${digest}`;
}

/** Whether a label is one of these, which only we give and take. */
export function isOwnLabel(name: string): boolean {
	return /^(model|line):/i.test(name);
}
