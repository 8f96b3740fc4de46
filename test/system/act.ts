// A workflow file of the test's repository and an event become what the run did, by job and step: act runs it as it stands, on this machine.
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { isScalar, parseDocument, visit } from "yaml";
import { createReader, type JobResult } from "./act_log.ts";
import type { Event } from "./github/events.ts";
import type { Origin } from "./github/origin.ts";
import type { Level, Permissions } from "./github/permissions.ts";
import type { GitHubServer, Recorded } from "./github-server.ts";

export interface Order {
	github: GitHubServer;
	origin: Origin;
	/** Name of the file in .github/workflows, as it is at the event's ref. */
	workflow: string;
	event: Event;
	secrets?: Record<string, string>;
	vars?: Record<string, string>;
	/** Only this job and what it needs. */
	job?: string;
	/** Folder that `$/actions/x` is found in: act copies all of it for every step of ours, so it is a copy with no more than a runner needs. */
	self: string;
	/** Folders that other repositories' actions and reusable workflows are found in, by owner/name@ref: copies, whose workflow files are rewritten as act takes them. */
	repositories?: Record<string, string>;
	/** Environment of every step. */
	environment?: Record<string, string>;
}

export interface Run {
	id: string;
	/** Name of the workflow's file. */
	workflow: string;
	conclusion: "success" | "failure" | "cancelled";
	jobs: JobResult[];
	/** The one job, or all of a matrix, by its id. */
	job(id: string): JobResult;
	/** Everything that act wrote. */
	log: string;
	/** What the job asked of GitHub. */
	requests(job: string): Recorded[];
	/** What the job's token might do. */
	granted: Map<string, Permissions>;
}

interface Job {
	permissions?: Permissions;
	uses?: string;
	name?: string;
	concurrency?: string | { group: string };
	environment?: string | { name: string };
}

interface Workflow {
	name?: string;
	permissions?: Permissions;
	jobs: Record<string, Job>;
}

const project = path.resolve(import.meta.dirname, "../..");
const stubs = path.join(import.meta.dirname, "stubs");

/** What stands in for the actions of others, by repository. */
const STAND_INS: Record<string, string> = {
	"actions/checkout": "checkout",
	"actions/setup-node": "nothing",
	"actions/setup-python": "nothing",
	"actions/cache": "nothing",
	"actions/upload-artifact": "upload-artifact",
	"actions/download-artifact": "download-artifact",
	"actions/create-github-app-token": "app-token",
};

/** Runs the workflow to its end. Jobs run as on GitHub, with what act doesn't hold (permissions, a fork's token) held by the server. */
export async function runWorkflow(order: Order): Promise<Run> {
	const { github, origin, event, workflow } = order;
	const folder = await mkdtemp(path.join(tmpdir(), "act-"));
	try {
		const sha = origin.sha(event.ref);
		const repository = path.join(folder, "repository");
		checkOut(origin, event.ref, repository);
		const { files, uses } = await rewriteWorkflows(repository);
		for (const [at, place] of Object.entries(order.repositories ?? {})) {
			const others = await rewriteWorkflows(place, at);
			for (const [name, other] of others.files) files.set(`${at}/${name}`, other);
			for (const used of others.uses) uses.add(used);
		}
		const file = files.get(workflow);
		if (!file) throw new Error(`There is no .github/workflows/${workflow} at ${event.ref}.`);
		const fork = isFork(event);
		const granted = grantPermissions(file, files, fork ? "read" : "write");
		const id = String(github.actions.runs.length + 101);
		for (const [job, permissions] of granted) github.grant(id, job, permissions);
		const run = register(order, id, sha, file.name ?? workflow);
		const reader = createReader([...granted.keys()]);
		const status = await runAct(order, { folder, repository, id, uses, fork }, reader.read, (stop) =>
			github.actions.cancelled.set(run.id, stop),
		);
		const jobs = reader.finish(status);
		const cancelled = run.conclusion === "cancelled";
		const conclusion = cancelled ? "cancelled" : status === 0 ? "success" : "failure";
		Object.assign(run, { status: "completed", conclusion });
		github.queue.release(id);
		await origin.push();
		return {
			id,
			workflow,
			conclusion,
			jobs,
			job(name) {
				const found = jobs.filter((job) => job.id === name);
				if (found.length !== 1)
					throw new Error(`${found.length} jobs ran as ${name}; there are: ${jobs.map((job) => job.id)}`);
				return found[0]!;
			},
			log: reader.log(),
			requests: (job) => github.requests.filter((request) => request.run === id && request.job === job),
			granted,
		};
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}

/** A clone for act, which takes GITHUB_SHA from its head. */
function checkOut(origin: Origin, ref: string, folder: string): void {
	const branch = ref.replace(/^refs\/(heads\/)?/, "");
	origin.git("init", "--quiet", folder);
	origin.git("-C", folder, "fetch", "--quiet", origin.folder, `+${ref}:refs/heads/${branch}`);
	origin.git("-C", folder, "checkout", "--quiet", branch);
}

/** A pull request from a fork gets no secret and a token that reads. */
function isFork({ name, payload }: Event): boolean {
	const pull = payload["pull_request"] as { head: { repo: { full_name: string } | null } } | undefined;
	const own = (payload["repository"] as { full_name: string }).full_name;
	return name === "pull_request" && pull?.head.repo?.full_name !== own;
}

/** Workflow files as act takes them, and the remote actions that they use; `self` is the owner/name@ref that `$/` stands for. */
async function rewriteWorkflows(
	repository: string,
	self = "self/self@self",
): Promise<{ files: Map<string, Workflow>; uses: Set<string> }> {
	const folder = path.join(repository, ".github/workflows");
	const files = new Map<string, Workflow>();
	const uses = new Set<string>();
	for (const name of await readdir(folder).catch(() => [])) {
		const text = await readFile(path.join(folder, name), "utf8");
		const document = parseDocument(text);
		const workflow = document.toJS() as Workflow;
		files.set(name, workflow);
		// act holds none of these, and refuses what of them it doesn't know: the server does, asked by the job's processes.
		for (const key of ["concurrency", "cache-mode"]) document.delete(key);
		for (const [job, { concurrency, environment }] of Object.entries(workflow.jobs)) {
			for (const key of ["concurrency", "environment"]) document.deleteIn(["jobs", job, key]);
			const held = { TEST_GROUP: nameIn(concurrency, "group"), TEST_ENVIRONMENT: nameIn(environment, "name") };
			for (const [name, value] of Object.entries(held)) if (value) document.setIn(["jobs", job, "env", name], value);
		}
		visit(document, {
			Pair(_, { key, value }) {
				if (!isScalar(key) || key.value !== "uses" || !isScalar(value)) return;
				const used = String(value.value);
				// act knows no `$/`.
				if (used.startsWith("$/.github/workflows/")) value.value = used.replace("$/", "./");
				else if (used.startsWith("$/")) value.value = self.replace("@", `/${used.slice(2)}@`);
				if (!String(value.value).startsWith("./")) uses.add(String(value.value));
			},
		});
		const rewritten = document.toString({ lineWidth: 0 });
		// A run beside this one may be reading it.
		if (rewritten !== text) await writeFile(path.join(folder, name), rewritten);
	}
	return { files, uses };
}

/** What a workflow file names by a word, or by a mapping with it. */
function nameIn<K extends string>(value: string | Record<K, string> | undefined, key: K): string | undefined {
	return typeof value === "object" ? value[key] : value;
}

/** The permissions of each job's token, no more than `most`: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#permissions */
function grantPermissions(
	file: Workflow,
	files: Map<string, Workflow>,
	most: Level,
	limit?: Permissions,
): Map<string, Permissions> {
	const granted = new Map<string, Permissions>();
	for (const [id, job] of Object.entries(file.jobs)) {
		const declared = job.permissions ?? file.permissions ?? {};
		const least = (name: string, level: Level | "none"): Level | "none" => {
			const levels = [level, most, ...(limit ? [limit[name] ?? "none"] : [])];
			return levels.includes("none") ? "none" : levels.includes("read") ? "read" : "write";
		};
		const permissions: Permissions = Object.fromEntries(
			Object.entries(declared).map(([name, level]) => [name, least(name, level)]),
		);
		const [, owner, called, ref] = /^(.+)\/\.github\/workflows\/([^@]+)(?:@(.+))?$/.exec(job.uses ?? "") ?? [];
		const inner = called ? files.get(ref ? `${owner}@${ref}/${called}` : called) : undefined;
		if (inner)
			for (const [name, rights] of grantPermissions(inner, files, most, permissions)) granted.set(name, rights);
		else granted.set(id, permissions);
	}
	return granted;
}

function register({ github, workflow, event }: Order, id: string, sha: string, name: string) {
	const pull = event.payload["pull_request"] as { head: { ref: string; sha: string } } | undefined;
	const run = {
		id: Number(id),
		name,
		path: `.github/workflows/${workflow}`,
		event: event.name,
		// A run of a pull request is listed under the head: https://docs.github.com/en/rest/actions/workflow-runs
		head_branch: pull?.head.ref ?? event.ref.replace("refs/heads/", ""),
		head_sha: pull?.head.sha ?? sha,
		status: "in_progress" as const,
		conclusion: null as string | null,
		run_number: github.actions.runs.length + 1,
		run_attempt: 1,
		created_at: new Date().toISOString(),
	};
	github.actions.runs.push(run);
	return run;
}

interface Place {
	folder: string;
	repository: string;
	id: string;
	uses: Set<string>;
	fork: boolean;
}

async function runAct(
	order: Order,
	place: Place,
	read: (line: string) => void,
	stoppable: (stop: () => void) => void,
): Promise<number> {
	const { folder } = place;
	await mkdir(path.join(folder, "home"));
	await mkdir(path.join(folder, "artifacts"));
	await writeFile(path.join(folder, "event.json"), JSON.stringify(order.event.payload));
	const bin = [
		path.join(project, "node_modules/.bin"),
		path.dirname(process.execPath),
		"/usr/local/bin",
		"/usr/bin",
		"/bin",
	];
	// Nothing of the machine's own environment reaches the jobs.
	const child = spawn(path.join(project, ".venv/bin/act"), actArguments(order, place), {
		env: { HOME: path.join(folder, "home"), PATH: bin.join(":"), TMPDIR: folder },
		stdio: ["ignore", "pipe", "pipe"],
	});
	stoppable(() => child.kill("SIGINT"));
	const timer = setTimeout(() => child.kill("SIGKILL"), 300_000);
	let rest = "";
	for (const stream of [child.stdout, child.stderr])
		stream.setEncoding("utf8").on("data", (chunk: string) => {
			const lines = (rest + chunk).split("\n");
			rest = lines.pop()!;
			for (const line of lines) read(line);
		});
	const status = await new Promise<number>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) => resolve(code ?? 1));
	});
	clearTimeout(timer);
	if (rest) read(rest);
	return status;
}

function actArguments(order: Order, { folder, repository, id, uses, fork }: Place): string[] {
	const { github, origin, workflow, event, secrets = {}, vars = {}, job, self } = order;
	const all = (flag: string, values: Record<string, string>) =>
		Object.entries(values).flatMap(([name, value]) => [flag, `${name}=${value}`]);
	const environment = {
		GITHUB_API_URL: github.url,
		GITHUB_GRAPHQL_URL: `${github.url}/graphql`,
		GITHUB_SERVER_URL: github.url,
		GITHUB_REPOSITORY: github.repository,
		GITHUB_REF: event.ref,
		GITHUB_RUN_ID: id,
		// Every job has the one token and address that act was given; the address that Node sees tells the jobs apart.
		NODE_OPTIONS: `--import=${path.join(stubs, "address.mjs")}`,
		TEST_ORIGIN: origin.folder,
		TEST_ARTIFACTS: path.join(folder, "artifacts"),
		...order.environment,
	};
	const repositories = { ...standIns(uses, order.repositories ?? {}), "self/self@self": self, ...order.repositories };
	const labels = ["ubuntu-latest", "self-hosted", "gpu"];
	return [
		event.name,
		...["--workflows", `.github/workflows/${workflow}`, "--directory", repository],
		...["--eventpath", path.join(folder, "event.json"), "--actor", event.actor],
		...["--json", "--action-offline-mode", "--no-skip-checkout", "--no-cache-server"],
		...["--action-cache-path", path.join(folder, "cache")],
		...(job ? ["--job", job] : []),
		...labels.flatMap((label) => ["--platform", `${label}=-self-hosted`]),
		...all("--env", environment),
		...all("--local-repository", repositories),
		...all("--secret", { GITHUB_TOKEN: "bot-token", ...(fork ? {} : secrets) }),
		...all("--var", vars),
		...all("--input", event.name === "workflow_dispatch" ? (event.payload["inputs"] as Record<string, string>) : {}),
	];
}

function standIns(uses: Set<string>, known: Record<string, string>): Record<string, string> {
	const found: Record<string, string> = {};
	for (const used of uses) {
		const [name, ref] = used.split("@") as [string, string];
		const repository = name.split("/").slice(0, 2).join("/");
		const key = `${repository}@${ref}`;
		if (repository === "self/self" || known[key]) continue;
		const standIn = STAND_INS[repository];
		if (!standIn) throw new Error(`${used}: nothing stands in for it; add it to STAND_INS in act.ts.`);
		found[key] = path.join(stubs, standIn);
	}
	return found;
}
