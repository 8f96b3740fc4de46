// A folder keeps the versions of each line of models: v000001/ whole or absent, approvals/000001.json one after the other.
import { randomUUID } from "node:crypto";
import { cp, mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { documentText, parseDocument } from "../documents.ts";
import { InvalidInput, ServiceError } from "../errors.ts";
import { createFile } from "../files.ts";
import type { Entry } from "../generated/documents.d.ts";
import type { Approval, Registry, Version } from "../plan/registry.ts";

const NAME = /^[a-z0-9]+(-[a-z0-9]+)*$/;

/** A registry in a folder of this machine. */
export function folder(root: string): Registry {
	const lineOf = (model: string) => {
		if (!NAME.test(model)) throw new InvalidInput(`${JSON.stringify(model)} can't be the name of a line of models.`);
		return path.join(root, model);
	};

	async function versions(model: string): Promise<Version[]> {
		const line = lineOf(model);
		const found = (await namesIn(line)).filter((name) => /^v\d{6}$/.test(name)).sort();
		return Promise.all(
			found.map(async (name) => {
				const file = path.join(line, name, "entry.json");
				return {
					entry: await parseDocument("entry", await readFile(file), file),
					location: path.join(line, name, "model"),
				};
			}),
		);
	}

	async function approvals(model: string): Promise<Approval[]> {
		const folder = path.join(lineOf(model), "approvals");
		const found = (await namesIn(folder)).filter((name) => /^\d{6}\.json$/.test(name)).sort();
		return Promise.all(
			found.map(async (name) => JSON.parse(await readFile(path.join(folder, name), "utf8")) as Approval),
		);
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
			const held = await Promise.all(names.map(async (name) => (await versions(name)).length > 0));
			return names.filter((_, place) => held[place]);
		},

		async current(model) {
			const last = (await approvals(model)).at(-1);
			if (!last) return null;
			const found = (await versions(model)).find(({ entry }) => entry.version === last.version);
			if (!found)
				throw new ServiceError("registry", `Version ${last.version} of ${model} is approved, but its folder is gone.`);
			return found;
		},

		async register(entry, files) {
			const line = lineOf(entry.model);
			await mkdir(line, { recursive: true });
			const version = await claim(line, entry.evaluation);
			const place = path.join(line, `v${padded(version)}`);
			const known = (await versions(entry.model)).find((other) => other.entry.version === version);
			if (known) return known;
			const beside = path.join(line, `.tmp-${randomUUID()}`);
			try {
				for (const [name, source] of Object.entries(files))
					await cp(source, path.join(beside, name), { recursive: true });
				const document: Entry = { ...entry, version };
				await writeFile(path.join(beside, "entry.json"), documentText(document));
				await syncTree(beside);
				// A folder is renamed onto a name that is free, or not at all: the entry is whole from its first instant.
				await rename(beside, place);
				return { entry: document, location: path.join(place, "model") };
			} catch (error) {
				const code = (error as NodeJS.ErrnoException).code;
				if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
				return (await versions(entry.model)).find((other) => other.entry.version === version)!;
			} finally {
				await rm(beside, { recursive: true, force: true });
			}
		},

		async approve(model, approval) {
			const before = await approvals(model);
			const last = before.at(-1);
			if (last && last.version === approval.version) return last;
			if ((last?.version ?? null) !== approval.replaced) throw new InvalidInput(moved(model, approval, last));
			if (!(await versions(model)).some(({ entry }) => entry.version === approval.version)) {
				throw new InvalidInput(`${model} has no version ${approval.version}: it can't be approved.`);
			}
			const file = path.join(lineOf(model), "approvals", `${padded(before.length + 1)}.json`);
			if (await createFile(file, documentText(approval))) return approval;
			const winner = (await approvals(model)).at(-1);
			if (winner?.version === approval.version) return winner;
			throw new InvalidInput(moved(model, approval, winner));
		},

		async history(model) {
			return { versions: await versions(model), approvals: await approvals(model) };
		},
	};
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

/** Brings files to the disk before the name that vouches for them. */
async function syncTree(folder: string): Promise<void> {
	for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
		if (!entry.isFile()) continue;
		const handle = await open(path.join(entry.parentPath, entry.name), "r");
		await handle.sync();
		await handle.close();
	}
}
