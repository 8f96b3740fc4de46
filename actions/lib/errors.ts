// What can go wrong becomes one of three errors, told apart by who can act on it; everything else is a bug of ours.

/** One problem in a file that a person wrote, on the line where it stands. */
export interface Problem {
	file: string;
	/** From 1. */
	line: number;
	/** From 1. */
	column: number;
	/** What was found, what is allowed, and the nearest name where one was misspelt. */
	message: string;
}

/** A file that a person wrote can't be taken: the file's author acts. Carries every problem, not the first. */
export class InvalidFile extends Error {
	readonly problems: readonly Problem[];

	constructor(problems: readonly Problem[], cause?: unknown) {
		super(problems.map((p) => `${p.file}:${p.line}:${p.column} ${p.message}`).join("\n"), { cause });
		this.name = "InvalidFile";
		this.problems = problems;
	}
}

/** An input, a flag or a document handed to a stage can't be taken: whoever calls the stage acts. */
export class InvalidInput extends Error {
	constructor(message: string) {
		super(message);
		this.name = "InvalidInput";
	}
}

/** A service didn't do what it was asked: nobody can act but by trying again. */
export class ServiceError extends Error {
	readonly service: string;
	/** The HTTP status of the service's answer; null where there was none. */
	readonly status: number | null;

	constructor(service: string, message: string, cause?: unknown, status: number | null = null) {
		super(message, { cause });
		this.name = "ServiceError";
		this.service = service;
		this.status = status;
	}
}

// What a disk refuses, by the system's word for it: people make room, or give rights.
const REFUSED: Record<string, string> = {
	ENOSPC: "no space is left on the disk",
	EDQUOT: "the disk quota is used up",
	EROFS: "the disk is read-only",
	EACCES: "permission is denied",
	EPERM: "the operation is not permitted",
	EIO: "the disk has failed",
	ESTALE: "the network disk has lost it",
};

/** What a disk refused as a ServiceError; any other error as it is. */
export function toldByDisk(error: unknown): unknown {
	const { code = "", path, syscall } = (error ?? {}) as NodeJS.ErrnoException;
	const why = error instanceof Error && syscall !== undefined && Object.hasOwn(REFUSED, code) && REFUSED[code];
	if (!why) return error;
	return new ServiceError("storage", `${path ?? "a file"} can't be read or written: ${why} (${code}).`, error);
}

/** Whether an error is none of the three, and no disk's either. */
export function isBug(thrown: unknown): boolean {
	const error = toldByDisk(thrown);
	return !(error instanceof InvalidFile || error instanceof InvalidInput || error instanceof ServiceError);
}

/** An error in a sentence for those who can't act on it; what is none of the three is a bug of ours. */
export function sentenceOf(thrown: unknown): string {
	const error = toldByDisk(thrown);
	if (error instanceof InvalidFile || error instanceof InvalidInput) return error.message;
	if (error instanceof ServiceError) return `${error.service}: ${error.message}`;
	return `A bug in Proving Ground: ${error instanceof Error ? error.message : String(error)}`;
}
