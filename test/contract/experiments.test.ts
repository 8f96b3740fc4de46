// A bad experiment file
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { InvalidFile } from "../../actions/lib/errors.ts";
import { loadExperiment } from "../../actions/lib/experiment/experiment.ts";
import { loadProposals } from "../../actions/lib/propose/proposal_file.ts";
import { accepted, acceptedData, acceptedProposals, refused, refusedData, refusedProposals } from "./refused.ts";

let root: string;

beforeAll(async () => {
	root = await mkdtemp(path.join(tmpdir(), "refused-"));
	await mkdir(path.join(root, "experiments"));
	const recipes = path.resolve(import.meta.dirname, "../../recipes");
	await mkdir(path.join(root, "recipes/data"), { recursive: true });
	for (const folder of ["models", "machines", "gates"])
		await cp(path.join(recipes, folder), path.join(root, "recipes", folder), { recursive: true });
	for (const file of (await readdir(path.join(recipes, "data"))).filter((name) => name.endsWith(".yaml")))
		await cp(path.join(recipes, "data", file), path.join(root, "recipes/data", file));
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

/** The message for a good experiment whose data recipe has this text. */
async function dataMessageFor(text: string): Promise<string> {
	await writeFile(path.join(root, "recipes/data/mine.yaml"), text);
	const message = await messageFor(accepted.replace("data: scenes", "data: mine"));
	await rm(path.join(root, "recipes/data/mine.yaml"));
	return message;
}

test.each(Object.entries(acceptedData))("is told apart from one on %s", async (_, text) => {
	expect(await dataMessageFor(text)).toBe("accepted");
});

test("or a bad data recipe is refused with the message that its author needs", async () => {
	const messages: string[] = [];
	for (const [mistake, text] of Object.entries(refusedData)) {
		expect(Object.values(acceptedData), mistake).not.toContain(text);
		const message = await dataMessageFor(text);
		expect(message, mistake).toMatch(/recipes\/data\/mine\.yaml:\d/);
		messages.push(`## ${mistake}\n${message}\n`);
	}
	await expect(messages.join("\n")).toMatchFileSnapshot("refused_data.snapshot.md");
});

/** The message for a repository with one proposal of this text. */
async function proposalMessageFor(text: string, name = "mine"): Promise<string> {
	const folder = path.join(root, "recipes/proposals");
	await mkdir(folder, { recursive: true });
	await writeFile(path.join(folder, `${name}.yaml`), text);
	try {
		await loadProposals({ root });
		return "accepted";
	} catch (error) {
		if (!(error instanceof InvalidFile)) throw error;
		return error.message;
	} finally {
		await rm(folder, { recursive: true });
	}
}

test.each(Object.entries(acceptedProposals))("is told apart from a proposal on %s", async (_, text) => {
	expect(await proposalMessageFor(text)).toBe("accepted");
});

test("or a bad proposal is refused with the message that its author needs, each on its line", async () => {
	const messages: string[] = [];
	for (const [mistake, text] of Object.entries(refusedProposals)) {
		expect(Object.values(acceptedProposals), mistake).not.toContain(text);
		const message = await proposalMessageFor(text);
		for (const line of message.split("\n")) expect(line, mistake).toMatch(/^recipes\/proposals\/mine\.yaml:\d/);
		messages.push(`## ${mistake}\n${message}\n`);
	}
	const names = ["Mine", "a-name-that-is-longer-than-24", "mine_too"];
	for (const name of names)
		messages.push(`## the name ${name}\n${await proposalMessageFor(acceptedProposals["a weekly window"]!, name)}\n`);
	await expect(messages.join("\n")).toMatchFileSnapshot("refused_proposals.snapshot.md");
});
