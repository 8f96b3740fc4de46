// Where the stages of a terminal keep their documents, and how the next stage reads them.
import { existsSync } from "node:fs";
import path from "node:path";
import { type DocumentName, type DocumentTypes, readDocument, writeDocument } from "../lib/documents.ts";
import { InvalidInput } from "../lib/errors.ts";
import { nameOfFile } from "../lib/experiment/experiment.ts";
import { documentsOf } from "../lib/plan/plan_files.ts";
import type { Project } from "../lib/project.ts";
import { reportsOf } from "../lib/report/report.ts";

interface Place {
	project: Pick<Project, "root" | "state">;
}

export function documentFile({ project }: Place, file: string, name: string): string {
	return path.join(documentsOf(project.state, nameOfFile(file)), `${name}.json`);
}

export function commentFile({ project }: Place, file: string): string {
	return path.join(documentsOf(project.state, nameOfFile(file)), "comment.md");
}

export function reportFile({ project }: Place, file: string, name: string): string {
	return path.join(reportsOf(project.root, nameOfFile(file)), name);
}

export function relative({ project }: Place, file: string): string {
	return path.relative(project.root, file);
}

export async function read<N extends "plan" | "jobs">(place: Place, file: string, name: N): Promise<DocumentTypes[N]> {
	return readMade(file, name, documentFile(place, file, name));
}

/** The command that makes a document. */
const MAKER = { plan: "plan", jobs: "train", report: "report", verdict: "gate" } as const;

/** Reads a document that an earlier stage makes; throws InvalidInput naming that stage where it isn't there. */
export async function readMade<N extends keyof typeof MAKER>(
	experiment: string,
	name: N,
	file: string,
): Promise<DocumentTypes[N]> {
	if (existsSync(file)) return readDocument(name, file);
	throw new InvalidInput(
		`${file}: there is no ${name}.json here. To make it: npx proving-ground ${MAKER[name]} ${experiment}`,
	);
}

export async function write<N extends DocumentName>(
	place: Place,
	file: string,
	name: N,
	value: DocumentTypes[N],
): Promise<void> {
	await writeDocument(name, value, documentFile(place, file, name));
}

export async function readIfThere<N extends DocumentName>(
	name: N,
	file: string,
): Promise<{ [K in N]?: DocumentTypes[N] }> {
	return existsSync(file) ? ({ [name]: await readDocument(name, file) } as { [K in N]?: DocumentTypes[N] }) : {};
}
