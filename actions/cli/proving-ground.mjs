#!/usr/bin/env node
// Runs the command line on a Node that strips types: this one, or the one among the packages.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";

const cli = path.join(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname), "cli.ts");
if (Number(process.versions.node.split(".")[0]) >= 24) {
	await import(cli);
} else {
	const node = path.join(path.dirname(cli), "../../node_modules/.bin/node");
	if (!existsSync(node)) {
		console.error(
			`Node ${process.version} is too old: Node 24 is needed. Run npm start or npm ci to install it in node_modules.`,
		);
		process.exit(2);
	}
	const child = spawn(node, [cli, ...process.argv.slice(2)], { stdio: "inherit" });
	for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
	child.on("exit", (code, signal) => process.exit(code ?? (signal ? 130 : 1)));
}
