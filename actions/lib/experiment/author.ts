// Who wrote an experiment becomes GitHub logins: by the event that started the workflow, by the person at the terminal, by git, or by GitHub.
import { runCommand } from "../process.ts";

/** What is known of authors beside the repository. */
export interface Known {
	/** Login of who opened the pull request. */
	author?: string;
	/** Login that the person at the terminal names, and is trusted with. */
	named?: string;
	/** Logins by commit, as the event of a push gives them. */
	commits?: ReadonlyMap<string, string>;
	/** Asks whose a commit is, by its address; null where that tells nobody. */
	lookUp?: (commit: string) => Promise<string | null>;
}

/** Logins of an experiment's authors; none where one of them can't be told, for they may be anybody. */
export async function authorsOf(root: string, file: string, known: Known): Promise<string[]> {
	const { author, named } = known;
	const logins = await loginsOf(root, file, known);
	const isSure = named !== undefined || !logins.includes(null);
	return isSure ? [...new Set([named, author, ...logins].filter((login) => typeof login === "string"))] : [];
}

/** The login of each commit's author, null for one that nobody knows; a single null where git can't tell who wrote the file. */
async function loginsOf(root: string, file: string, { named, commits, lookUp }: Known): Promise<(string | null)[]> {
	const asked = new Map<string, Promise<string | null>>();
	const ask = ({ commit, email }: { commit: string; email: string }) => {
		// An address is one person's, whichever commit has it.
		if (!asked.has(email)) asked.set(email, named || !lookUp ? Promise.resolve(null) : lookUp(commit));
		return asked.get(email)!;
	};
	const written = (await commitsOf(root, file)) ?? [];
	const logins = written.map((one) => commits?.get(one.commit) ?? loginOf(one.email) ?? ask(one));
	return written.length > 0 ? Promise.all(logins) : [null];
}

/** Every commit that changed the file; null where git can't tell. */
async function commitsOf(root: string, file: string): Promise<{ commit: string; email: string }[] | null> {
	const place = `:(literal)${file}`;
	const [shallow, changed, written] = await Promise.all([
		git(root, "rev-parse", "--is-shallow-repository"),
		git(root, "status", "--porcelain", "--", place),
		git(root, "log", "--format=%H %ae", "--", place),
	]);
	// Where history is cut off, its first commit seems to have written everything; what isn't committed has no author yet.
	if (shallow?.trim() !== "false" || changed !== "" || !written) return null;
	const lines = written.split("\n").filter(Boolean);
	return lines.map((line) => ({ commit: line.slice(0, line.indexOf(" ")), email: line.slice(line.indexOf(" ") + 1) }));
}

/** What git prints; null where it can't. */
async function git(root: string, ...args: string[]): Promise<string | null> {
	const env = { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "" };
	const ended = await runCommand("git", ["-C", root, ...args], { env }).catch(() => null);
	return ended?.code === 0 ? ended.output : null;
}

/** The login in an address that GitHub gives; any other address tells no login. */
function loginOf(email: string): string | null {
	return /^(?:\d+\+)?([a-z0-9][a-z0-9_-]*(?:\[bot\])?)@users\.noreply\.github\.com$/i.exec(email)?.[1] ?? null;
}
