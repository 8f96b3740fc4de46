// A program runs to its end by argument vector, without a shell, and what it said is kept.
import { spawn } from "node:child_process";
import { InvalidInput } from "./errors.ts";

/** What a process left when it ended. */
export interface Ended {
	code: number | null;
	output: string;
	errors: string;
}

export interface CommandOptions {
	cwd?: string;
	env: Record<string, string>;
	/** What it reads; nothing where it is left out. */
	input?: string;
	/** The sentence where it can't be started. */
	unstartable?: (code: string | undefined) => string;
}

/** Runs a command to its end; throws InvalidInput where it can't be started. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<Ended> {
	const { input = "", unstartable = (code) => `${command} can't be started (${code}).`, ...place } = options;
	const child = spawn(command, args, place);
	const output: Buffer[] = [];
	const errors: Buffer[] = [];
	child.stdout.on("data", (chunk) => output.push(chunk));
	child.stderr.on("data", (chunk) => errors.push(chunk));
	// A child that refuses its arguments closes its input before reading it: its exit code tells more than EPIPE.
	child.stdin.on("error", () => {});
	child.stdin.end(input);
	const code = await new Promise<number | null>((resolve, reject) => {
		child.once("error", (error: NodeJS.ErrnoException) => reject(new InvalidInput(unstartable(error.code))));
		child.once("close", (exit) => resolve(exit));
	});
	return { code, output: Buffer.concat(output).toString("utf8"), errors: Buffer.concat(errors).toString("utf8") };
}
