// A folder keeps the versions of each line of models: v000001/ whole or absent, approvals/000001.json one after the other.
import { randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { copyFolder, verifyFolder } from "../artefacts.ts";
import { documentText, parseDocument, sha256 } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import { createFile, makeFolder, syncFolder } from "../files.ts";
import type { Approval as ApprovalRecord, Entry } from "../generated/documents.d.ts";
import type { Approval, Registry, Version } from "../plan/registry.ts";

/** A version as it lies there: its entry with the digest of its file. */
interface Held extends Version {
	digest: string;
	file: string;
}

/** An approval as it lies there. */
interface Recorded {
	approval: ApprovalRecord;
	digest: string;
	file: string;
}

const VERSION = /^v\d{6}$/;
const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** A registry in a folder of this machine. */
export function folder(root: string): Registry {
	const lineOf = (model: string) => {
		if (!NAME.test(model)) throw new InvalidInput(`${JSON.stringify(model)} can't be the name of a line of models.`);
		return path.join(root, model);
	};

	async function versions(model: string): Promise<Held[]> {
		const line = lineOf(model);
		const found = (await namesIn(line)).filter((name) => VERSION.test(name)).sort();
		return Promise.all(
			found.map(async (name) => {
				const file = path.join(line, name, "entry.json");
				const bytes = await readFile(file);
				const entry = await parseDocument("entry", bytes, file);
				if (entry.model !== model || `v${padded(entry.version)}` !== name)
					throw new InvalidInput(`${file}: found the entry of ${entry.model} v${entry.version}.`);
				return { entry, digest: sha256(bytes), file, location: path.join(line, name, "model") };
			}),
		);
	}

	/** The line as its records tell it; throws InvalidInput where one of them isn't what those beside it name by digest. */
	async function readLine(model: string): Promise<{ versions: Held[]; approvals: Recorded[] }> {
		const folder = path.join(lineOf(model), "approvals");
		// Before the versions: whoever approves has registered first.
		const names = (await namesIn(folder)).filter((name) => /^\d{6}\.json$/.test(name)).sort();
		const approvals = await Promise.all(
			names.map(async (name) => {
				const file = path.join(folder, name);
				const bytes = await readFile(file);
				return { file, digest: sha256(bytes), approval: await parseDocument("approval", bytes, file) };
			}),
		);
		const held = await versions(model);
		for (const [index, { file, approval }] of approvals.entries()) {
			const before = approvals[index - 1];
			const own = held.find(({ entry }) => entry.version === approval.version);
			if (path.basename(file) !== `${padded(index + 1)}.json`)
				throw new InvalidInput(`${file}: the approval ${padded(index + 1)} before it is gone.`);
			if (!own)
				throw new ServiceError(
					"registry",
					`Version ${approval.version} of ${model} is approved, but its folder is gone.`,
				);
			if (approval.previous !== (before?.digest ?? null) || approval.replaced !== (before?.approval.version ?? null))
				throw new InvalidInput(
					`${before?.file ?? file}: it was changed after the approval that follows it, or isn't the one that came before.`,
				);
			if (approval.entry !== own.digest || approval.manifest !== own.entry.manifest)
				throw new InvalidInput(`${own.file}: found digest ${own.digest}; ${approval.entry} was approved.`);
		}
		return { versions: held, approvals };
	}

	async function history(model: string): Promise<{ versions: Version[]; approvals: Approval[] }> {
		const { versions, approvals } = await readLine(model);
		return {
			versions: versions.map(({ entry, location }) => ({ entry, location })),
			approvals: approvals.map(approvalOf),
		};
	}

	/** Claims the next number for an evaluation; whoever asks for the same evaluation gets the same number. */
	async function claim(line: string, evaluation: string): Promise<number> {
		for (;;) {
			const names = (await namesIn(path.join(line, "claims"))).filter((name) => /^\d{6}$/.test(name)).sort();
			for (const name of names) {
				if ((await readFile(path.join(line, "claims", name), "utf8")) === evaluation) return Number(name);
			}
			const next = Number(names.at(-1) ?? 0) + 1;
			// Another process may take the number first, perhaps for the same evaluation: then look again.
			if (await createFile(path.join(line, "claims", padded(next)), evaluation)) return next;
		}
	}

	return {
		async lines() {
			const names = (await namesIn(root)).filter((name) => NAME.test(name)).sort();
			// By their names alone: a record that can't be read is told where its own line is asked for.
			const held = await Promise.all(
				names.map(async (name) => (await namesIn(lineOf(name))).some((version) => VERSION.test(version))),
			);
			return names.filter((_, place) => held[place]);
		},

		async current(model) {
			const { versions, approvals } = await history(model);
			const last = approvals.at(-1);
			return versions.find(({ entry }) => entry.version === last?.version) ?? null;
		},

		async register(entry, files) {
			const line = lineOf(entry.model);
			await makeFolder(line);
			const version = await claim(line, entry.evaluation);
			const place = path.join(line, `v${padded(version)}`);
			const known = (await versions(entry.model)).find((other) => other.entry.version === version);
			if (known) return known;
			const beside = path.join(line, `.tmp-${padded(version)}-${randomUUID()}`);
			try {
				await copyFolder(files.model, entry.manifest, path.join(beside, "model"));
				await copyFolder(files.evaluation, entry.evaluation_manifest, path.join(beside, "evaluation"));
				const document: Entry = { ...entry, version };
				await createFile(path.join(beside, "entry.json"), documentText(document));
				await syncFolders(beside);
				// A folder is renamed onto a name that is free, or not at all: the entry is whole from its first instant.
				await rename(beside, place);
				await syncFolder(line);
				return { entry: document, location: path.join(place, "model") };
			} catch (error) {
				// Another process was quicker, and may have removed this one's copy.
				const winner = (await versions(entry.model)).find((other) => other.entry.version === version);
				if (!winner) throw error;
				return winner;
			} finally {
				await discardCopies(line, version, beside);
			}
		},

		async note(model, evaluation, manifest) {
			if (!NAME.test(evaluation))
				throw new InvalidInput(`${JSON.stringify(evaluation)} can't be the name of an evaluation.`);
			const file = path.join(lineOf(model), "evaluations", evaluation);
			return (await createFile(file, manifest)) ? manifest : await readFile(file, "utf8");
		},

		async noted(model, evaluation) {
			const known = (await versions(model)).find(({ entry }) => entry.evaluation === evaluation);
			if (known) return known.entry.evaluation_manifest;
			if (!NAME.test(evaluation)) return null;
			const note = readFile(path.join(lineOf(model), "evaluations", evaluation), "utf8");
			return note.catch((error: NodeJS.ErrnoException) => {
				if (error.code === "ENOENT") return null;
				throw error;
			});
		},

		async approve(model, approval) {
			const { versions, approvals } = await readLine(model);
			const last = approvals.at(-1);
			if (last && last.approval.version === approval.version) return approvalOf(last);
			if ((last?.approval.version ?? null) !== approval.replaced)
				throw new InvalidInput(moved(model, approval, last?.approval));
			const own = versions.find(({ entry }) => entry.version === approval.version);
			if (!own) throw new InvalidInput(`${model} has no version ${approval.version}: it can't be approved.`);
			if (own.entry.manifest !== approval.manifest)
				throw new InvalidInput(
					`${own.file}: found the manifest ${own.entry.manifest}; ${approval.manifest} was judged.`,
				);
			await verify(own);
			const record = { schema: 1 as const, ...approval, entry: own.digest, previous: last?.digest ?? null };
			const file = path.join(lineOf(model), "approvals", `${padded(approvals.length + 1)}.json`);
			if (await createFile(file, documentText(record))) return approval;
			const winner = (await history(model)).approvals.at(-1);
			if (winner?.version === approval.version) return winner;
			throw new InvalidInput(moved(model, approval, winner));
		},

		verify,
		history,
	};
}

function approvalOf({ approval: { schema: _, entry: __, previous: ___, ...approval } }: Recorded): Approval {
	return approval;
}

/** The files of a version must be those that its entry names. */
async function verify({ entry, location }: Version): Promise<void> {
	await verifyFolder(location, entry.manifest);
	await verifyFolder(path.join(path.dirname(location), "evaluation"), entry.evaluation_manifest);
}

function moved(model: string, { version, replaced }: Approval, last: Approval | undefined): string {
	const judged = replaced === null ? "no production model" : `version ${replaced}`;
	return `Production of ${model} is version ${last?.version ?? "none"} now, but version ${version} was judged against ${judged}: judge it again.`;
}

function padded(number: number): string {
	return String(number).padStart(6, "0");
}

async function namesIn(folder: string): Promise<string[]> {
	return readdir(folder).catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return [];
		throw error;
	});
}

/** Removes copies of a version that were never finished: this call's own, and once the version is there those of calls that were killed. */
async function discardCopies(line: string, version: number, own: string): Promise<void> {
	const isThere = (await namesIn(line)).includes(`v${padded(version)}`);
	const names = (await namesIn(line)).filter((name) => name.startsWith(`.tmp-${padded(version)}-`));
	for (const name of names) {
		const copy = path.join(line, name);
		if (isThere || copy === own) await rm(copy, { recursive: true, force: true });
	}
}

/** Brings names to the disk before the name that vouches for them; the files were synced when they were written. */
async function syncFolders(folder: string): Promise<void> {
	for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
		if (entry.isDirectory()) await syncFolder(path.join(entry.parentPath, entry.name));
	await syncFolder(folder);
}
