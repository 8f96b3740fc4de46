// Workflows, actions and what their code imports become the table of trust: every file of a head that a job reads, by what, with which rights.
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";

const root = path.resolve(import.meta.dirname, "../..");
const text = (file: string) => readFileSync(path.join(root, file), "utf8");

/** What reads files that a pull request's head may bring, by the module that opens them. */
interface Reader {
	files: string;
	module: string;
	/** What the file can do there, at most. */
	can: string;
}

export const READERS: Reader[] = [
	{
		files: "`experiments/*.yaml`, `recipes/models/*.yaml`, `recipes/data/*.yaml`",
		module: "experiment/files.ts",
		can: "choose what is trained, on which data and on which of the base's machines. Values alone: one YAML document up to 64 KiB, held to a schema",
	},
	{
		files: "`recipes/machines/*.yaml`, `recipes/lines/*.yaml`, `recipes/gates/*.yaml`, waivers among them",
		module: "experiment/files.ts",
		can: "nothing: they are read from the base, and at a promotion from before the merge",
	},
	{
		files: "`recipes/gates/*.yaml` and `slices.yaml` that a policy's pull request has edited",
		module: "gate/backtest.ts",
		can: "show in a comment how promoted models would be judged by them",
	},
	{
		files: "a dataset's `golden_*.manifest`",
		module: "data/manifest.ts",
		can: "say what the data's frames and labels are. Each line has a limit, and is held to a schema",
	},
	{
		files: "a dataset's `slices.yaml`, and the files that its manifests name",
		module: "data/dataset.ts",
		can: "decide the data's version and numbers. Regular files inside the dataset are counted and digested",
	},
	{
		files: "an imported dataset's `importer.json`, and the sources that it names",
		module: "data/imported.ts",
		can: "have the dataset made anew beside the old one. Written by an importer; sources are only compared with what they were",
	},
	{
		files: "`*.dvc`, `dvc.yaml`, `dvc.lock`",
		module: "data/dvc_pin.ts",
		can: "name the digest of the data that is fetched",
	},
	{
		files: "`.dvc/config` of the repository that a recipe names",
		module: "data/dvc.ts",
		can: "nothing before the training is approved: data are fetched by the base's recipe and configuration. Then DVC runs by it, and it may name programs",
	},
	{
		files: "weights at a `uri` in the repository",
		module: "plan/weights.ts",
		can: "be what a training starts from. A regular file or folder, by the digest that the experiment names; its digest is not told",
	},
	{
		files: "Python of `trainer/`",
		module: "trainer/trainer.ts",
		can: "be digested into the run's id. They run in a job with `contents: read` on a hosted runner, and in a training after its approval",
	},
	{
		files: "`reports/*/entry.json`, `reports/*/promotion.json`",
		module: "registries/recorded.ts",
		can: "nothing: a plan on a runner without the registry reads them from the base, and the runner that trains plans again",
	},
	{
		files: "`.github/proving-ground.yaml`",
		module: "project.ts",
		can: "nothing: it is read from the base, whichever head is looked at",
	},
	{
		files: "`recipes/proposals/*.yaml`",
		module: "propose/proposal_file.ts",
		can: "open pull requests, from the default branch alone",
	},
	{
		files: "the commits and the tree themselves",
		module: "git/checkouts.ts",
		can: "lie in a folder of their own, named by the commit. Git runs no hook of theirs",
	},
];

/** What opens files that no head brings: the runner's own state, and what a stage before it wrote. */
export const OWN_STATE: Record<string, string> = {
	"action.ts": "documents that an earlier step of the same job wrote",
	"artefacts.ts": "folders of the store and the registry, each file by the digest that its manifest lists",
	"documents.ts": "documents that an earlier step wrote, each held to its schema",
	"executors/job_folder.ts": "the jobs folder",
	"executors/local.ts": "the jobs folder",
	"executors/process_group.ts": "/proc",
	"experiment/tree.ts": "files of the base",
	"files.ts": "what the readers ask for: regular files inside a root, up to a size",
	"gate/waived_checks.ts": "the model card that the same job wrote",
	"page/pages.ts": "reports of the default branch",
	"promote/record.ts": "the record that the same job wrote",
	"propose/forecast.ts": "recipes of the default branch",
	"registries/folder.ts": "the registry",
	"stores/folder.ts": "the store",
};

const OPENS =
	/\b(readRegular|readRegularIfThere|openRegular|digestRegular|readFile|readFileSync|createReadStream|loadFile|readdir|readDocument|cp)\(/;

/** The modules of actions/lib that open files by themselves. */
export function openers(): string[] {
	return globSync("actions/lib/**/*.ts", { cwd: root })
		.filter((file) => !file.includes("/generated/") && OPENS.test(text(file).replaceAll(/function \w+\(/g, "")))
		.map((file) => path.relative("actions/lib", file))
		.sort();
}

/** All modules that a file imports, itself among them, by their place in actions/lib; types are no code. */
function reached(file: string, seen = new Set<string>()): Set<string> {
	if (seen.has(file) || !existsSync(path.join(root, file))) return seen;
	seen.add(file);
	for (const [, from] of text(file).matchAll(/^(?:import|export)(?! type\b)[^"]*?from "(\.[^"]+)"/gms))
		reached(path.join(path.dirname(file), from!), seen);
	for (const [, from] of text(file).matchAll(/import\("(\.[^"]+)"\)/g))
		reached(path.join(path.dirname(file), from!), seen);
	return seen;
}

const LOOK = "actions/lib/git/checkouts.ts";

export function readsOf(action: string): Set<string> {
	const main = `actions/${action}/main.ts`;
	// What every action shares also opens the repository, where it's asked to.
	const modules = reached(main, new Set(text(main).includes("openWorkspace") ? [] : ["actions/lib/project.ts"]));
	return new Set([...modules].map((file) => path.relative("actions/lib", file)));
}

interface Step {
	uses?: string;
	run?: string;
	with?: Record<string, unknown>;
}

/** A job that reads a head: the one of its event, or those that it looks up itself. */
export interface HeadJob {
	name: string;
	/** The head is what the job works in, or lies in a folder beside it. */
	how: "as its workspace" | "as data";
	runner: string;
	approval: string;
	token: string;
	actions: string[];
}

interface Job {
	if?: string;
	"runs-on": string;
	environment?: string | { name: string };
	permissions?: Record<string, string>;
	steps?: Step[];
}

/** The jobs of all workflows that read a head. */
export function headJobs(): HeadJob[] {
	return globSync(".github/workflows/*.yml", { cwd: root })
		.sort()
		.flatMap((file) => {
			const workflow = parse(text(file)) as { on: Record<string, unknown>; jobs: Record<string, Job> };
			return Object.entries(workflow.jobs).flatMap(([id, job]) => {
				const ofPulls = "pull_request" in workflow.on && !isOfOtherEvents(job.if ?? "");
				const found = describeJob(`${path.basename(file, ".yml")}/${id}`, job, ofPulls);
				return found ? [found] : [];
			});
		});
}

/** Whether a condition names the events that a job is for, none of which has a head. */
function isOfOtherEvents(condition: string): boolean {
	const events = [...condition.matchAll(/github\.event_name == '(\w+)'/g)].map(([, event]) => event);
	return events.length > 0 && !condition.includes("!=") && !events.includes("pull_request");
}

function describeJob(name: string, job: Job, ofPulls: boolean): HeadJob | null {
	const steps = job.steps ?? [];
	const actions = steps.flatMap(({ uses }) => /^\$\/actions\/(\w+)$/.exec(uses ?? "")?.[1] ?? []);
	const checkouts = steps.filter(({ uses }) => uses?.startsWith("actions/checkout@"));
	const ofHead = (ref: unknown) => (ref === undefined ? ofPulls : /head|refs\/pull/.test(String(ref)));
	const isWorkspace = checkouts.some(({ with: inputs = {} }) => !inputs["path"] && ofHead(inputs["ref"]));
	const isData =
		checkouts.some(({ with: inputs = {} }) => inputs["path"] && inputs["ref"] !== undefined && ofHead(inputs["ref"])) ||
		actions.some((action) => reached(`actions/${action}/main.ts`).has(LOOK));
	if (!isWorkspace && !isData) return null;
	const { environment } = job;
	const hosted = /^ubuntu-/.test(job["runs-on"]);
	return {
		name,
		how: isWorkspace ? "as its workspace" : "as data",
		runner: hosted ? "hosted" : "self-hosted",
		approval: typeof environment === "object" ? environment.name : (environment ?? "none"),
		token: Object.entries(job.permissions ?? {})
			.map(([right, level]) => `${right}: ${level}`)
			.join(", "),
		actions: [...new Set(actions)],
	};
}
