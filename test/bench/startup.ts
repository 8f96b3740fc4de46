// The start-up of each action's bundle against an empty Node process.
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { printRatios, timeInTurn } from "./times.ts";

const actions = path.resolve(import.meta.dirname, "../../actions");

/** Each bundle runs until it misses its first input, or finds a file where its workspace should be: all that it loads before any work. */
export async function benchStartup(): Promise<void> {
	const names = globSync("*/action.yml", { cwd: actions }).map((file) => path.dirname(file));
	const cwd = mkdtempSync(path.join(tmpdir(), "startup-"));
	const env = { PATH: process.env["PATH"] ?? "", GITHUB_WORKSPACE: import.meta.filename };
	const start = (args: string[]) => spawnSync(process.execPath, args, { cwd, env });
	const things: Record<string, () => unknown> = { "an empty Node": () => start(["-e", ""]) };
	for (const name of names.sort()) things[name] = () => start([path.join(actions, "dist", `${name}.js`)]);
	printRatios("Start-up of each bundle", await timeInTurn(things, 15), "an empty Node");
	rmSync(cwd, { recursive: true });
}
