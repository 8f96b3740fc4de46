// An experiment that is due, and its plan where there is one, become the title and the body of its pull request.
import { windowWords } from "../experiment/window.ts";
import type { Plan } from "../generated/documents.d.ts";
import { counted } from "../text/counted.ts";
import { code, fold } from "../text/markdown.ts";
import type { Due } from "./due.ts";
import type { ProposalRecipe } from "./proposal_file.ts";

/** Settings that are named; the plan in the pull request has all of them. */
const MOST_CHANGES = 12;

// GitHub makes both: one that was dispatched, and since June 2026 one that waits, of the pull request that a workflow opened.
const RUN =
	"The workflow `experiment` plans it and waits for the approval of its spend. If GitHub shows a second run of it that waits for approval to run workflows, leave that one: approved, it cancels the first and starts the same again.";

/** What a reviewer of the pull request has to know; `plan` is why there is none, where it is a text. */
export function renderProposal(due: Due, plan: Plan | string): string {
	const { recipe } = due;
	return `${[
		`${code(recipe.file)} proposes an experiment: ${code(recipe.description)}`,
		`### What triggered it\n\n${triggerText(due)}`,
		`### What changes\n\n${changesText(due, plan)}`,
		`### What it will cost\n\n${costText(recipe, plan)}`,
		`### How to run it\n\n${RUN}`,
		`### How to stop it\n\n${stopText(due)}`,
	].join("\n\n")}\n`;
}

function triggerText({ recipe, tick, day, publication }: Due): string {
	const name = tick.slice(recipe.name.length + 1);
	if (!publication) {
		const tick = name === day ? `the day ${code(name)}` : `the week ${code(name)} from ${day}`;
		return `The schedule, for ${tick} (UTC). Each ${name === day ? "day" : "week"} gets one pull request, however often the schedule runs.`;
	}
	const { event, data, revision } = publication;
	const at = `${code(data)} at ${code(revision)}`;
	if (event === "dataset.published") return `The event ${code(event)}: ${at}.`;
	const { slice, frames } = publication;
	const mined = frames === undefined ? "Frames" : counted(frames, "frame");
	return `The event ${code(event)}: ${mined} of the slice ${code(slice)} mined into ${at}.`;
}

function changesText(due: Due, plan: Plan | string): string {
	const { experiment, files, publication, replaced } = due;
	const [own, data] = files;
	const items = [
		`adds ${code(own!.path)}: trains ${code(experiment.model)} with ${code(experiment.recipe)} on ${code(experiment.data)}${windowWords(experiment.window)}, judged by ${code(experiment.gates)}`,
	];
	if (data && publication)
		items.push(`sets the revision in ${code(data.path)} from ${code(replaced ?? "")} to ${code(publication.revision)}`);
	else if (publication)
		items.push(
			`doesn't change ${code(`recipes/data/${experiment.data}.yaml`)}, which pins no revision other than ${code(publication.revision)}`,
		);
	if (typeof plan !== "string") items.push(settingsText(plan));
	return `${items.map((item) => `- ${item}`).join("\n")}\n\n${fold("The experiment", fence(own!.content))}`;
}

function settingsText({ changes, baseline }: Plan): string {
	if (!baseline) return "compares with nothing: the line has no production model yet";
	const against = `production v${baseline.version}`;
	if (changes.length === 0) return `has the same settings and data as ${against}`;
	const shown = changes
		.slice(0, MOST_CHANGES)
		.map(({ path, production, candidate }) => `${code(path)} ${code(String(production))} → ${code(String(candidate))}`);
	const more = changes.length > MOST_CHANGES ? ` and ${changes.length - MOST_CHANGES} more` : "";
	return `differs from ${against} in: ${shown.join(", ")}${more}`;
}

function costText({ resolved }: ProposalRecipe, plan: Plan | string): string {
	const { max_minutes, price_usd_per_hour: price } = resolved.machine.value;
	const most = price === 0 ? "no hourly price" : `at most $${((max_minutes / 60) * price).toFixed(2)}`;
	const limit = `Stopped after ${max_minutes} minutes on ${code(resolved.experiment.value.machine)}: ${most}.`;
	if (typeof plan === "string")
		return `${limit} No estimate yet (${code(plan)}); the plan in this pull request will have one.`;
	const { estimate, run, data } = plan;
	const size = `${counted(data.splits.train.frames, "training frame")}, ${counted(run.train.epochs, "epoch")}`;
	if (estimate.seconds === null) return `${limit} No estimate (${code(estimate.basis)}); ${size}.`;
	const money = price === 0 || estimate.cost_usd === null ? "" : `, $${estimate.cost_usd.toFixed(2)}`;
	const minutes = Math.max(1, Math.round(estimate.seconds / 60));
	return `About ${counted(minutes, "minute")}${money} (basis: ${code(estimate.basis)}); ${size}. ${limit}`;
}

function stopText({ recipe, publication }: Due): string {
	const again = publication ? "this revision" : "this date";
	const all = publication
		? `delete ${code(recipe.file)}`
		: `delete ${code(recipe.file)}, or lower its ${code("max_open")} to limit how many are open at once`;
	return [
		`- To stop this one, close this pull request. Its jobs are stopped, and ${again} isn't proposed again.`,
		"- To change it, push to this branch. It is planned again, and your changes are kept.",
		`- To stop all of them, ${all}.`,
	].join("\n");
}

/** A block that no text in it can end. */
function fence(text: string): string {
	const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
	const marks = "`".repeat(longest + 1);
	return `${marks}yaml\n${text.trimEnd()}\n${marks}`;
}
