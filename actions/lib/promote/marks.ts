// What was settled leaves its mark in the store, where it can always be left: GitHub refuses a tag on a commit whose workflows aren't the default branch's.
import { documentText } from "../documents.ts";
import { ServiceError } from "../errors.ts";
import type { GitHub } from "../github/objects.ts";
import type { Store } from "../plan/store.ts";

interface Ports {
	github: Pick<GitHub, "tagged" | "createTag">;
	store: Pick<Store, "get" | "put" | "list">;
}

/** The tag of a version; its model may become production again, and then `.2` and so on follow. */
function versionTag(model: string, version: number): string {
	return `model/${model}/v${version}`;
}

/** What is known of a tag and those that follow it by number: the commits that they are at, in their order, and the first name that is free. */
export async function findInSeries(
	name: string,
	github: Pick<GitHub, "tagged">,
): Promise<{ commits: string[]; free: string }> {
	const commits: string[] = [];
	for (let number = 1; ; number += 1) {
		const free = number === 1 ? name : `${name}.${number}`;
		const at = await github.tagged(free);
		if (at === null) return { commits, free };
		commits.push(at);
	}
}

/** The commits that have made a version production, oldest first, by its tags and marks; those that have a mark; and the next free name of a tag. */
export async function findPromotions(
	model: string,
	version: number,
	{ github, store }: Ports,
): Promise<{ commits: string[]; marked: string[]; free: string }> {
	const { commits: tagged, free } = await findInSeries(versionTag(model, version), github);
	const folder = promotionFolder(model, version);
	const marks = (await store.list(folder)).map((key) => /(\d+)-([0-9a-f]+)\.json$/.exec(key.slice(folder.length)));
	const marked = marks
		.flatMap((found) => (found ? [{ time: Number(found[1]), commit: found[2]! }] : []))
		.sort((a, b) => a.time - b.time)
		.map(({ commit }) => commit);
	// A tag without a mark is from before there were marks, or of a run that was stopped between the two; a mark without a tag
	// comes after those that were left before it.
	const commits = [...tagged];
	for (const [place, commit] of marked.entries()) {
		if (commits.includes(commit)) continue;
		const before =
			place > 0 ? commits.indexOf(marked[place - 1]!) : commits.findLastIndex((one) => !marked.includes(one));
		commits.splice(before + 1, 0, commit);
	}
	return { commits, marked, free };
}

function promotionFolder(model: string, version: number): string {
	return `settled/${model}/v${version}/`;
}

/** Where the mark of a promotion lies: by the time of its approval and the commit that brought it. */
export function promotionKey(model: string, version: number, approvedAt: string, commit: string): string {
	return `${promotionFolder(model, version)}${momentOf(approvedAt)}-${commit}.json`;
}

/** Where the mark of production that went back lies. */
export function rollbackKey(model: string, version: number, moment: string): string {
	return `settled/${model}/rollbacks/v${version}-${moment}.json`;
}

/** Leaves a mark; to leave it again changes nothing. */
export async function leaveMark(key: string, commit: string, { store }: Pick<Ports, "store">): Promise<void> {
	await store.put(key, documentText({ commit }));
}

/** Digits of a moment, by which marks and tags are told apart. */
export function momentOf(time: string): string {
	return time.replaceAll(/[^0-9]/g, "");
}

/** Tags a commit, or tells why GitHub refuses that: the mark counts, and a person may tag it. */
export async function tagOrTell(
	name: string,
	commit: string,
	{ github, tell }: { github: Ports["github"]; tell: (line: string) => void },
): Promise<void> {
	try {
		await github.createTag(name, commit);
	} catch (error) {
		if (!(error instanceof ServiceError && (error.status === 403 || error.status === 422))) throw error;
		tell(`The tag ${name} on ${commit} is missing: ${error.message} Somebody with write access can push it.`);
	}
}
