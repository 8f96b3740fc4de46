// A gate policy becomes a table of what it would have said of every model in the registry, beside what it says at another revision.
import path from "node:path";
import { parseDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { loadSlices, MOST_BYTES } from "../experiment/files.ts";
import { parsePolicy } from "../experiment/policy.ts";
import { readRegular } from "../files.ts";
import type { Entry, EvalReport, PlanPolicy, Verdict } from "../generated/documents.d.ts";
import type { Registry } from "../plan/registry.ts";
import { evaluationKey, type Store } from "../plan/store.ts";
import { runCommand } from "../process.ts";
import { counted } from "../text/counted.ts";
import { code, renderTable } from "../text/markdown.ts";
import { runTrainer, type Trainer } from "../trainer/trainer.ts";
import { outcomeWords, scoreText } from "./check_words.ts";
import { judgeScores, type Measured } from "./gate.ts";

type Outcome = Verdict["outcome"];
type Scored = Omit<Measured, "policy">;

/** What the two policies say of one version; `missing` says why nothing can be told. */
export interface BacktestRow {
	model: string;
	version: number;
	experiment: string;
	registered_at: string;
	promoted: boolean;
	before: Outcome | null;
	after: Outcome | null;
	changed: { metric: string; slice: string | null; before: string; after: string }[];
	missing: string | null;
}

export interface Backtest {
	policy: string;
	/** A file of slices that took the place of those that were evaluated. */
	slices: string | null;
	against: string;
	/** False where the policy doesn't exist at the other revision. */
	known: boolean;
	rows: BacktestRow[];
}

/** Where models, their evaluations and the trainer are found. */
export interface BacktestPorts {
	root: string;
	registry: Registry;
	store: Store;
	trainer: Trainer;
}

/** Judges every version of the lines by a policy file as it is, on other slices where a file of them is given, and as it was; nothing is trained or measured again. Throws InvalidFile for mistakes in any. */
export async function backtestPolicy(
	{ root, registry, store, trainer }: BacktestPorts,
	file: string,
	{ against, models, slices }: { against: string; models: string[]; slices?: string | undefined },
): Promise<Backtest> {
	const relative = path.relative(root, path.resolve(root, file));
	// Where a pull request edits a policy, this reads its own, on a runner of the repository's.
	const bytes = await readRegular(root, relative, MOST_BYTES, relative);
	const text = bytes.toString("utf8");
	const after = await parsePolicy(relative, text);
	const older = await fileAt(root, against, relative);
	const before = older === null ? null : await parsePolicy(relative, older);
	const sliced = slices === undefined ? undefined : path.resolve(root, slices);
	if (sliced) await loadSlices(sliced);
	const rescore = sliced ? (folder: string) => rescoreEvaluation(trainer, folder, sliced) : undefined;
	const rows: BacktestRow[] = [];
	for (const model of models) {
		const { versions, approvals } = await registry.history(model);
		for (const { entry } of versions) {
			const promoted = approvals.some(({ version }) => version === entry.version);
			rows.push({ ...(await judgeTwice(entry, store, { before, after }, rescore)), promoted });
		}
	}
	return { policy: relative, slices: slices ?? null, against, known: before !== null, rows };
}

/** A file at a revision; null where it wasn't there. Throws InvalidInput where git doesn't know the revision. */
async function fileAt(root: string, revision: string, file: string): Promise<string | null> {
	const git = (...args: string[]) =>
		runCommand("git", ["-C", root, ...args], { env: { PATH: process.env["PATH"] ?? "" } });
	const known = await git("rev-parse", "--verify", "--quiet", "--end-of-options", `${revision}^{commit}`);
	if (known.code !== 0) throw new InvalidInput(`--against: git knows no revision ${JSON.stringify(revision)} here.`);
	// ./ is the folder of the project, which needn't be the repository's own.
	const shown = await git("show", `${known.output.trim()}:./${file.split(path.sep).join("/")}`);
	return shown.code === 0 ? shown.output : null;
}

async function judgeTwice(
	entry: Entry,
	store: Store,
	{ before, after }: { before: PlanPolicy | null; after: PlanPolicy },
	rescore: ((folder: string) => Promise<Scored>) | undefined,
): Promise<Omit<BacktestRow, "promoted">> {
	const { model, version, experiment, registered_at } = entry;
	const row = { model, version, experiment, registered_at, before: null, after: null, changed: [], missing: null };
	const folder = evaluationKey(model, entry.run, entry.evaluation);
	const key = `${folder}/eval_report.json`;
	const bytes = await store.get(key);
	if (!bytes) return { ...row, missing: "its evaluation is not in the store" };
	let report: EvalReport;
	try {
		report = await parseDocument("eval_report", bytes, key);
	} catch (error) {
		if (!(error instanceof InvalidInput)) throw error;
		return { ...row, missing: "another version of this tool wrote its evaluation" };
	}
	let scored: Scored = report;
	try {
		if (rescore) scored = await rescore(store.locate(folder));
	} catch (error) {
		if (!(error instanceof InvalidInput)) throw error;
		return { ...row, missing: `its statistics can't be scored again: ${error.message}` };
	}
	const then = before && judgeScores({ ...report, policy: before });
	const now = judgeScores({ ...scored, policy: after });
	return {
		...row,
		before: then?.outcome ?? null,
		after: now.outcome,
		changed: then ? differences(then.checks, now.checks) : [],
	};
}

/** An evaluation's scores on a file of slices, from its statistics; throws InvalidInput where they can't be read. */
async function rescoreEvaluation(trainer: Trainer, folder: string, slices: string): Promise<Scored> {
	return JSON.parse(await runTrainer(trainer, ["rescore", folder, "--slices", slices], "")) as Scored;
}

/** Checks whose outcome, or whose say in the verdict, is another. */
function differences(before: Verdict["checks"], after: Verdict["checks"]): BacktestRow["changed"] {
	const nameOf = ({ metric, slice, bound }: Verdict["checks"][number]) => JSON.stringify([metric, slice, bound]);
	const shown = (check: Verdict["checks"][number] | undefined) => (check ? outcomeWords(check) : "no rule");
	const [old, now] = [before, after].map((checks) => new Map(checks.map((check) => [nameOf(check), check])));
	return [...new Set([...old!.keys(), ...now!.keys()])].flatMap((name) => {
		const [was, is] = [old!.get(name), now!.get(name)];
		const { metric, slice } = (is ?? was)!;
		return shown(was) === shown(is) ? [] : [{ metric, slice, before: shown(was), after: shown(is) }];
	});
}

const MARKS: Record<Outcome, string> = { pass: "✅ pass", fail: "❌ fail", inconclusive: "⚠️ inconclusive" };

/** The table as Markdown, with what it comes to in a sentence before it. */
export function renderBacktest({ policy, slices, against, known, rows }: Backtest): string {
	const told = rows.filter(({ after }) => after !== null);
	const promoted = told.filter((row) => row.promoted);
	const stopped = promoted.filter(({ after }) => after !== "pass");
	const unlike = told.filter(({ before, after }) => known && before !== after);
	const differ = known
		? ` ${counted(unlike.length, "outcome differs", "outcomes differ")} from the policy at ${code(against)}.`
		: "";
	const summary =
		rows.length === 0
			? "The registry has no model yet, so there is nothing to judge."
			: `${told.length} of ${counted(rows.length, "model")} in the registry could be judged again from stored results. ${stopped.length} of ${counted(promoted.length, "promoted model")} would have been stopped.${differ}`;
	const table = renderTable(
		{
			head: [
				"model",
				"experiment",
				"registered",
				known ? `at ${code(against)}` : "before",
				"with this policy",
				"checks that differ",
			],
			align: "llllll",
			rest: "the document (--json)",
			rows: rows.map((row) => [
				`${code(row.model)} v${row.version}`,
				code(row.experiment),
				row.registered_at.slice(0, 10),
				row.before ? MARKS[row.before] : "–",
				row.after ? MARKS[row.after] : row.missing ? code(row.missing) : "–",
				row.changed.length === 0
					? "–"
					: row.changed
							.map(({ before, after, ...check }) => `${scoreText(check, code)}: ${before} → ${after}`)
							.join("<br>"),
			]),
		},
		100,
	);
	const on = slices === null ? "" : ` on the slices of ${code(slices)}`;
	const title = `### Backtest of ${code(policy)}${known ? "" : " (new)"}${on}`;
	return [title, summary, table].filter(Boolean).join("\n\n");
}
