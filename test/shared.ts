// What several test files need becomes a folder that one of them fills and all read; a test that changes what is in it takes a copy.
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

/** Names the folder of this run to the processes that run test files. */
const VARIABLE = "PROVING_GROUND_TEST_FOLDER";

/** Makes the folder of the run before all tests, as vitest's globalSetup; returns what removes it. */
export default async function open(): Promise<() => Promise<void>> {
	const root = await mkdtemp(path.join(tmpdir(), "tests-"));
	process.env[VARIABLE] = root;
	return () => rm(root, { recursive: true, force: true, maxRetries: 5 });
}

/** A folder of this name, filled once for all test files of the run by whichever needs it first. */
export async function shared(name: string, fill: (folder: string) => Promise<void>): Promise<string> {
	const folder = path.join(process.env[VARIABLE]!, name);
	const [lock, done] = [`${folder}.lock`, `${folder}.done`];
	while (!existsSync(done)) {
		if (!(await take(lock))) {
			await new Promise((resolve) => setTimeout(resolve, 100));
			continue;
		}
		try {
			if (existsSync(done)) break;
			// What an attempt that failed in another process has left.
			await rm(folder, { recursive: true, force: true });
			await mkdir(folder);
			await fill(folder);
			await writeFile(done, "");
		} finally {
			await rm(lock, { recursive: true });
		}
	}
	return folder;
}

/** Makes the lock's folder; false where another process has it. */
async function take(lock: string): Promise<boolean> {
	try {
		await mkdir(lock);
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
		throw error;
	}
}
