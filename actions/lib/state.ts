// The configuration's state folder becomes a place on this machine; on a runner it must lie outside the checkout.
import { existsSync, realpathSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { InvalidInput } from "./errors.ts";

/** What a checkout must not hold: a runner keeps it there, and would run or believe what somebody has committed. */
const KEPT = [".proving-ground", ".venv", "node_modules"];

/** Where everything lies that outlives a checkout, and where the files lie that pass from one stage to the next. */
export interface State {
	folder: string;
	/** Whether it lies in the checkout, as on one's own machine. */
	isInside: boolean;
	documents: string;
	/** Top-level paths that no commit may have. */
	reserved: readonly string[];
}

/** The state of the repository at a folder, by what its configuration names; throws InvalidInput where a runner can't keep it there. */
export function openState(home: string, named: string): State {
	const folder = stateFolder(home, named);
	const inside = insideOf(home, folder);
	const reserved = [...new Set([...KEPT, ...(inside ? [inside] : [])])];
	if (process.env["GITHUB_ACTIONS"] !== "true")
		return { folder, isInside: inside !== null, documents: path.join(folder, "documents"), reserved };
	refuseInWorkspace("state", named, folder);
	// Steps of a job pass them on; two jobs may be about experiments of one name.
	return { folder, isInside: false, documents: path.join(temporary(), "proving-ground-documents"), reserved };
}

function stateFolder(home: string, named: string): string {
	// It keeps nothing, wherever that is.
	if (process.env["RUNNER_ENVIRONMENT"] === "github-hosted") return path.join(temporary(), "proving-ground");
	return path.resolve(home, /^~(\/|$)/.test(named) ? path.join(homedir(), named.slice(1)) : named);
}

function temporary(): string {
	return process.env["RUNNER_TEMP"] ?? tmpdir();
}

/** Throws InvalidInput where a runner would keep something in its checkout, which the next one may overwrite or delete. */
export function refuseInWorkspace(key: string, named: string, place: string): void {
	const workspace = process.env["GITHUB_WORKSPACE"];
	if (process.env["GITHUB_ACTIONS"] !== "true" || !workspace || insideOf(workspace, place) === null) return;
	throw new InvalidInput(
		`.github/proving-ground.yaml: ${key}: found ${named}, which lies in the runner's checkout, where a pull request's files could replace what is kept. Name a folder outside of it, such as ~/proving-ground.`,
	);
}

/** A place's path inside a folder, whatever links lead there; empty for the folder itself, null where it lies elsewhere. */
export function insideOf(folder: string, place: string): string | null {
	const inside = path.relative(real(folder), real(place));
	return inside === ".." || inside.startsWith(`..${path.sep}`) || path.isAbsolute(inside) ? null : inside;
}

/** A path without links, as far as it is there. */
function real(place: string): string {
	const missing: string[] = [];
	for (let at = path.resolve(place); ; at = path.dirname(at)) {
		if (existsSync(at)) return path.join(realpathSync(at), ...missing);
		missing.unshift(path.basename(at));
		if (path.dirname(at) === at) return path.resolve(place);
	}
}
