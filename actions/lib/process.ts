// A program runs to its end by argument vector, without a shell, within a time, and what it said is kept.
import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { InvalidInput, ServiceError } from "./errors.ts";

/** Minutes that a process may take: one that looks something up, one that installs packages, one that fetches or makes data. */
export const MINUTES = { look: 10, install: 60, data: 12 * 60 } as const;
/** Minutes in which one pull request, or one merged experiment, is followed. */
export const FOLLOW_MINUTES = 20;
/** After it was asked to end a process has so long to tidy up. */
const TIDY_MS = 5000;
/** What a process says is kept in memory, up to this. */
const MOST_OUTPUT = 256 * 1024 * 1024;

/** Variables by which programs reach the network through a proxy, or trust a certificate authority of one's own. */
const NETWORK =
	/^((https?|all|no)_proxy|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|GIT_SSL_CA(INFO|PATH)|PIP_CERT)$/i;

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
	/** How long it may take; what looks something up where it is left out. */
	minutes?: number;
	/** The sentence where it can't be started. */
	unstartable?: (code: string | undefined) => string;
}

const enclosing = new AsyncLocalStorage<AbortSignal>();

/** Does something within a time; throws ServiceError where it takes longer, and ends the processes that it has started. */
export async function within<T>(minutes: number, what: string, body: () => Promise<T>): Promise<T> {
	const controller = new AbortController();
	const outer = enclosing.getStore();
	const signal = outer ? AbortSignal.any([outer, controller.signal]) : controller.signal;
	const { promise, reject } = Promise.withResolvers<never>();
	const timer = setTimeout(() => {
		controller.abort();
		reject(new ServiceError(what, `it took longer than ${minutes} minutes and was given up.`));
	}, minutes * 60_000);
	try {
		return await Promise.race([enclosing.run(signal, body), promise]);
	} finally {
		clearTimeout(timer);
	}
}

/** What a program that reaches the network may see of this process's environment for that. */
export function networkEnvironment(): Record<string, string> {
	return Object.fromEntries(
		Object.entries(process.env).filter((entry): entry is [string, string] => NETWORK.test(entry[0]) && !!entry[1]),
	);
}

/** Runs a command to its end; throws InvalidInput where it can't be started, ServiceError where it takes too long. */
export async function runCommand(command: string, args: readonly string[], options: CommandOptions): Promise<Ended> {
	const { input = "", minutes = MINUTES.look, unstartable, ...place } = options;
	const own = new AbortController();
	const outer = enclosing.getStore();
	const child = spawn(command, args, place);
	const endBecause = (why: string) => own.abort(new ServiceError(command, `${command} ${args[0]} ${why}`));
	const late = setTimeout(endBecause, minutes * 60_000, `took longer than ${minutes} minutes and was ended.`);
	const withOuter = () => endBecause("was ended, since what asked for it took too long.");
	outer?.addEventListener("abort", withOuter);
	const kept = [child.stdout, child.stderr].map((stream) => {
		const chunks: Buffer[] = [];
		let size = 0;
		stream.on("data", (chunk: Buffer) => {
			chunks.push(chunk);
			size += chunk.length;
			if (size > MOST_OUTPUT) endBecause(`said more than ${MOST_OUTPUT} bytes and was ended.`);
		});
		return chunks;
	});
	// A child that refuses its arguments closes its input before reading it: its exit code tells more than EPIPE.
	child.stdin.on("error", () => {});
	child.stdin.end(input);
	try {
		const code = await new Promise<number | null>((resolve, reject) => {
			child.once("error", (error: NodeJS.ErrnoException) => {
				reject(new InvalidInput(unstartable?.(error.code) ?? `${command} can't be started (${error.code}).`));
			});
			child.once("close", (exit) => resolve(exit));
			own.signal.addEventListener("abort", () => end(child, () => reject(own.signal.reason)));
			if (outer?.aborted) withOuter();
		});
		const [output, errors] = kept.map((chunks) => Buffer.concat(chunks).toString("utf8"));
		return { code, output: output!, errors: errors! };
	} finally {
		clearTimeout(late);
		outer?.removeEventListener("abort", withOuter);
	}
}

/** Ends a child as a person at its terminal would, which lets it tidy up, and otherwise for good. */
function end(child: ReturnType<typeof spawn>, done: () => void): void {
	const killing = setTimeout(() => child.kill("SIGKILL"), TIDY_MS);
	const ended = () => {
		clearTimeout(killing);
		// Its own children may hold them open.
		for (const stream of [child.stdout, child.stderr]) stream?.destroy();
		done();
	};
	const isOver = child.exitCode !== null || child.signalCode !== null;
	if (isOver) ended();
	else child.once("exit", ended).kill("SIGINT");
}
