// An experiment that is due, and its plan where there is one, become the title and the body of its pull request.
import { windowWords } from "../experiment/window.ts";
import type { Plan } from "../generated/documents.d.ts";
import { counted } from "../text/counted.ts";
import { code, fold } from "../text/markdown.ts";
import type { Due } from "./due.ts";
import type { ProposalRecipe } from "./proposal_file.ts";

/** Settings that are named; the plan in the pull request has all of them. */
const MOST_CHANGES = 12;

/** What a reviewer of the pull request has to know; `plan` is why there is none, where it is a text. */
export function renderProposal(due: Due, plan: Plan | string): string {
	const { recipe } = due;
	return `${[
		`${code(recipe.file)} proposes an experiment: ${code(recipe.description)}`,
		`### What triggered it\n\n${triggerText(due)}`,
		`### What changes\n\n${changesText(due, plan)}`,
		`### What it will cost\n\n${costText(recipe, plan)}`,
		`### How to stop it\n\n${stopText(due)}`,
	].join("\n\n")}\n`;
}

function triggerText({ recipe, tick, day, publication }: Due): string {
	const name = tick.slice(recipe.name.length + 1);
	if (!publication) {
		const what = name === day ? `the day ${code(name)}` : `the week ${code(name)}, which began on ${day}`;
		return `The schedule: ${what} (UTC). There is one pull request for each, whenever the schedule ran and however often.`;
	}
	const { event, data, revision } = publication;
	const at = `${code(data)} at ${code(revision)}`;
	if (event === "dataset.published") return `The event ${code(event)}: ${at}.`;
	const { slice, frames } = publication;
	const mined = frames === undefined ? "Frames" : counted(frames, "frame");
	return `The event ${code(event)}: ${mined} of the slice ${code(slice)} were mined and are in ${at}.`;
}

function changesText(due: Due, plan: Plan | string): string {
	const { experiment, files, publication, replaced } = due;
	const [own, data] = files;
	const items = [
		`adds ${code(own!.path)}: ${code(experiment.model)} is trained by ${code(experiment.recipe)} on ${code(experiment.data)}${windowWords(experiment.window)}, and judged by ${code(experiment.gates)}`,
	];
	if (data && publication)
		items.push(`sets the revision in ${code(data.path)} from ${code(replaced ?? "")} to ${code(publication.revision)}`);
	else if (publication)
		items.push(
			`leaves ${code(`recipes/data/${experiment.data}.yaml`)} as it is, which names no other revision than ${code(publication.revision)}: it trains on what that recipe says`,
		);
	if (typeof plan !== "string") items.push(settingsText(plan));
	return `${items.map((item) => `- ${item}`).join("\n")}\n\n${fold("The experiment", fence(own!.content))}`;
}

function settingsText({ changes, baseline }: Plan): string {
	if (!baseline) return "has nothing to be compared with: the line has no production model yet";
	const against = `production v${baseline.version}`;
	if (changes.length === 0) return `trains as ${against} was trained`;
	const shown = changes
		.slice(0, MOST_CHANGES)
		.map(({ path, production, candidate }) => `${code(path)} ${code(String(production))} → ${code(String(candidate))}`);
	const more = changes.length > MOST_CHANGES ? ` and ${changes.length - MOST_CHANGES} more` : "";
	return `differs from ${against} in: ${shown.join(", ")}${more}`;
}

function costText({ resolved }: ProposalRecipe, plan: Plan | string): string {
	const { max_minutes, price_usd_per_hour: price } = resolved.machine.value;
	const most = price === 0 ? "a machine that is paid for" : `at most $${((max_minutes / 60) * price).toFixed(2)}`;
	const limit = `It is stopped after ${max_minutes} minutes on ${code(resolved.experiment.value.machine)}: ${most}.`;
	if (typeof plan === "string")
		return `${limit} How much of that is not known here, the plan in this pull request will say: ${code(plan)}.`;
	const { estimate, run, data } = plan;
	const size = `${data.splits.train.frames} training frames, ${run.train.epochs} epochs`;
	if (estimate.seconds === null) return `${limit} How much of that is not known (${code(estimate.basis)}); ${size}.`;
	const money = price === 0 || estimate.cost_usd === null ? "" : `, $${estimate.cost_usd.toFixed(2)}`;
	const minutes = Math.max(1, Math.round(estimate.seconds / 60));
	return `About ${counted(minutes, "minute")}${money}, going by ${code(estimate.basis)}; ${size}. ${limit}`;
}

function stopText({ recipe, publication }: Due): string {
	const again = publication ? "this revision" : "this tick";
	const all = publication
		? `delete ${code(recipe.file)}`
		: `delete ${code(recipe.file)}, or lower its ${code("max_open")}: then it waits for pull requests to be merged or closed`;
	return [
		`- This one: close this pull request. What still runs for it is stopped, and ${again} isn't proposed again.`,
		"- Change it instead: push to its branch. It is planned anew, and nothing here is written over.",
		`- All of its kind: ${all}.`,
	].join("\n");
}

/** A block that no text in it can end. */
function fence(text: string): string {
	const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
	const marks = "`".repeat(longest + 1);
	return `${marks}yaml\n${text.trimEnd()}\n${marks}`;
}
