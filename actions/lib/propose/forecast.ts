// A repository becomes the moment at which proposals are due, and an experiment that is due its plan, as far as it can be made here.
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { InvalidFile, InvalidInput, ServiceError } from "../errors.ts";
import { MOST_BYTES, namesIn } from "../experiment/files.ts";
import { readRegular } from "../files.ts";
import type { Plan } from "../generated/documents.d.ts";
import { planExperiment } from "../plan/plan_files.ts";
import type { Project } from "../project.ts";
import { type Due, dueProposals, type Moment } from "./due.ts";
import { loadProposals } from "./proposal_file.ts";

/** What a checkout says of the proposals, whatever the time and the event; throws InvalidFile. */
export async function readProposals(root: string): Promise<Pick<Moment, "recipes" | "experiments" | "data">> {
	const data = await namesIn(path.join(root, "recipes/data"));
	const read = async (name: string) =>
		(await readRegular(root, `recipes/data/${name}.yaml`, MOST_BYTES)).toString("utf8");
	const texts = data.map(async (name) => [name, await read(name)]);
	return {
		recipes: await loadProposals({ root }),
		experiments: new Set(await namesIn(path.join(root, "experiments"))),
		data: new Map((await Promise.all(texts)) as [string, string][]),
	};
}

/** What is due, in words and as it would be written, by the experiments that a checkout has alone; nothing is opened. */
export async function showDue(root: string, now: string | undefined) {
	const moment = new Date(now ?? Date.now());
	if (Number.isNaN(moment.getTime()))
		throw new InvalidInput(`--now: found ${JSON.stringify(now)}; it must be a time, such as 2026-11-25T03:00:00Z.`);
	const asked = { publication: null, byHand: null, now: moment, maxOpen: Number.POSITIVE_INFINITY };
	const { due, waiting } = dueProposals({ ...(await readProposals(root)), ...asked, proposed: new Map() });
	const lines = [
		...due.map(({ title, branch }) => `${title}\n  ${branch}`),
		...waiting.map((tick) => `${tick} waits until fewer pull requests are open`),
	];
	const document = { due: due.map(({ tick, branch, title, files }) => ({ tick, branch, title, files })), waiting };
	return { document, text: lines.join("\n") || "nothing is due" };
}

/** The plan of an experiment that is due, over a copy of the files that it changes; why there is none, where it can't be planned here. */
export async function forecastPlan(project: Project, due: Due): Promise<Plan | string> {
	if (due.replaced !== null) return "the data are fetched when the pull request is planned";
	const head = await mkdtemp(path.join(tmpdir(), "proposal-"));
	try {
		for (const folder of ["experiments", "recipes"])
			await cp(path.join(project.root, folder), path.join(head, folder), { recursive: true });
		for (const { path: file, content } of due.files) await writeFile(path.join(head, file), content);
		// Without a look at the weights, for which torch is needed: the pull request's own plan has it.
		return await planExperiment(project, due.files[0]!.path, { head, transfer: false });
	} catch (error) {
		if (!(error instanceof InvalidFile || error instanceof InvalidInput || error instanceof ServiceError)) throw error;
		return error.message.split("\n")[0]!.replaceAll(`${project.root}/`, "");
	} finally {
		await rm(head, { recursive: true, force: true });
	}
}
