// A folder for what tests write, in memory where the machine has room: they make thousands of small files, repositories and copies, and sync each.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import path from "node:path";

const PREFIX = "proving-ground-tests-";
const TMPFS = 0x01021994;
/** A whole run holds about 0.3 GB at once, the soak more. */
const LEAST_BYTES = 4 * 2 ** 30;

/** Makes the folder; whoever asks removes it. */
export function makeScratch(): string {
	const memory = "/dev/shm";
	if (isRoomy(memory)) {
		const folder = mkdtempSync(path.join(memory, PREFIX));
		if (canRun(folder)) return folder;
		rmSync(folder, { recursive: true });
	}
	return mkdtempSync(path.join(tmpdir(), PREFIX));
}

function isRoomy(place: string): boolean {
	try {
		const { type, bavail, bsize } = statfsSync(place);
		return type === TMPFS && bavail * bsize >= LEAST_BYTES && freemem() >= LEAST_BYTES;
	} catch {
		return false;
	}
}

/** Containers often mount memory without the right to start a program there, which tests do. */
function canRun(folder: string): boolean {
	const program = path.join(folder, "program");
	writeFileSync(program, "#!/bin/sh\n", { mode: 0o755 });
	return spawnSync(program).status === 0;
}
