// The labels that are true of a pull request become those that it has, and nobody else's are touched.
import { ServiceError } from "../errors.ts";
import { type Client, call, converge, orNull, repeatable } from "./connect.ts";
import type { GitHub, Label } from "./objects.ts";
import { readPages } from "./requests.ts";

/** How GitHub refuses a label: for want of the right, where issues are switched off, or by a rule of the organisation's. */
const REFUSALS = [403, 404, 410, 422];

export function labels(client: Client): Pick<GitHub, "setLabels"> {
	const { octokit, place, limits } = client;

	return {
		async setLabels(pullRequest, wanted, own) {
			const at = { ...place, issue_number: pullRequest };
			const shown = await call("list labels", () =>
				readPages(octokit.paginate.iterator(octokit.rest.issues.listLabelsOnIssue, { ...at, per_page: 100 }), limits),
			);
			const { missing, over } = labelChanges(
				shown.map(({ name }) => name),
				wanted,
				own,
			);
			const added = await addLabels(client, pullRequest, missing);
			for (const name of over)
				await call("remove a label", () => orNull(octokit.rest.issues.removeLabel({ ...at, name })));
			return added || over.length > 0 ? "updated" : "unchanged";
		},
	};
}

/** Gives an issue or a pull request labels, and whether it has got any; those that may not be made are told, and stop nothing. */
export async function addLabels(client: Client, number: number, labels: readonly Label[]): Promise<boolean> {
	const { octokit, place } = client;
	const there: string[] = [];
	for (const label of labels)
		if (await isAllowed(client, [label.name], () => ensure(client, label))) there.push(label.name);
	const asked = { ...place, issue_number: number, labels: there };
	const add = () => call("add labels", () => octokit.rest.issues.addLabels({ ...asked, ...repeatable }));
	return there.length > 0 && isAllowed(client, there, add);
}

/** Makes a label that the repository hasn't; one that it has keeps the colour that somebody gave it. */
async function ensure(client: Client, { name, color, description }: Label): Promise<void> {
	const { octokit, place } = client;
	const look = () => call("look for a label", () => orNull(octokit.rest.issues.getLabel({ ...place, name })));
	if (await look()) return;
	const make = () => octokit.rest.issues.createLabel({ ...place, name, color, description });
	await converge<unknown>(client, "create label", make, look);
}

/** Does what labels ask for; false where GitHub refuses it, which is told: nothing depends on a label. */
async function isAllowed({ warn }: Client, names: readonly string[], act: () => Promise<unknown>): Promise<boolean> {
	try {
		await act();
		return true;
	} catch (error) {
		if (!(error instanceof ServiceError && REFUSALS.includes(error.status ?? 0))) throw error;
		warn(`Without the label ${names.join(", ")}: ${error.message}`);
		return false;
	}
}

/** What of the wanted labels is missing where these are, and which of these that are ours are over. */
export function labelChanges(
	shown: readonly string[],
	wanted: readonly Label[],
	own: (name: string) => boolean,
): { missing: Label[]; over: string[] } {
	// GitHub takes names that differ in capitals alone for one.
	const names = new Set(shown.map((name) => name.toLowerCase()));
	const kept = new Set(wanted.map(({ name }) => name.toLowerCase()));
	return {
		missing: wanted.filter(({ name }) => !names.has(name.toLowerCase())),
		over: shown.filter((name) => own(name) && !kept.has(name.toLowerCase())),
	};
}
