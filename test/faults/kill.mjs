// Preloaded into a process: counts each change that it makes to a disk, and kills it right before or right after one of them.
import fs, { writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.KILL_AT ?? Number.NaN);
const told = process.env.KILL_WRITES;
const CHANGES = ["appendFile", "cp", "link", "mkdir", "rename", "rm", "symlink", "truncate", "unlink", "writeFile"];
const HANDLE = ["appendFile", "sync", "truncate", "write", "writeFile"];
let steps = 0;

/** One step before each change and one after it. */
function step() {
	if (steps === at) process.kill(process.pid, "SIGKILL");
	steps += 1;
}

function follow(target, name) {
	const original = target[name];
	target[name] = async function (...args) {
		step();
		const result = await original.apply(this, args);
		step();
		return result;
	};
}

function followSync(name) {
	const original = fs[name];
	fs[name] = function (...args) {
		step();
		const result = original.apply(this, args);
		step();
		return result;
	};
}

function followCallback(name) {
	const original = fs[name];
	fs[name] = function (...args) {
		step();
		return original.apply(this, args);
	};
}

const handle = await fs.promises.open(process.execPath);
const prototype = Object.getPrototypeOf(handle);
await handle.close();
for (const name of HANDLE) follow(prototype, name);
for (const name of CHANGES) {
	follow(fs.promises, name);
	followSync(`${name}Sync`);
}
// write-file-atomic asks for these.
for (const name of ["rename", "write", "fsync", "open"]) followCallback(name);
syncBuiltinESMExports();
if (told) process.on("exit", () => writeFileSync(told, String(steps)));
