// The labels that are true of a pull request become those that it has, and nobody else's are touched.
import { type Client, call, converge, orNull, repeatable } from "./connect.ts";
import type { GitHub, Label } from "./objects.ts";
import { readPages } from "./requests.ts";

export function labels(client: Client): Pick<GitHub, "setLabels"> {
	const { octokit, place, limits } = client;

	/** Makes a label that the repository hasn't; one that it has keeps the colour that somebody gave it. */
	async function ensure({ name, color, description }: Label): Promise<void> {
		const look = () => call("look for a label", () => orNull(octokit.rest.issues.getLabel({ ...place, name })));
		if (await look()) return;
		await converge<unknown>(
			client,
			"create label",
			() => octokit.rest.issues.createLabel({ ...place, name, color, description }),
			look,
		);
	}

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
			for (const label of missing) await ensure(label);
			if (missing.length > 0)
				await call("add labels", () =>
					octokit.rest.issues.addLabels({ ...at, labels: missing.map(({ name }) => name), ...repeatable }),
				);
			for (const name of over)
				await call("remove a label", () => orNull(octokit.rest.issues.removeLabel({ ...at, name })));
			return missing.length + over.length > 0 ? "updated" : "unchanged";
		},
	};
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
