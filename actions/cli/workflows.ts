// The workflows of this checkout become those of another repository, whose jobs call the actions of this one at its commit.
import { globSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../lib/errors.ts";
import { readRegularIfThere, replaceFile } from "../lib/files.ts";
import { openGit } from "../lib/git/git.ts";
import { counted } from "../lib/text/counted.ts";

/** The checkout that this file is of. */
const PROJECT = path.resolve(import.meta.dirname, "../..");
const FOLDER = ".github/workflows";
/** More than a workflow of anybody's. */
const MAX_BYTES = 1 << 20;

export interface CopyOptions {
	/** The repository of the actions, as owner/name; by default the origin of this checkout. */
	repository?: string;
	/** Its commit or tag; by default the commit of this checkout. */
	ref?: string;
	/** Whether they are for GitHub Enterprise Server. */
	enterpriseServer?: boolean;
}

/** Writes the workflows into a repository, over those of the same names; says which were written, and which had other text. Throws InvalidInput where the actions' place can't be told. */
export async function copyWorkflows(root: string, options: CopyOptions, from = PROJECT): Promise<string> {
	const repository = requireForm(
		"--repository",
		options.repository ?? (await originOf(from)),
		/^[\w-]+\/[\w.-]+$/,
		"owner/name",
	);
	const commit = options.ref ?? (await openGit(from)("rev-parse", "HEAD")).trim();
	const ref = requireForm("--ref", commit, /^(?!.*\.\.)[\w.][\w./-]*$/, "a commit or a tag");
	const written: string[] = [];
	const files = globSync("*.yml", { cwd: path.join(from, "actions/workflows") }).sort();
	for (const file of files) {
		// GitHub Enterprise Server takes no artefact of the version that Pages needs.
		if (options.enterpriseServer && file === "pages.yml") continue;
		const text = await readFile(path.join(from, "actions/workflows", file), "utf8");
		const wanted = placed(options.enterpriseServer ? forServer(text) : text, repository, ref);
		const there = await readRegularIfThere(root, path.join(FOLDER, file), MAX_BYTES);
		if (there?.toString() === wanted) continue;
		await replaceFile(path.join(root, FOLDER, file), wanted);
		written.push(`${FOLDER}/${file}${there ? " (it had other text: git diff shows what changed)" : ""}`);
	}
	if (written.length === 0) return `The workflows are those of ${repository} at ${ref} already`;
	return [`${counted(written.length, "workflow")} of ${repository} at ${ref}:`, ...written].join("\n  ");
}

/** The text with the actions of a repository at a commit or a tag; beside a commit stands its version. */
function placed(text: string, repository: string, ref: string): string {
	return text.replaceAll(/OWNER\/proving-ground\/(actions\/\w+)@(v[\w.]+)/g, (_, action, version) => {
		const beside = /^[0-9a-f]{40}$/.test(ref) ? ` # ${version}` : "";
		return `${repository}/${action}@${ref}${beside}`;
	});
}

/** The text without the keys that only github.com knows; it says what is lost. */
function forServer(text: string): string {
	return text
		.replaceAll(
			/^( *)queue:.*$/gm,
			"$1# GitHub Enterprise Server has no queue: a newer waiting run cancels an older one",
		)
		.replaceAll(/^ *cache-mode:.*\n/gm, "");
}

/** The repository that a checkout was cloned from. */
async function originOf(checkout: string): Promise<string> {
	const address = (await openGit(checkout)("config", "--get", "--default", "", "remote.origin.url")).trim();
	const [, repository] = /^(?:https?:\/\/|ssh:\/\/|[\w.-]+@).*[/:]([\w-]+\/[\w.-]+?)(?:\.git)?\/?$/.exec(address) ?? [];
	if (!repository)
		throw new InvalidInput(
			"--repository is missing: this checkout's origin names no repository on GitHub. Give the repository of the actions, as owner/name.",
		);
	return repository;
}

function requireForm(flag: string, value: string, form: RegExp, allowed: string): string {
	if (!form.test(value)) throw new InvalidInput(`${flag}: found ${JSON.stringify(value)}; it must be ${allowed}.`);
	return value;
}
