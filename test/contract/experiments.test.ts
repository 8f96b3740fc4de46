// A bad experiment file
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InvalidFile } from "../../actions/lib/errors.ts";
import { loadExperiment } from "../../actions/lib/experiment.ts";
import { accepted, refused } from "./refused.ts";

let root: string;

beforeAll(async () => {
	root = await mkdtemp(path.join(tmpdir(), "refused-"));
	await mkdir(path.join(root, "experiments"));
	await symlink(path.resolve(import.meta.dirname, "../../recipes"), path.join(root, "recipes"));
});

afterAll(() => rm(root, { recursive: true }));

async function messageFor(text: string): Promise<string> {
	await writeFile(path.join(root, "experiments/mine.yaml"), text);
	try {
		await loadExperiment("experiments/mine.yaml", { root });
		return "accepted";
	} catch (error) {
		if (!(error instanceof InvalidFile)) throw error;
		return error.message;
	}
}

test("is told apart from a good one", async () => {
	expect(await messageFor(accepted)).toBe("accepted");
});

test("is refused with the message that its author needs", async () => {
	const messages: string[] = [];
	for (const [mistake, text] of Object.entries(refused)) {
		const message = await messageFor(text);
		expect(message, mistake).not.toBe("accepted");
		expect(message, mistake).not.toMatch(/\n\s+at /);
		messages.push(`## ${mistake}\n${message}\n`);
	}
	expect(messages.length).toBeGreaterThanOrEqual(50);
	await expect(messages.join("\n")).toMatchFileSnapshot("refused.snapshot.md");
});
