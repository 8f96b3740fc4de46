// The promotions that are recorded in reports/ become a registry that can be read: what production is, without access to the registry itself.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { readDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { Entry, Promotion } from "../generated/documents.d.ts";
import type { Registry } from "../plan/registry.ts";

/** One promotion whose record was merged. */
interface Recorded {
	entry: Entry;
	promotion: Promotion;
}

/** A registry that knows the versions whose records were merged, and takes no new one; `warn` is told which record can't be read, for one odd report keeps no plan. */
export function recorded(root: string, warn: (message: string) => void): Registry {
	const reports = path.join(root, "reports");
	let read: Promise<Recorded[]> | undefined;

	/** Promotions with their entries, in the order in which they became production; read once. */
	async function readAll(): Promise<Recorded[]> {
		const names = (await readdir(reports).catch(() => [])).sort();
		const found: Recorded[] = [];
		for (const name of names) {
			try {
				const record = await readRecord(path.join(reports, name));
				if (record) found.push(record);
			} catch (error) {
				if (!(error instanceof InvalidInput)) throw error;
				warn(`${error.message} This plan doesn't compare with its version.`);
			}
		}
		// Times of one form compare as their text does.
		return found.sort((a, b) => (a.promotion.approved_at! < b.promotion.approved_at! ? -1 : 1));
	}

	const records = () => {
		read ??= readAll();
		return read;
	};

	const refuse = async () => {
		throw new InvalidInput("The promotions in reports/ are read-only: only the registry itself can be changed.");
	};

	async function history(model: string) {
		const own = (await records()).filter(({ entry }) => entry.model === model);
		return {
			versions: own
				.map(({ entry, promotion }) => ({ entry, location: promotion.location }))
				.sort((a, b) => a.entry.version - b.entry.version),
			approvals: own.map(({ promotion: { version, replaced, manifest, verdict, approved_by, approved_at } }) => ({
				version,
				// What it replaced may have been recorded under a name that a later version has taken since.
				replaced: own.some(({ entry }) => entry.version === replaced) ? replaced : null,
				manifest,
				verdict,
				approved_by: approved_by ?? "",
				approved_at: approved_at ?? "",
			})),
		};
	}

	const noted = async (model: string, evaluation: string) =>
		(await history(model)).versions.find(({ entry }) => entry.evaluation === evaluation)?.entry.evaluation_manifest ??
		null;

	return {
		async lines() {
			return [...new Set((await records()).map(({ entry }) => entry.model))].sort();
		},

		async current(model) {
			const { versions, approvals } = await history(model);
			const last = approvals.at(-1);
			return versions.find(({ entry }) => entry.version === last?.version) ?? null;
		},
		register: refuse,
		async note(model, evaluation, manifest) {
			return (await noted(model, evaluation)) ?? manifest;
		},
		noted,
		approve: refuse,
		// The files lie where this can't see them; the job that reads them checks each by its digest.
		async verify() {},
		history,
	};
}

/** What a folder of reports/ tells of a promotion; null where nothing was promoted. Throws InvalidInput where it can't be taken. */
async function readRecord(folder: string): Promise<Recorded | null> {
	const [entryFile, promotionFile] = ["entry", "promotion"].map((kind) => path.join(folder, `${kind}.json`));
	if (!existsSync(entryFile!) || !existsSync(promotionFile!)) return null;
	const entry = await readDocument("entry", entryFile!);
	const promotion = await readDocument("promotion", promotionFile!);
	if (entry.model !== promotion.model || entry.version !== promotion.version)
		throw new InvalidInput(
			`${promotionFile} is for ${promotion.model} v${promotion.version}, but the entry beside it is for ${entry.model} v${entry.version}.`,
		);
	return promotion.approved_at === null ? null : { entry, promotion };
}
