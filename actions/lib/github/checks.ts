// What is true of an experiment becomes the check run of its name on a commit, with annotations on the author's lines.
import { sha256 } from "../documents.ts";
import { plainLine, plainText } from "../text/plain.ts";
import { type Client, call, converge, same } from "./connect.ts";
import type { CheckRun, GitHub } from "./objects.ts";
import { readPages } from "./requests.ts";

/** Annotations that GitHub takes in a request; those of later requests are added. */
const BATCH = 50;
/** More than a reader scrolls through, and four requests. */
const MOST = 200;
/** Looks at runs that others write meanwhile. */
const ROUNDS = 5;

/** GitHub refuses a longer title of an annotation, and a message of more than 64 KB. */
const MAX_TITLE = 255;
const MAX_MESSAGE = 8_000;

/** What a check run says. */
type Said = Pick<CheckRun, "status" | "conclusion" | "title" | "summary">;

/** A check run as GitHub has it. */
interface Run extends Said {
	id: number;
	name: string;
	/** How many annotations it has, and by their digest which. */
	annotations: number;
	digest: string;
}

export function checks(client: Client): Pick<GitHub, "upsertCheckRun" | "checkRuns" | "checkSummaries"> {
	const { octokit, place, author, limits, forAll } = client;

	/** Our check runs on a commit, the last made first. */
	async function ours(sha: string, name?: string): Promise<Run[]> {
		const named = name === undefined ? {} : { check_name: name };
		// All of them, for what is the latest GitHub counts by when it ended, and only some servers for each app by itself.
		const found = await call("list check runs", () =>
			readPages(
				octokit.paginate.iterator(octokit.rest.checks.listForRef, {
					...place,
					...named,
					ref: sha,
					filter: "all",
					per_page: 100,
				}),
				limits,
			),
		);
		// Another app may use the name, and its runs are not ours to change; only some servers say whose a run is.
		return found
			.filter((run) => !run.app?.slug || `${run.app.slug}[bot]` === author)
			.map(toRun)
			.sort((a, b) => b.id - a.id);
	}

	/** The check runs of the name: the last made first, which is the one that GitHub shows. */
	async function runsOf({ name, sha }: Pick<CheckRun, "name" | "sha">): Promise<Run[]> {
		return (await ours(sha, name)).filter((run) => run.name === name);
	}

	/**
	 * Jobs that raced have each made a run, and GitHub deletes none: what is still open says what the last made says, and ends
	 * as it does. It isn't ended as neutral, for GitHub lets a neutral check be merged. True where one said otherwise.
	 */
	async function alignTwins(wanted: Wanted, known?: Run[]): Promise<boolean> {
		let aligned = false;
		for (let round = 1, runs = known; round <= ROUNDS; round += 1, runs = undefined) {
			const [last, ...older] = runs ?? (await runsOf(wanted));
			const open = last ? older.filter((run) => run.status !== "completed" && !shows(run, last)) : [];
			if (!last || open.length === 0) return aligned;
			const content = contentOf(last, []);
			for (const { id } of open)
				await call("update check run", () => octokit.rest.checks.update({ ...place, check_run_id: id, ...content }));
			aligned = true;
		}
		return aligned;
	}

	async function start(wanted: Wanted, before: number): Promise<Run> {
		const { name, sha, annotations } = wanted;
		return converge(
			client,
			"create check run",
			async () => {
				const { data } = await octokit.rest.checks.create({
					...place,
					name,
					head_sha: sha,
					...contentOf(wanted, annotations.slice(0, BATCH)),
				});
				return { ...toRun(data), annotations: Math.min(annotations.length, BATCH) };
			},
			async () => {
				const [found] = await runsOf(wanted);
				return found && found.id > before && isAt(found, wanted) ? found : null;
			},
		);
	}

	/** Sends what a run shows with its next annotations; returns how many it has then. */
	async function append({ id }: Run, wanted: Wanted, have: number): Promise<number> {
		const batch = wanted.annotations.slice(have, have + BATCH);
		// Sent again they would be there twice: another look tells whether they are.
		const request = batch.length > 0 ? { retries: 0 } : {};
		return converge(
			client,
			"update check run",
			async () => {
				await octokit.rest.checks.update({ ...place, check_run_id: id, ...contentOf(wanted, batch), request });
				return have + batch.length;
			},
			async () => {
				const found = (await runsOf(wanted)).find((run) => run.id === id);
				return batch.length > 0 && found && found.annotations >= have + batch.length ? found.annotations : null;
			},
		);
	}

	return {
		async upsertCheckRun(check) {
			const wanted = toWanted(check, forAll);
			const before = await runsOf(wanted);
			const [found] = before;
			// GitHub never takes back that a run is completed, nor an annotation: what a job that runs again on the same
			// commit has to say needs a new run.
			const over =
				found &&
				((found.status === "completed" && !isAt(found, wanted)) ||
					(found.annotations > 0 && found.digest !== wanted.digest));
			const made = !found || over;
			const run = made ? await start(wanted, found?.id ?? 0) : found;
			const total = wanted.annotations.length;
			if (!made && run.annotations >= total && shows(run, wanted))
				return (await alignTwins(wanted, before)) ? "updated" : "unchanged";
			let have = run.annotations;
			if (!made) have = await append(run, wanted, have);
			while (have < total) have = await append(run, wanted, have);
			await alignTwins(wanted);
			return found ? "updated" : "created";
		},

		checkSummaries: async (sha, name) => (await runsOf({ sha, name })).map(({ summary }) => summary),

		async checkRuns(sha) {
			const first = new Map<string, Run>();
			for (const run of await ours(sha)) if (!first.has(run.name)) first.set(run.name, run);
			return [...first.values()].map(({ name, status, conclusion, title }) => ({ name, status, conclusion, title }));
		},
	};
}

interface Wanted extends CheckRun {
	annotations: NonNullable<CheckRun["annotations"]>;
	digest: string;
}

/** A check with no annotation twice, and no more of them than are shown. */
function toWanted(check: CheckRun, forAll: Client["forAll"]): Wanted {
	const shown = (check.annotations ?? []).map((one) => ({
		...one,
		title: forAll(one.title),
		message: forAll(one.message),
	}));
	const all = [...new Map(shown.map((one) => [JSON.stringify(one), one])).values()];
	const left = all.length - MOST + (check.more ?? 0);
	const more = left > 0 ? `\n\nAnnotations: the first ${MOST} are shown, ${left} more are left out.\n` : "";
	return {
		...check,
		title: plainLine(forAll(check.title), MAX_TITLE),
		summary: forAll(check.summary) + more,
		annotations: all.slice(0, MOST),
		digest: all.length > 0 ? sha256(JSON.stringify(check.more ? [all, check.more] : all)) : "",
	};
}

function contentOf(
	{ status, conclusion, title, summary, digest }: Said & { digest: string },
	annotations: Wanted["annotations"],
) {
	const shown = annotations.map(({ path, line, level, title, message }) => ({
		path: plainLine(path),
		start_line: line,
		end_line: line,
		annotation_level: level,
		title: plainLine(title, MAX_TITLE),
		message: plainText(message).slice(0, MAX_MESSAGE),
	}));
	return {
		...(conclusion ? { status: "completed" as const, conclusion } : { status }),
		...(digest ? { external_id: digest } : {}),
		output: { title, summary, ...(shown.length > 0 ? { annotations: shown } : {}) },
	};
}

interface Shown {
	id: number;
	name: string;
	status: string;
	conclusion: string | null;
	external_id: string | null;
	output: { title: string | null; summary: string | null; annotations_count: number };
}

function toRun({ id, name, status, conclusion, external_id, output }: Shown): Run {
	return {
		id,
		name,
		// As it was given: we ask for our own runs alone.
		status: status as Run["status"],
		conclusion: (conclusion ?? null) as Run["conclusion"],
		title: output.title ?? "",
		summary: output.summary ?? "",
		annotations: output.annotations_count ?? 0,
		digest: external_id ?? "",
	};
}

function isAt(found: Said, { status, conclusion }: Said): boolean {
	return found.status === status && found.conclusion === conclusion;
}

function shows(found: Said, wanted: Said): boolean {
	return isAt(found, wanted) && found.title === wanted.title && same(found.summary, wanted.summary);
}
