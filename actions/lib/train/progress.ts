// What is known of the jobs becomes one live line in a terminal, or a line now and then in a log.
import { clearLine, cursorTo } from "node:readline";
import type { WriteStream } from "node:tty";
import type { Jobs } from "../generated/documents.d.ts";
import { nameOf } from "../metrics.ts";
import { plainLine } from "../text/plain.ts";

/** A log gets a new line at most this often. */
const LOG_EVERY_MS = 15_000;

/** One line that says how far the jobs are: stage, epoch, step, time left. */
export function progressLine(jobs: Jobs): string {
	const job = jobs.jobs.at(-1);
	if (!job) return "";
	const progress = job.progress;
	if (job.state !== "running") return `${job.kind} ${job.state}`;
	if (!progress) return `${job.kind} starting`;
	const parts = [progress.stage];
	if (progress.epoch !== null && progress.epochs !== null) parts.push(`epoch ${progress.epoch}/${progress.epochs}`);
	if (progress.step !== null && progress.steps !== null)
		parts.push(`${bar(progress.step / Math.max(progress.steps, 1))} step ${progress.step}/${progress.steps}`);
	if (progress.loss !== null) parts.push(`loss ${progress.loss.toFixed(3)}`);
	for (const [name, value] of Object.entries(progress.metric ?? {}))
		if (value !== null) parts.push(`${nameOf(name)} ${value.toFixed(3)}`);
	if (progress.seconds_left !== null) parts.push(`${Math.ceil(progress.seconds_left)} s left`);
	// Stage and metrics are what the job has written.
	return plainLine(parts.join("  "));
}

function bar(share: number): string {
	const filled = Math.round(Math.min(Math.max(share, 0), 1) * 16);
	return "█".repeat(filled) + "░".repeat(16 - filled);
}

/** Shows lines in place on a terminal, and sparsely in a log. */
export function liveLine(stream: NodeJS.WriteStream): { show(line: string): void; clear(): void } {
	const terminal = stream.isTTY ? (stream as WriteStream) : null;
	let last = { line: "", at: 0, word: "" };
	return {
		show(line) {
			if (terminal) {
				cursorTo(terminal, 0);
				clearLine(terminal, 0);
				terminal.write(`  ${line}`.slice(0, terminal.columns - 1));
				return;
			}
			const word = line.split("  ")[0] ?? "";
			if (line === last.line || (word === last.word && Date.now() - last.at < LOG_EVERY_MS)) return;
			last = { line, at: Date.now(), word };
			stream.write(`  ${line}\n`);
		},
		clear() {
			if (!terminal) return;
			cursorTo(terminal, 0);
			clearLine(terminal, 0);
		},
	};
}
