// Every call of a port is recorded by a proxy, so that none is forgotten, and one of them goes wrong in one of the ways that calls do.
import { ServiceError } from "../../actions/lib/errors.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import type { Project } from "../../actions/lib/project.ts";

/** The process died. */
export class Crash extends Error {}

export const KINDS = [
	"crash before",
	"crash after",
	"lost answer",
	"5xx",
	"timeout",
	"429",
	"stale read",
	"truncated",
	"doubled",
] as const;
export type Kind = (typeof KINDS)[number];

/** One call of a port, as it was made. */
export interface Call {
	port: string;
	method: string;
	args: string;
}

type Method = (...args: unknown[]) => Promise<unknown>;

/** What is decided without asking anybody: no effect, and no answer that could be lost. */
const LOCAL = new Set(["locate", "author"]);
/** Calls that change something; all others read. */
const WRITES =
	/^(put|register|approve|start|stop|upsert\w+|react|setLabels|dispatchWorkflow|emit|cancelRuns|rerun|openIssue|closeIssue|openPullRequest|createTag|commitFiles)$/;

export function isWrite({ method }: Pick<Call, "method">): boolean {
	return WRITES.test(method);
}

/** Records the calls of one process; where a fault is given, the call of that number goes wrong. */
export class Recorder {
	readonly calls: Call[] = [];
	readonly #fault: { at: number; kind: Kind } | null;
	/** What the other side does after nobody waits for its answer any more. */
	readonly #late: Promise<unknown>[] = [];
	#dead = false;
	#limited = 0;

	constructor(fault: { at: number; kind: Kind } | null = null) {
		this.#fault = fault;
	}

	/** The port with its calls recorded. */
	port<T extends object>(name: string, target: T): T {
		return new Proxy(target, {
			get: (own, key: string) => {
				const value = Reflect.get(own, key) as unknown;
				if (typeof value !== "function" || LOCAL.has(key)) return value;
				return (...args: unknown[]) => this.#call(name, key, () => (value as Method).apply(own, args), args);
			},
		});
	}

	project(project: Project): Project {
		const executors = project.executors().map((executor) => this.port("executor", executor));
		return {
			...project,
			store: this.port("store", project.store),
			registry: this.port("registry", project.registry),
			executorFor: () => executors[0]!,
			executors: () => executors,
			at: (root, trainer) => this.project(project.at(root, trainer)),
		};
	}

	github(github: GitHub): GitHub {
		return this.port("github", github);
	}

	/** Waits for what is still on its way when the process has ended. */
	async settled(): Promise<void> {
		await Promise.allSettled(this.#late);
	}

	async #call(port: string, method: string, act: () => Promise<unknown>, args: unknown[]): Promise<unknown> {
		if (this.#dead) throw new Crash("the process is dead");
		const at = this.calls.length;
		this.calls.push({ port, method, args: textOf(args) });
		if (this.#limited > 0 && port === "github") {
			this.#limited -= 1;
			throw failure(port, "429: too many requests");
		}
		if (this.#fault?.at !== at) return act();
		return this.#goWrong(this.#fault.kind, { port, method }, act);
	}

	async #goWrong(kind: Kind, { port, method }: Pick<Call, "port" | "method">, act: () => Promise<unknown>) {
		switch (kind) {
			case "crash before":
				this.#dead = true;
				throw new Crash("the process died");
			case "crash after":
				await act();
				this.#dead = true;
				throw new Crash("the process died");
			case "lost answer":
				await act();
				throw failure(port, "the connection was lost");
			case "5xx":
				throw failure(port, "500: something went wrong");
			case "timeout":
				this.#late.push(new Promise((resolve) => setTimeout(resolve, 5)).then(act));
				throw failure(port, "no answer within 10 s");
			case "429":
				this.#limited = 2;
				throw failure(port, "429: too many requests");
			case "stale read":
				return isWrite({ method }) ? act() : stale(await act());
			case "truncated":
				return isWrite({ method }) ? act() : half(await act());
			case "doubled":
				await act();
				return act();
		}
	}
}

/** A service fails in words of its own, a disk with the name of the call. */
function failure(port: string, what: string): Error {
	if (port === "github" || port === "executor") return new ServiceError(port, what);
	return Object.assign(new Error(`EIO: ${what}`), { code: "EIO", syscall: "read" });
}

/** An answer from before the last change. */
function stale(answer: unknown): unknown {
	if (Array.isArray(answer)) return answer.slice(0, -1);
	if (answer === null || typeof answer !== "object" || answer instanceof Uint8Array) return null;
	if ("approvals" in answer && "versions" in answer) {
		const { approvals, versions } = answer as { approvals: unknown[]; versions: unknown[] };
		return { approvals: approvals.slice(0, -1), versions: versions.slice(0, approvals.length === 0 ? -1 : undefined) };
	}
	if ("state" in answer && "merged" in answer)
		return { ...answer, state: "open", merged: false, mergedBy: null, mergeCommit: null };
	if ("state" in answer) return { ...answer, state: "running" };
	return answer;
}

/** An answer that ends too early. */
function half(answer: unknown): unknown {
	if (answer instanceof Uint8Array) return answer.slice(0, Math.floor(answer.length / 2));
	if (Array.isArray(answer)) return answer.slice(0, Math.floor(answer.length / 2));
	return answer;
}

function textOf(args: unknown[]): string {
	const texts = args.map((arg) => (typeof arg === "function" ? "" : (JSON.stringify(arg) ?? "")));
	return `(${texts.map((text) => (text.length > 90 ? `${text.slice(0, 88)}…` : text)).join(", ")})`;
}
