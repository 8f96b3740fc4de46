// The promotions that are recorded in reports/ become a registry that can be read: what production is, without access to the registry itself.
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { readDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import type { Entry, Promotion } from "../generated/documents.d.ts";
import type { Registry } from "../plan.ts";

/** A registry that knows the versions whose records were merged, and takes no new one. */
export function recorded(root: string): Registry {
	const reports = path.join(root, "reports");

	/** Promotions with their entries, in the order in which they became production. */
	async function readAll(): Promise<{ entry: Entry; promotion: Promotion }[]> {
		const names = await readdir(reports).catch(() => []);
		const found: { entry: Entry; promotion: Promotion }[] = [];
		for (const name of names) {
			const [entry, promotion] = ["entry", "promotion"].map((kind) => path.join(reports, name, `${kind}.json`));
			if (!existsSync(entry!) || !existsSync(promotion!)) continue;
			const record = {
				entry: await readDocument("entry", entry!),
				promotion: await readDocument("promotion", promotion!),
			};
			if (record.promotion.approved_at !== null) found.push(record);
		}
		// Times of one form compare as their text does.
		return found.sort((a, b) => (a.promotion.approved_at! < b.promotion.approved_at! ? -1 : 1));
	}

	const refuse = async () => {
		throw new InvalidInput(
			"The promotions in reports/ can be read, not changed: the registry itself is needed for that.",
		);
	};

	async function history(model: string) {
		const records = (await readAll()).filter(({ entry }) => entry.model === model);
		return {
			versions: records
				.map(({ entry, promotion }) => ({ entry, location: promotion.location }))
				.sort((a, b) => a.entry.version - b.entry.version),
			approvals: records.map(({ promotion: { version, replaced, manifest, verdict, approved_by, approved_at } }) => ({
				version,
				// What it replaced may have been recorded under a name that a later version has taken since.
				replaced: records.some(({ entry }) => entry.version === replaced) ? replaced : null,
				manifest,
				verdict,
				approved_by: approved_by ?? "",
				approved_at: approved_at ?? "",
			})),
		};
	}

	return {
		async lines() {
			return [...new Set((await readAll()).map(({ entry }) => entry.model))].sort();
		},

		async current(model) {
			const { versions, approvals } = await history(model);
			const last = approvals.at(-1);
			return versions.find(({ entry }) => entry.version === last?.version) ?? null;
		},
		register: refuse,
		approve: refuse,
		history,
	};
}
