// A pin becomes the folder that it stands for, fetched with DVC where it is not there yet.
import { mkdtemp, rename, rm } from "node:fs/promises";
import path from "node:path";
import { sha256, shortDigest } from "../documents.ts";
import { InvalidFile, InvalidInput, ServiceError } from "../errors.ts";
import type { Loaded } from "../experiment/files.ts";
import { exists, makeFolder } from "../files.ts";
import type { Data, PlanSource } from "../generated/documents.d.ts";
import { MINUTES, networkEnvironment, runCommand } from "../process.ts";
import type { State } from "../state.ts";
import { problemAt } from "../text/problems.ts";
import { type Trainer, trainerEnvironment } from "../trainer/trainer.ts";
import { insideOfPin } from "./dvc_files.ts";
import { type DvcRecipe, type Note, readNote, repositoryPlace, writeNote } from "./dvc_pin.ts";

export interface Fetching {
	root: string;
	state: State;
	/** The folder that is to hold the data. */
	location: string;
	data: Loaded<Data>;
	source: PlanSource;
}

/** Fetches the data where they aren't there for their pin, whole or not at all. Safe to repeat, and beside others that do the same. */
export async function fetchPinned(
	fetching: Fetching,
	trainer: Trainer,
	onFetch: () => void,
): Promise<"there" | "fetched"> {
	const { root, state, location, data, source } = fetching;
	const there = await exists(location);
	if (there && (await recordFor(fetching))) return "there";
	const remote = (data.value.dvc as DvcRecipe).remote;
	const options = remote === undefined ? [] : ["--remote", remote];
	if (isTrackedHere(state, source)) {
		onFetch();
		await runDvc(root, trainer, data, ["pull", ...options, source.path]);
		if (!(await exists(location)))
			throw new ServiceError("dvc", `dvc pull ${source.path} succeeded, but ${location} isn't there.`);
		await writeNote(recordOf(state, location, true), { source, version: null });
		return "fetched";
	}
	if (there) throw new InvalidInput(`${location} is there, but DVC didn't fetch it: delete it to have it fetched.`);
	onFetch();
	await makeFolder(path.dirname(location));
	const beside = await mkdtemp(`${location}.fetch-`);
	try {
		const whole = path.join(beside, "new");
		const from = source.repository === null ? [root, folderOf(source)] : revisionOf(root, source);
		await runDvc(root, trainer, data, ["get", ...options, ...from, "--out", whole]);
		await writeNote(recordOf(state, whole, false), { source, version: null });
		await rename(whole, location).catch(async (error: unknown) => {
			// Another plan was faster.
			if (!(await recordFor(fetching))) throw error;
		});
	} finally {
		await rm(beside, { recursive: true, force: true });
	}
	return "fetched";
}

/** Whether the data are there for their pin and their digest is known, without a look at them and without DVC. */
export async function isFetched(fetching: Fetching): Promise<boolean> {
	return (await exists(fetching.location)) && typeof (await recordFor(fetching))?.version === "string";
}

/** What was noted of the data when they were fetched for this pin; null where they weren't. */
async function recordFor({ state, location, source }: Fetching): Promise<Note | null> {
	const record = await readNote(recordOf(state, location, isTrackedHere(state, source)));
	return record?.source.md5 === source.md5 ? record : null;
}

/** Notes the dataset's digest when it was just fetched; throws InvalidInput where the folder was changed since. */
export async function sealPinned({ state, location, source }: Fetching, version: string): Promise<void> {
	const record = recordOf(state, location, isTrackedHere(state, source));
	const fetched = await readNote(record);
	if (!fetched || fetched.version === version) return;
	if (fetched.version === null) return writeNote(record, { ...fetched, version });
	const mend = isTrackedHere(state, source)
		? `\`dvc checkout --force ${source.path}\` undoes it, \`dvc commit\` keeps it`
		: "delete it to fetch it again";
	throw new InvalidInput(
		`${location} doesn't match DVC's pin ${source.md5}: it was changed after it was fetched; ${mend}.`,
	);
}

// DVC would call a file of ours inside a folder that it tracks a change; a folder that is only fetched has it inside, so that both come as one.
function recordOf(state: State, location: string, isTracked: boolean): string {
	if (!isTracked) return path.join(location, ".dvc-pin.json");
	const digest = shortDigest(sha256(location));
	return path.join(state.folder, "dvc", `${digest}.json`);
}

/** Whether the data lie where DVC tracks them, in the checkout. */
export function isTrackedHere(state: State, { repository }: PlanSource): boolean {
	return repository === null && state.isInside;
}

/** What a .dvc file tracks, or what of it the recipe takes. */
function folderOf({ path: file, md5 }: PlanSource): string {
	return path.posix.join(file.replace(/\.dvc$/, ""), insideOfPin(md5));
}

function revisionOf(root: string, { repository, path: tracked, commit }: PlanSource): string[] {
	return [repositoryPlace(root, repository!), tracked, "--rev", commit!];
}

/** What DVC may see of this process's environment: what the trainer sees, and the credentials of its S3 remotes. */
function dvcEnvironment(trainer: Trainer): Record<string, string> {
	const { PYTHONPATH: _, ...passed } = trainerEnvironment(trainer, 1);
	const credentials = Object.entries(process.env).filter(
		([name, value]) => value !== undefined && (name.startsWith("AWS_") || name === "SSH_AUTH_SOCK"),
	);
	return {
		...passed,
		...networkEnvironment(),
		...Object.fromEntries(credentials),
		// A repository may have a folder of the name dvc, which is no program of ours.
		PYTHONSAFEPATH: "1",
		DVC_NO_ANALYTICS: "1",
		GIT_TERMINAL_PROMPT: "0",
	};
}

async function runDvc(root: string, trainer: Trainer, data: Loaded<Data>, args: readonly string[]): Promise<void> {
	const ended = await runCommand(trainer.python, ["-m", "dvc", ...args], {
		cwd: root,
		env: dvcEnvironment(trainer),
		minutes: MINUTES.data,
	});
	if (ended.code === 0) return;
	if (/No module named '?dvc\b/.test(ended.errors)) {
		const python = shortest(root, trainer.python);
		const locked = shortest(root, path.join(trainer.folder, "requirements-dvc.txt"));
		throw new InvalidInput(
			`${data.source.file} gets its data from DVC, which isn't installed. To install it: ${python} -m pip install --no-deps --require-hashes -r ${locked}`,
		);
	}
	const reason = dvcReason(ended.errors);
	const { remote } = data.value.dvc as DvcRecipe;
	if (remote !== undefined && reason.includes(`remote '${remote}' doesn't exist`))
		throw new InvalidFile([
			problemAt(
				data.source,
				"/dvc/remote",
				`dvc.remote: found ${remote}; the repository has no DVC remote of that name`,
			),
		]);
	const from = remote === undefined ? "" : ` from the remote ${remote}`;
	throw new ServiceError("dvc", `${data.source.file}: DVC can't fetch the data${from}: ${reason}`, ended.errors);
}

/** A place as it is typed in a folder. */
function shortest(folder: string, place: string): string {
	const inside = path.relative(folder, place);
	return inside.startsWith("..") ? place : inside;
}

/** The sentence of DVC's own that says why. */
function dvcReason(said: string): string {
	const lines = said
		.split("\n")
		.map((line) => line.trim())
		.filter((line) => line !== "" && !line.startsWith("Having any troubles"));
	const found = lines.findLast((line) => line.startsWith("ERROR:")) ?? lines.at(-1) ?? "it printed nothing";
	return found.replace(/^ERROR: (unexpected error - )?/, "");
}
