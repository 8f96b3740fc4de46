// Who wrote an experiment becomes GitHub logins: by the event that started the workflow, by the person at the terminal, or by git.
import { runCommand } from "../process.ts";

/** What is known of authors beside the repository. */
export interface Known {
	/** Login of who opened the pull request, or was named on the command line. */
	author?: string;
	/** Logins by commit, as the event of a push gives them. */
	commits?: ReadonlyMap<string, string>;
}

/** Logins of an experiment's authors; none where nobody was named and git knows one of them by no login. */
export async function authorsOf(root: string, file: string, { author, commits }: Known): Promise<string[]> {
	const written = await commitsOf(root, file);
	const logins = written.map(({ commit, email }) => commits?.get(commit) ?? loginOf(email));
	const known = logins.filter((login) => login !== null);
	// A pull request has an author, whatever git says. Without one, half a list would let the other half waive their own checks.
	if (!author && known.length < logins.length) return [];
	return [...new Set([...(author ? [author] : []), ...known])];
}

/** Every commit that changed the file; none where git can't tell. */
async function commitsOf(root: string, file: string): Promise<{ commit: string; email: string }[]> {
	const place = `:(literal)${file}`;
	const [shallow, changed, written] = await Promise.all([
		git(root, "rev-parse", "--is-shallow-repository"),
		git(root, "status", "--porcelain", "--", place),
		git(root, "log", "--format=%H %ae", "--", place),
	]);
	// Where history is cut off, its first commit seems to have written everything; what isn't committed has no author yet.
	if (shallow?.trim() !== "false" || changed !== "" || !written) return [];
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
