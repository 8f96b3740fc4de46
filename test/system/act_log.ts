// The lines that act writes become jobs and steps: conclusions, outputs, annotations, summaries and logs.

export interface StepResult {
	id: string;
	name: string;
	/** Pre and Post are an action's own. */
	stage: "Pre" | "Main" | "Post";
	conclusion: "success" | "failure" | "skipped" | "running";
	outputs: Record<string, string>;
	annotations: {
		level: "error" | "warning" | "notice";
		message: string;
		file?: string;
		line?: string;
		title?: string;
	}[];
	summary: string;
	log: string;
}

export interface JobResult {
	/** Its key in the workflow file. */
	id: string;
	name: string;
	matrix: Record<string, unknown>;
	conclusion: "success" | "failure" | "cancelled" | "skipped";
	steps: StepResult[];
	log: string;
	/** The step by its id. */
	step(id: string): StepResult;
}

/** What a runner writes in the place of a masked value. */
const MASK = "***";

interface Line {
	msg: string;
	level?: string;
	job?: string;
	jobID?: string;
	matrix?: Record<string, unknown>;
	jobResult?: string;
	stage?: StepResult["stage"];
	step?: string;
	stepID?: string[];
	stepResult?: StepResult["conclusion"];
	command?: string;
	name?: string;
	arg?: string;
	content?: string;
	kvPairs?: Record<string, string>;
	raw_output?: boolean;
}

/** Reads act's lines; `ids` are the jobs that run steps, so that those which never started are known as skipped. */
export function createReader(ids: string[]) {
	const jobs = new Map<string, JobResult>();
	const tolerated = new Set<StepResult>();
	const text: string[] = [];
	const faults: string[] = [];

	function jobOf({ jobID, job, matrix = {} }: Line): JobResult | null {
		if (!jobID) return null;
		const key = JSON.stringify([jobID, matrix]);
		const found = jobs.get(key);
		if (found) return found;
		const made = newJob(jobID, (job ?? jobID).replace(/^[^/]*\//, ""), matrix);
		jobs.set(key, made);
		return made;
	}

	function read(line: string): void {
		let entry: Line;
		try {
			entry = JSON.parse(line) as Line;
		} catch {
			text.push(line);
			return;
		}
		text.push(`${entry.job ?? ""} ${entry.msg}`.trimEnd());
		// An unmapped runner, or a file that act can't read, is a mistake of the test and no outcome.
		const isFatal = entry.level === "fatal" && !isMatrixOfSkipped(entry.msg);
		if (isFatal || entry.msg.includes("Skipping unsupported platform")) faults.push(entry.msg);
		const job = jobOf(entry);
		if (!job) return;
		if (entry.raw_output || entry.level === "error") job.log += entry.msg.endsWith("\n") ? entry.msg : `${entry.msg}\n`;
		if (entry.jobResult) job.conclusion = entry.jobResult as JobResult["conclusion"];
		if (entry.stage && entry.stepID) readStep(job, entry, tolerated, faults);
	}

	return {
		read,
		log: () => text.join("\n"),
		/** The jobs; throws where act could not run what the test meant, by its exit status or words. */
		finish(status: number): JobResult[] {
			if (status !== 0 && jobs.size === 0) faults.push("it refused the workflow");
			if (faults.length > 0) throw new Error(`act: ${faults.join("; ")}\n${text.join("\n")}`);
			for (const job of jobs.values()) {
				// act gives the outcome of one job of a matrix to those that end after it.
				const matrix = Object.keys(job.matrix).length > 0;
				const failed = job.steps.some(({ conclusion }) => conclusion === "failure");
				if (matrix && job.conclusion === "failure" && !failed) job.conclusion = "success";
			}
			// act names a job that calls a workflow beside those of the workflow that it calls.
			const known = [...jobs.values()].filter(({ id }) => ids.includes(id));
			const seen = new Set(known.map(({ id }) => id));
			return [...known, ...ids.filter((id) => !seen.has(id)).map((id) => newJob(id, id, {}))];
		},
	};
}

/** act looks for the matrix of a job that is skipped, too, before what it is made of is there; GitHub doesn't. */
function isMatrixOfSkipped(message: string): boolean {
	return message.startsWith("Failed to decode node") && /cannot unmarshal !!str `\$\{\{ /.test(message);
}

function newJob(id: string, name: string, matrix: Record<string, unknown>): JobResult {
	const steps: StepResult[] = [];
	return {
		id,
		name,
		matrix,
		conclusion: "skipped",
		steps,
		log: "",
		step(wanted) {
			const found = steps.find((step) => step.stage === "Main" && step.id === wanted);
			if (!found)
				throw new Error(`The job ${id} has no step ${wanted}; there are: ${steps.map((step) => step.id).join(", ")}`);
			return found;
		},
	};
}

function readStep(job: JobResult, entry: Line, tolerated: Set<StepResult>, faults: string[]): void {
	const id = entry.stepID!.join("/");
	let step = job.steps.find((other) => other.id === id && other.stage === entry.stage);
	if (!step) {
		step = {
			id,
			name: entry.step ?? id,
			stage: entry.stage!,
			conclusion: "running",
			outputs: {},
			annotations: [],
			summary: "",
			log: "",
		};
		job.steps.push(step);
	}
	// With continue-on-error the outcome is failure, the conclusion success.
	if (entry.msg === "Failed but continue next step") tolerated.add(step);
	if (entry.stepResult) step.conclusion = tolerated.has(step) ? "success" : entry.stepResult;
	if (entry.raw_output) step.log += entry.msg;
	if (entry.command === "set-output") {
		// act passes it on, and masks only what it shows; GitHub drops it with a warning, and the jobs that need it find nothing:
		// https://docs.github.com/en/actions/how-tos/write-workflows/choose-what-workflows-do/pass-job-outputs
		if (entry.msg.includes(MASK))
			faults.push(`GitHub drops the output ${entry.name} of ${job.id}: it has a masked value`);
		step.outputs[entry.name!] = entry.arg ?? "";
	}
	if (entry.command === "summary") step.summary += entry.content ?? "";
	const level = entry.command;
	if (level === "error" || level === "warning" || level === "notice") {
		const { file, line, title } = entry.kvPairs ?? {};
		step.annotations.push({
			level,
			message: entry.arg ?? "",
			...(file ? { file } : {}),
			...(line ? { line } : {}),
			...(title ? { title } : {}),
		});
	}
}
