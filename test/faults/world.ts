// A repository with its store, registry and GitHub, which is put back to where it was for each cell of the matrix.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import { Repository } from "../lib/follow/merged/repository.ts";
import { connect, Shown } from "./github.ts";
import type { Recorder } from "./ports.ts";

/** The maps and lists that are kept in memory. */
type Kept = Record<string, Map<unknown, unknown> | unknown[]>;

export class World {
	readonly at: Repository;
	readonly shown = new Shown();
	readonly #snapshot: string;
	#kept: Kept = {};

	private constructor(at: Repository) {
		this.at = at;
		this.#snapshot = `${at.home}.before`;
	}

	static async open(template: string): Promise<World> {
		return new World(await Repository.copy(template));
	}

	/** Remembers everything as it is now. */
	save(): void {
		copy(this.at.home, this.#snapshot);
		this.#kept = structuredClone(this.#memory());
	}

	/** Puts everything back, at the same place: worktrees are known by their path. */
	restore(): void {
		copy(this.#snapshot, this.at.home);
		for (const [name, own] of Object.entries(this.#memory())) {
			const was = structuredClone(this.#kept[name])!;
			if (Array.isArray(own)) own.splice(0, own.length, ...(was as unknown[]));
			else {
				own.clear();
				for (const [key, value] of was as Map<unknown, unknown>) own.set(key, value);
			}
		}
	}

	remove(): void {
		for (const folder of [this.at.home, this.#snapshot]) rmSync(folder, { recursive: true, force: true });
	}

	/** What a process is given, with its calls recorded. */
	portsFor(recorder: Recorder) {
		const github: GitHub = recorder.github(connect(this.at.server, this.shown));
		return { project: recorder.project(this.at.project), github };
	}

	/** All that is left in the end, without the times at which it was done. */
	async end(): Promise<Record<string, unknown>> {
		const { server, executor, project } = this.at;
		const lines = await project.registry.lines();
		const histories = await Promise.all(lines.map((line) => project.registry.history(line)));
		const own = (body: string) => body.split("\n").find((line) => line.startsWith("###")) ?? "";
		return {
			versions: histories.map(({ versions }) =>
				versions.map(({ entry }) => [entry.version, entry.run, entry.evaluation]),
			),
			approvals: histories.map(({ approvals }) =>
				approvals.map(({ version, replaced, manifest }) => [version, replaced, manifest]),
			),
			approvers: histories.map(({ approvals }) => approvals.map(({ approved_by }) => approved_by)),
			tags: sorted([...server.tags].map(([name, sha]) => `${timeless(name)} ${sha}`)),
			branches: sorted(
				[...server.branches].map(([name, { files }]) => `${timeless(name)}: ${files.map((file) => file.path).sort()}`),
			),
			pulls: server.pulls.map(({ head, state }) => `${timeless(head.ref)} ${state}`),
			// An issue that was opened in vain is closed again.
			issues: sorted(server.issues.filter(({ marker }) => !server.closed.has(marker)).map(({ title }) => title)),
			// Whoever hears of an event twice has to bear that.
			events: sorted([
				...new Set(server.events.map(({ type, payload }) => `${type} ${payload["model"]} v${payload["version"]}`)),
			]),
			comments: sorted([...this.shown.comments].map(([key, body]) => `${key} ${own(body)}`)),
			checks: sorted(
				[...this.shown.checks.values()].map(
					({ name, sha, conclusion, status }) => `${name} ${sha} ${status} ${conclusion}`,
				),
			),
			labels: sorted([...this.shown.labels].map(([number, labels]) => `${number} ${labels}`)),
			dispatched: sorted(this.shown.dispatched),
			jobs: sorted([...executor.ended.keys()]),
			started: sorted(executor.started.map(({ document }) => document.id)),
			stored: (await project.store.list("")).map(timeless),
			left: filesIn(path.join(this.at.home, ".proving-ground/registry")),
			documents: ["reports", ".proving-ground/documents"].flatMap((folder) => filesIn(path.join(this.at.home, folder))),
		};
	}

	/** What must hold whatever went wrong, also in the middle: nothing is production that wasn't judged and passed. */
	async broken(): Promise<string[]> {
		const { registry, store } = this.at.project;
		const broken: string[] = [];
		for (const line of await registry.lines()) {
			const { versions, approvals } = await registry.history(line);
			for (const [index, approval] of approvals.entries()) {
				const entry = versions.find(({ entry: own }) => own.version === approval.version)?.entry;
				if (!entry) broken.push(`v${approval.version} is approved, and isn't there`);
				else if (entry.experiment === "poor") broken.push("a model that failed is production");
				else if (!(await store.get(`models/${line}/${entry.run}/evaluations/${entry.evaluation}/manifest.json`)))
					broken.push(`v${approval.version} was never measured`);
				if (approval.replaced !== (approvals[index - 1]?.version ?? null)) broken.push("an approval is missing");
			}
			for (const version of versions)
				await registry.verify(version).catch((error: Error) => broken.push(error.message));
		}
		return broken;
	}

	#memory(): Kept {
		const { pulls, tags, branches, issues, closed, events, comments, writes } = this.at.server;
		const { started, map, seen, ended } = this.at.executor;
		const { comments: bodies, checks, labels, dispatched } = this.shown;
		const server = { pulls, tags, branches, issues, closed, events, comments, writes };
		return { ...server, started, map, seen, ended, bodies, checks, labels, dispatched } as Kept;
	}
}

function copy(from: string, to: string): void {
	rmSync(to, { recursive: true, force: true });
	execFileSync("cp", ["-a", from, to]);
}

/** Names of the files in a folder; what lies in one whose copying was never finished is told as it lies there. */
function filesIn(folder: string): string[] {
	try {
		return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
	} catch {
		return [];
	}
}

function timeless(name: string): string {
	return name.replace(/(?<=^settled\/.*)\d{17}|(?<=-)\d{17}$/, "TIME");
}

function sorted(values: string[]): string[] {
	return values.toSorted();
}

/** A document that a stage wrote. */
export function readJson<T>(file: string): T {
	return JSON.parse(readFileSync(file, "utf8")) as T;
}
