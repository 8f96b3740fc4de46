// A workflow of this repository becomes the one that other repositories copy: its jobs call the actions here, and nobody calls it.
import { readFile } from "node:fs/promises";
import path from "node:path";

/** The folder of the workflows to copy. */
export const COPIES = "actions/workflows";

/** The workflows to copy by their path from the root, of the files of .github/workflows that are for other repositories too. */
export async function copies(root: string, files: readonly string[]): Promise<Map<string, string>> {
	const { version } = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as { version: string };
	const made = new Map<string, string>();
	for (const file of files) {
		const text = await readFile(path.join(root, file), "utf8");
		if (text.includes("$/actions/")) made.set(`${COPIES}/${path.basename(file)}`, copyOf(text, version));
	}
	return made;
}

/** The text with our actions by their owner and tag, and without what only a caller needs. */
export function copyOf(text: string, version: string): string {
	return text
		.replace(/^ {2}workflow_call:.*\n(?: {3,}.*\n)*/m, "")
		.replaceAll(/\$\/(actions\/\w+)/g, `OWNER/proving-ground/$1@v${version}`);
}
