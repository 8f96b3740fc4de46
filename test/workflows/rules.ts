// A workflow file becomes who may do what by it (one row for each job), and what it breaks of the rules that act and GitHub don't enforce.
import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";

interface Step {
	uses?: string;
	run?: string;
	with?: Record<string, unknown>;
}

interface Job {
	name?: string;
	if?: string | boolean;
	uses?: string;
	secrets?: unknown;
	"runs-on"?: unknown;
	environment?: string | { name: string };
	concurrency?: string | Record<string, unknown>;
	permissions?: Record<string, string>;
	"timeout-minutes"?: number;
	steps?: Step[];
}

interface Workflow {
	on: string | string[] | Record<string, unknown>;
	permissions?: unknown;
	concurrency?: string | Record<string, unknown>;
	jobs: Record<string, Job>;
}

export interface Row {
	workflow: string;
	job: string;
	events: string;
	condition: string;
	runner: string;
	environment: string;
	concurrency: string;
	permissions: string;
	secrets: string;
}

const HOSTED = /^(ubuntu|windows|macos)-[\w.-]+$/;
const FORBIDDEN = ["pull_request_target", "workflow_run"];

/** One row for each job of the file. */
export function describeWorkflow(file: string, text: string): Row[] {
	const document = parseDocument(text);
	const workflow = document.toJS() as Workflow;
	return Object.entries(workflow.jobs).map(([id, job]) => ({
		workflow: file,
		job: id,
		events: describeEvents(workflow.on),
		condition: flat(job.if) || "always",
		runner: job.uses ? `as ${job.uses}` : flat(job["runs-on"]),
		environment: typeof job.environment === "object" ? job.environment.name : (job.environment ?? ""),
		concurrency: [workflow.concurrency, job.concurrency].map(describeConcurrency).filter(Boolean).join("; "),
		permissions: permissionsOf(document.getIn(["jobs", id, "permissions"]))
			.map(({ name, level, reason }) => `${name}: ${level} (${reason ?? "no reason"})`)
			.join("; "),
		secrets: secretsOf(job).join(", "),
	}));
}

/** What the file breaks of the rules; empty where it keeps them. */
export function checkWorkflow(text: string): string[] {
	const document = parseDocument(text);
	const workflow = document.toJS() as Workflow;
	const events = eventsOf(workflow.on);
	const problems: string[] = [];
	const top = workflow.permissions;
	if (!top || typeof top !== "object" || Object.keys(top).length > 0)
		problems.push("permissions at the top must be {}");
	for (const event of FORBIDDEN)
		if (events.includes(event)) problems.push(`${event} runs with the repository's rights on what a fork brought`);
	if (/#.*(zizmor|actionlint|shellcheck|yamllint|check-jsonschema)\b.*(ignore|disable)/i.test(text))
		problems.push("a comment turns a rule off");
	problems.push(...checkPins(text));
	if (events.includes("workflow_call")) problems.push(...checkGroups(workflow));
	problems.push(...checkCancelling(workflow));
	for (const [id, job] of Object.entries(workflow.jobs)) {
		const permissions = permissionsOf(document.getIn(["jobs", id, "permissions"]));
		const found = [
			...checkJob(workflow, job),
			...permissions.filter(({ reason }) => !reason).map(({ name }) => `permission ${name} has no reason beside it`),
			...checkSteps(job),
			...(isPrivileged(job) ? checkPrivileged(job, events) : []),
		];
		problems.push(...found.map((problem) => `${id}: ${problem}`));
	}
	return problems;
}

/** Whether forks are kept out of a job by its condition: each way to be true has a conjunct that says so. */
export function keepsForksOut(condition: string): boolean {
	const text = unwrap(condition);
	const ways = split(text, "||");
	if (ways.length > 1) return ways.every(keepsForksOut);
	const all = split(text, "&&");
	if (all.length > 1) return all.some(keepsForksOut);
	return GUARDS.some((guard) => guard.test(text));
}

const head = String.raw`github\.event\.pull_request\.head\.repo`;
const GUARDS = [
	new RegExp(String.raw`^${head}\.full_name == github\.repository$`),
	new RegExp(String.raw`^${head}\.id == github\.(event\.repository\.id|repository_id)$`),
	new RegExp(String.raw`^!${head}\.fork$`),
	/^github\.event_name != 'pull_request'$/,
	/^github\.event_name == '(?!pull_request')\w+'$/,
];

function unwrap(condition: string): string {
	const text = condition
		.trim()
		.replace(/^\$\{\{(.*)\}\}$/s, "$1")
		.trim();
	const whole = text.startsWith("(") && text.endsWith(")") && split(text.slice(1, -1), ")").length === 1;
	return whole ? unwrap(text.slice(1, -1)) : text;
}

/** Splits where the operator stands outside of brackets; for ")" where a bracket closes that was never opened. */
function split(text: string, operator: string): string[] {
	const parts: string[] = [];
	let depth = 0;
	let start = 0;
	for (let i = 0; i < text.length; i++) {
		if (depth === 0 && text.startsWith(operator, i)) {
			parts.push(text.slice(start, i));
			start = i + operator.length;
			i = start - 1;
		} else if (text[i] === "(") depth += 1;
		else if (text[i] === ")") depth -= 1;
	}
	return [...parts, text.slice(start)].map((part) => part.trim());
}

/** Whether the job can write, spend, or reach what is not GitHub's. */
function isPrivileged(job: Job): boolean {
	const writes = Object.values(job.permissions ?? {}).includes("write");
	return writes || secretsOf(job).length > 0 || job.environment !== undefined || (!job.uses && !isHosted(job));
}

function isHosted(job: Job): boolean {
	return typeof job["runs-on"] === "string" && HOSTED.test(job["runs-on"]);
}

/** Whether a job runs on other events than a pull request's alone. */
function isElsewhere(condition: string): boolean {
	return split(unwrap(condition), "&&").some((part) => /^github\.event_name == '(?!pull_request')\w+'$/.test(part));
}

function checkJob(workflow: Workflow, job: Job): string[] {
	const problems: string[] = [];
	if (!job.name) problems.push("it has no name");
	if (!job.permissions) problems.push("it declares no permissions");
	if (!job.uses && !job["timeout-minutes"]) problems.push("it has no timeout-minutes");
	if (!workflow.concurrency && !job.concurrency) problems.push("nothing limits how many run at once");
	if (job.secrets === "inherit") problems.push("it hands on every secret");
	return problems;
}

/** Groups are the caller's repository's: a workflow that waits for its caller, which has the same, is cancelled. */
function checkGroups(workflow: Workflow): string[] {
	return [workflow, ...Object.values(workflow.jobs)].flatMap(({ concurrency }) => {
		const group = typeof concurrency === "object" ? String(concurrency["group"]) : concurrency;
		if (group === undefined || group.startsWith("proving-ground-")) return [];
		return [`the concurrency group ${group} may be its caller's own: begin it with proving-ground-`];
	});
}

/** Whoever starts a workflow by hand fills in its form: what a group takes from there would cancel the runs of others. */
function checkCancelling(workflow: Workflow): string[] {
	return [workflow, ...Object.values(workflow.jobs)].flatMap(({ concurrency }) => {
		if (typeof concurrency !== "object" || !concurrency["cancel-in-progress"]) return [];
		const group = String(concurrency["group"]);
		return /\binputs\b/.test(group) ? [`the concurrency group ${group} cancels what its form names`] : [];
	});
}

function checkPins(text: string): string[] {
	return [...text.matchAll(/^\s*(?:-\s+)?uses:\s*(.+)$/gm)].flatMap(([, used]) => {
		if (used!.startsWith("$/")) return [];
		if (used!.startsWith("./")) return [`${used}: an action of this repository is written $/`];
		return /^[\w.-]+\/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*$/.test(used!)
			? []
			: [`${used}: it must be pinned by a commit of 40 digits, with its version in a comment`];
	});
}

function checkSteps(job: Job): string[] {
	const pushes =
		job.permissions?.["contents"] === "write" &&
		(job.steps ?? []).some((step) => /\bgit\b.*\bpush\b/.test(step.run ?? ""));
	return (job.steps ?? []).flatMap((step) => {
		const problems: string[] = [];
		if (step.run?.includes("${{")) problems.push("an expression inside run: hand it over in env");
		const checksOut = step.uses?.startsWith("actions/checkout@");
		if (checksOut && String(step.with?.["persist-credentials"]) !== "false" && !pushes)
			problems.push("a check-out keeps its credentials, and nothing pushes");
		if (step.with?.["clean"] === false) problems.push("a check-out leaves there what another has brought");
		if (checksOut && /head|refs\/pull/.test(String(step.with?.["ref"] ?? "")) && step.with?.["path"] !== "head")
			problems.push("a head is checked out over the workspace: give it the path head, as data");
		return problems;
	});
}

function checkPrivileged(job: Job, events: string[]): string[] {
	const problems: string[] = [];
	if (events.includes("pull_request") && !keepsForksOut(flat(job.if)))
		problems.push("it may write, spend or see a secret, and its if doesn't keep forks out");
	if (events.includes("pull_request") && !isHosted(job) && !job.environment && !isElsewhere(flat(job.if)))
		problems.push(
			"it runs what nobody has approved beside the store: give it an environment, or start it by another event",
		);
	for (const { uses = "", with: inputs = {} } of job.steps ?? []) {
		// What an untrusted job leaves in a cache or an artefact would run here, or decide.
		if (/^actions\/cache\b/.test(uses) || inputs["cache"] !== undefined)
			problems.push(`${uses} takes a cache that others may fill`);
		if (uses.startsWith("actions/download-artifact@") && !/^plans?\b/.test(String(inputs["name"] ?? "")))
			problems.push("it takes an artefact other than the plan's documents");
	}
	return problems;
}

function permissionsOf(node: unknown): { name: string; level: string; reason: string | null }[] {
	if (!isMap(node)) return [];
	return (node as YAMLMap).items.map(({ key, value }) => ({
		name: String(key),
		level: isScalar(value) ? String(value.value) : "",
		reason: isScalar(value) ? (value.comment?.trim() ?? null) : null,
	}));
}

function secretsOf(job: Job): string[] {
	const found = JSON.stringify(job).matchAll(/\bsecrets\.(\w+)|\b(?:secrets\[|toJSON\(secrets\))/g);
	const names = [...found].map(([, name]) => name ?? "any");
	return [...new Set(names)].filter((name) => name !== "GITHUB_TOKEN").sort();
}

function eventsOf(on: Workflow["on"]): string[] {
	return typeof on === "string" ? [on] : Array.isArray(on) ? on : Object.keys(on);
}

function describeEvents(on: Workflow["on"]): string {
	if (typeof on === "string" || Array.isArray(on)) return eventsOf(on).join("; ");
	return Object.entries(on)
		.map(([event, filter]) => {
			const known = Array.isArray(filter) ? { cron: filter.map(({ cron }) => cron) } : filter;
			const { inputs, ...rest } = (known ?? {}) as { inputs?: object };
			const words = Object.entries(rest).map(([key, value]) => `${key} ${[value].flat().map(flat).join(" or ")}`);
			const form = inputs ? [`form ${Object.keys(inputs).join(", ")}`] : [];
			return [event, ...words, ...form].join(", ");
		})
		.join("; ");
}

function describeConcurrency(concurrency: Workflow["concurrency"]): string {
	if (!concurrency) return "";
	if (typeof concurrency === "string") return concurrency;
	const { group, queue, "cancel-in-progress": cancel } = concurrency;
	return [group, queue ? `queue ${queue}` : "", cancel === true ? "cancels" : flat(cancel === false ? "" : cancel)]
		.filter(Boolean)
		.join(", ");
}

function flat(value: unknown): string {
	const text = typeof value === "string" ? value : value === undefined || value === null ? "" : JSON.stringify(value);
	return text.replaceAll(/\s+/g, " ").trim();
}
