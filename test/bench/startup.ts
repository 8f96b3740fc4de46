// The start-up of each action's bundle against an empty Node process.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { printRatios, timeInTurn } from "./times.ts";

const actions = path.resolve(import.meta.dirname, "../../actions");

/** Each bundle runs until it misses its first input: all that it loads before any work. */
export async function benchStartup(): Promise<void> {
	const names = readdirSync(actions, { withFileTypes: true }).filter(
		(entry) => entry.isDirectory() && entry.name !== "lib",
	);
	const start = (args: string[]) => spawnSync(process.execPath, args, { env: { PATH: process.env["PATH"] ?? "" } });
	const things: Record<string, () => unknown> = { "an empty Node": () => start(["-e", ""]) };
	for (const { name } of names) things[name] = () => start([path.join(actions, name, "dist/index.js")]);
	printRatios("Start-up of each bundle", await timeInTurn(things, 15), "an empty Node");
}
