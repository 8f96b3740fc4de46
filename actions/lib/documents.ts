// A document on disk becomes a typed value, checked by its schema on the way in and on the way out.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { ErrorObject, ValidateFunction } from "ajv";
import { InvalidInput } from "./errors.ts";
import { replaceFile } from "./files.ts";
import type {
	Approval,
	Entry,
	EvalReport,
	Figures,
	Jobs,
	Manifest,
	Plan,
	Promotion,
	Report,
	Run,
	Verdict,
} from "./generated/documents.d.ts";

export interface DocumentTypes {
	run: Run;
	plan: Plan;
	jobs: Jobs;
	eval_report: EvalReport;
	figures: Figures;
	report: Report;
	verdict: Verdict;
	promotion: Promotion;
	entry: Entry;
	approval: Approval;
	manifest: Manifest;
}
export type DocumentName = keyof DocumentTypes;

// Literal paths, so that esbuild sees them, and behind import(), so that a stage loads only the validators of its own documents.
const validators: Record<DocumentName, () => Promise<{ default: ValidateFunction }>> = {
	run: () => import("./generated/validate_run.js"),
	plan: () => import("./generated/validate_plan.js"),
	jobs: () => import("./generated/validate_jobs.js"),
	eval_report: () => import("./generated/validate_eval_report.js"),
	figures: () => import("./generated/validate_figures.js"),
	report: () => import("./generated/validate_report.js"),
	verdict: () => import("./generated/validate_verdict.js"),
	promotion: () => import("./generated/validate_promotion.js"),
	entry: () => import("./generated/validate_entry.js"),
	approval: () => import("./generated/validate_approval.js"),
	manifest: () => import("./generated/validate_manifest.js"),
};

/** Reads a document; throws InvalidInput naming the file and what is wrong with it. */
export async function readDocument<N extends DocumentName>(name: N, file: string): Promise<DocumentTypes[N]> {
	let text: string;
	try {
		text = await readFile(file, "utf8");
	} catch (error) {
		throw new InvalidInput(`${file}: there is no ${name}.json here (${(error as NodeJS.ErrnoException).code}).`);
	}
	return parseDocument(name, text, file);
}

/** Reads those documents whose path `pathOf` knows; an empty path means that there is none yet. */
export async function readDocuments<N extends DocumentName>(
	names: readonly N[],
	pathOf: (name: N) => string,
): Promise<{ [K in N]?: DocumentTypes[K] }> {
	const entries = await Promise.all(
		names.filter((name) => pathOf(name) !== "").map(async (name) => [name, await readDocument(name, pathOf(name))]),
	);
	return Object.fromEntries(entries) as { [K in N]?: DocumentTypes[K] };
}

/** Checks a document's text; `where` is named in the error. */
export async function parseDocument<N extends DocumentName>(
	name: N,
	text: string | Uint8Array,
	where: string,
): Promise<DocumentTypes[N]> {
	let value: unknown;
	try {
		value = JSON.parse(typeof text === "string" ? text : Buffer.from(text).toString("utf8"));
	} catch (error) {
		throw new InvalidInput(`${where}: not JSON: ${(error as Error).message}`);
	}
	return checkDocument(name, value, where);
}

/** Writes a document, whole or not at all, and returns its path. */
export async function writeDocument<N extends DocumentName>(
	name: N,
	value: DocumentTypes[N],
	file: string,
): Promise<string> {
	await checkDocument(name, value, file);
	await replaceFile(file, documentText(value));
	return file;
}

/** The text of a document, the same wherever it is written: digests are taken over it. */
export function documentText(value: unknown): string {
	const text = JSON.stringify(value, null, 2);
	// Rows of numbers stay on one line: a curve of 101 would be as many lines of a diff. No string has a line break in it here.
	return `${text.replace(NUMBERS, (row) => row.replaceAll(/\s+/g, " ").replace("[ ", "[").replace(" ]", "]"))}\n`;
}

const NUMBERS = /\[\n\s+-?\d[\d.e+-]*(?:,\n\s+-?\d[\d.e+-]*)*\n\s+\]/g;

/** The digest of what is read bit by bit, as documents write it. */
export async function digestStream(chunks: AsyncIterable<Uint8Array>): Promise<string> {
	const hash = createHash("sha256");
	for await (const chunk of chunks) hash.update(chunk);
	return `sha256:${hash.digest("hex")}`;
}

/** As much of a digest as names a folder or a file beside few others. */
export function shortDigest(digest: string): string {
	return digest.slice("sha256:".length, "sha256:".length + 16);
}

/** Digest of bytes or text, as documents write it. */
export function sha256(data: string | Uint8Array): string {
	return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

async function checkDocument<N extends DocumentName>(
	name: N,
	value: unknown,
	where: string,
): Promise<DocumentTypes[N]> {
	const { default: validate } = await validators[name]();
	if (!validate(value)) {
		const errors = (validate.errors ?? []).slice(0, 5).map(explain);
		throw new InvalidInput(`${where}: this version can't read it as ${name}.json: ${errors.join("; ")}`);
	}
	return value as DocumentTypes[N];
}

function explain(error: ErrorObject): string {
	return `${error.instancePath || "/"} ${error.message}`;
}
