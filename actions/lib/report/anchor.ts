// The first report of an evaluation becomes a note in the registry, which each later one is compared with: the store alone vouches for nothing.
import { InvalidInput } from "../errors.ts";
import type { Report } from "../generated/documents.d.ts";
import type { Registry } from "../plan/registry.ts";

/** Throws InvalidInput where another evaluation was reported under this one's name before, passed or failed. Safe to repeat. */
export async function noteMeasured({ experiment, evaluation, evidence }: Report, registry: Registry): Promise<void> {
	const found = evidence.evaluation;
	// Of an earlier version, which can't be promoted.
	if (found === undefined) return;
	const noted = await registry.note(experiment.model, evaluation, found);
	if (noted === found) return;
	throw new InvalidInput(
		`${evaluation} isn't what was reported first. Its manifest in the store is ${found}; the registry has noted ${noted}. Bring back what was measured first, or change the experiment or its seed and train again.`,
	);
}
