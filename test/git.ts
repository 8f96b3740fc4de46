// Repositories of tests.
import { execFileSync } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

/** Runs git in a folder as ann; returns what it prints. */
export function gitIn(folder: string, ...args: string[]): string {
	return execFileSync("git", ["-C", folder, "-c", "user.name=ann", "-c", "user.email=ann@example.com", ...args], {
		encoding: "utf8",
		stdio: "pipe",
	}).trim();
}

/** Commits files with these contents, those of null removed. */
export async function commitIn(folder: string, files: Record<string, string | null>): Promise<void> {
	for (const [file, text] of Object.entries(files)) {
		await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
		if (text === null) await rm(path.join(folder, file));
		else await writeFile(path.join(folder, file), text);
	}
	gitIn(folder, "add", "--all");
	gitIn(folder, "commit", "--quiet", "--message", "some");
}
