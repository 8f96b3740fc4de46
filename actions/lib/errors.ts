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

	constructor(service: string, message: string, cause?: unknown) {
		super(message, { cause });
		this.name = "ServiceError";
		this.service = service;
	}
}

/** Whether an error is none of the three. */
export function isBug(error: unknown): boolean {
	return !(error instanceof InvalidFile || error instanceof InvalidInput || error instanceof ServiceError);
}

/** An error in a sentence for those who can't act on it; what is none of the three is a bug of ours. */
export function sentenceOf(error: unknown): string {
	if (error instanceof InvalidFile || error instanceof InvalidInput) return error.message;
	if (error instanceof ServiceError) return `${error.service}: ${error.message}`;
	return `A bug in Proving Ground: ${error instanceof Error ? error.message : String(error)}`;
}
