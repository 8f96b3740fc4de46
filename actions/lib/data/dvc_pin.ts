// What a data recipe's `dvc` names becomes a pin: the md5 that DVC gave the data, read by git alone.
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { documentText, sha256 } from "../documents.ts";
import { InvalidFile, ServiceError } from "../errors.ts";
import type { Loaded } from "../experiment/files.ts";
import { readRegular, replaceFile } from "../files.ts";
import type { Data, PlanSource } from "../generated/documents.d.ts";
import { type Ended, networkEnvironment, runCommand } from "../process.ts";
import { notAmong, problemAt } from "../text/problems.ts";
import { insideOf, isPin, parseTracked, pinInside, pinOf } from "./dvc_files.ts";

/** A .dvc file has a few lines. */
const MOST_BYTES = 64 * 1024;
const COMMIT = /^[0-9a-f]{40}$/;

/** A recipe's `dvc`, as its schema lets it through. */
export type DvcRecipe =
	| { file: string; remote?: string }
	| { repository: string; path: string; revision: string; remote?: string };

/** The pin of a recipe's data; throws InvalidFile on the line that is wrong, ServiceError where the repository can't be reached. */
export async function readPinned(root: string, state: string, data: Loaded<Data>): Promise<PlanSource> {
	const dvc = data.value.dvc as DvcRecipe;
	return "file" in dvc ? localPin(root, data, dvc.file) : repositoryPin(root, state, data, dvc);
}

/** The pin of a recipe's data that is known here, as far as no program and no network is needed to know it; null where one is. */
export async function knownPin(root: string, state: string, data: Loaded<Data>): Promise<PlanSource | null> {
	const dvc = data.value.dvc as DvcRecipe;
	if ("file" in dvc) return localPin(root, data, dvc.file);
	const named = { ...dvc, path: trackedPath(dvc.path) };
	const source = (await readNote(noteOf(state, named)))?.source;
	return source && isSame(source, named) ? source : null;
}

/** Notes the pin of another repository's data, so that it is known while nobody may ask that repository. */
export async function notePin(state: string, source: PlanSource): Promise<void> {
	if (source.repository !== null) await writeNote(noteOf(state, source), { source, version: null });
}

/** What is noted of a pin here. */
export interface Note {
	source: PlanSource;
	/** With the data that were fetched for it: their digest, from the first plan on. */
	version: string | null;
}

/** A note that may not be there, or may be damaged: it is null then. */
export async function readNote(file: string): Promise<Note | null> {
	const text = await readFile(file, "utf8").catch(() => null);
	try {
		const note = JSON.parse(text ?? "null") as Note | null;
		return isPin(note?.source?.md5 ?? "") ? note : null;
	} catch {
		return null;
	}
}

export async function writeNote(file: string, note: Note): Promise<void> {
	await replaceFile(file, documentText(note));
}

/** What names a pin in another repository. */
type Named = Record<"repository" | "path" | "revision", string | null>;

function noteOf(state: string, { repository, path: tracked, revision }: Named): string {
	const digest = sha256(JSON.stringify([repository, tracked, revision])).slice("sha256:".length);
	return path.join(state, "dvc", "pins", `${digest}.json`);
}

function isSame(one: Named, other: Named): boolean {
	return one.repository === other.repository && one.path === other.path && one.revision === other.revision;
}

/** A recipe's repository as git and DVC are given it: a folder by its whole path. */
export function repositoryPlace(root: string, repository: string): string {
	return isRemote(repository) ? repository : path.resolve(root, repository);
}

async function localPin(root: string, data: Loaded<Data>, file: string): Promise<PlanSource> {
	const refuse = (pointer: string, message: string) => new InvalidFile([problemAt(data.source, pointer, message)]);
	const inside = path.relative(root, path.resolve(root, file));
	if (inside.startsWith("..") || path.isAbsolute(inside))
		throw refuse("/dvc/file", `${file} leads out of the repository`);
	const bytes = await readRegular(root, inside, MOST_BYTES, file).catch((error: Error) => {
		throw refuse("/dvc/file", error.message);
	});
	const text = bytes.toString("utf8");
	const { folder, md5 } = parseTracked(file, text, path.posix.dirname(inside));
	const taken = insideOf(path.resolve(root, folder), path.resolve(root, data.value.location));
	if (taken === null)
		throw refuse(
			"/location",
			`location: found ${data.value.location}; it must be ${folder}, which ${file} tracks, or a folder inside it`,
		);
	return { repository: null, path: file, revision: null, commit: null, md5: pinInside(md5, taken) };
}

async function repositoryPin(
	root: string,
	state: string,
	data: Loaded<Data>,
	dvc: { repository: string; path: string; revision: string },
): Promise<PlanSource> {
	const refuse = (key: string, message: string) =>
		new InvalidFile([problemAt(data.source, `/dvc/${key}`, `dvc.${key}: ${message}`)]);
	const problem = await checkRepository(root, dvc.repository);
	if (problem !== null) throw refuse("repository", problem);
	const tracked = trackedPath(dvc.path);
	if (/^(\/|-|\.\.?(\/|$))/.test(tracked))
		throw refuse("path", `found ${dvc.path}; it must be a path inside that repository`);

	// A commit never changes; a branch or a tag may, so it is asked for each time.
	const noted = COMMIT.test(dvc.revision) ? await knownPin(root, state, data) : null;
	if (noted) return noted;
	return withClone(repositoryPlace(root, dvc.repository), async (git) => {
		const commit = await fetchRevision(git, dvc, (message) => refuse("revision", message));
		const files = (await git.must(["ls-tree", "-r", "-z", "--name-only", commit])).split("\0");
		const read = (file: string) => git.must(["cat-file", "blob", `${commit}:${file}`]);
		const where = `${dvc.repository} at ${dvc.revision}`;
		const md5 = await pinOf(tracked, { files: new Set(files), read, where });
		if (md5 !== null) return { repository: dvc.repository, path: tracked, revision: dvc.revision, commit, md5 };
		const known = files.filter((file) => file.endsWith(".dvc")).map((file) => file.slice(0, -".dvc".length));
		throw refuse(
			"path",
			`DVC tracks nothing at ${tracked} in ${where}; ${notAmong(tracked, known.slice(0, 20), "tracked")}`,
		);
	});
}

/** A recipe's path as DVC names it. */
function trackedPath(named: string): string {
	return path.posix.normalize(named).replace(/\/$/, "");
}

const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
const URL_OF_OURS = /^(https|ssh):\/\/(?:(?<user>[^@/]*)@)?[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?\//;
const SCP = /^[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:]/;

function isRemote(repository: string): boolean {
	return URL_OF_OURS.test(repository) || SCP.test(repository);
}

/** Why git may not be given this repository; null where it may. */
async function checkRepository(root: string, repository: string): Promise<string | null> {
	const url = URL_OF_OURS.exec(repository);
	// A name is asked for by ssh; what follows it would be a password, and a recipe is read by everybody.
	if (url?.groups?.["user"]?.includes(":") || (repository.startsWith("https:") && url?.groups?.["user"] !== undefined))
		return "it contains a user name or a password, which don't belong in a recipe: remove them and set up a Git credential helper";
	if (isRemote(repository)) return null;
	// Beginning with a hyphen it would be an option; ext:: and its like run a command.
	if (repository.startsWith("-") || repository.includes("::") || SCHEME.test(repository))
		return `found ${JSON.stringify(repository)}; allowed: an https:// or ssh:// URL, user@host:path, or the path of a folder`;
	const folder = await stat(path.resolve(root, repository)).catch(() => null);
	return folder?.isDirectory() ? null : `the folder ${repository} doesn't exist`;
}

interface Git {
	run(args: readonly string[]): Promise<Ended>;
	/** The output; throws ServiceError where git fails. */
	must(args: readonly string[]): Promise<string>;
}

const PASSED = ["PATH", "HOME", "TMPDIR", "SSH_AUTH_SOCK"];

/** Gives what is read of a bare clone, of which only what is asked for is fetched. Each reader has a clone of its own: git locks what two would write. */
async function withClone<T>(url: string, read: (git: Git) => Promise<T>): Promise<T> {
	const clone = await mkdtemp(path.join(tmpdir(), "pin-"));
	const env: Record<string, string> = {
		...Object.fromEntries(PASSED.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
		...networkEnvironment(),
		LC_ALL: "C",
		GIT_TERMINAL_PROMPT: "0",
		GIT_SSH_COMMAND: "ssh -o BatchMode=yes",
		GIT_ALLOW_PROTOCOL: "https:ssh:file",
	};
	const run = (args: readonly string[]) =>
		runCommand("git", ["-c", "protocol.ext.allow=never", "--git-dir", clone, ...args], { cwd: clone, env });
	const must = async (args: readonly string[]) => {
		const ended = await run(args);
		if (ended.code !== 0)
			throw new ServiceError("git", `git ${args[0]} of ${url} failed: ${lastLine(ended.errors)}`, ended.errors);
		return ended.output;
	};
	try {
		await must(["init", "--quiet", "--bare"]);
		await must(["config", "remote.origin.url", url]);
		return await read({ run, must });
	} finally {
		await rm(clone, { recursive: true, force: true });
	}
}

/** Fetches a revision, without its files, and returns its commit. */
async function fetchRevision(
	git: Git,
	{ repository, revision }: { repository: string; revision: string },
	refuse: (message: string) => InvalidFile,
): Promise<string> {
	const ref = "refs/pin";
	const options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--depth", "1", "--filter", "blob:none"];
	const fetched = await git.run(["fetch", ...options, "origin", `+${revision}:${ref}`]);
	if (fetched.code !== 0) {
		if (!/couldn't find remote ref|not our ref|unadvertised object|bad object/.test(fetched.errors))
			throw new ServiceError("git", `${repository} can't be reached: ${lastLine(fetched.errors)}`, fetched.errors);
		const names = (await git.must(["ls-remote", "--quiet", "--refs", "--tags", "--heads", "origin"]))
			.split("\n")
			.flatMap((line) => line.split("\t")[1]?.replace(/^refs\/(tags|heads)\//, "") ?? []);
		throw refuse(
			`${repository} has no ${COMMIT.test(revision) ? "commit" : "branch or tag"} ${revision}; ${notAmong(revision, names.slice(0, 20), "it has")}`,
		);
	}
	return (await git.must(["rev-parse", "--verify", "--quiet", `${ref}^{commit}`])).trim();
}

/** The last line of what a program said that tells something. */
function lastLine(said: string): string {
	const lines = said.split("\n").map((line) => line.trim());
	return (
		lines.findLast((line) => /^(fatal|error|ERROR):/.test(line)) ??
		lines.findLast((line) => line !== "") ??
		"it printed nothing"
	);
}
