// Proposals, the clock, what was published and the branches of before become the experiments that are due.
import { isScalar, parseDocument, stringify } from "yaml";
import { sha256 } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { windowWords } from "../experiment/window.ts";
import type { Experiment } from "../generated/documents.d.ts";
import { addDays, utcDay } from "../text/days.ts";
import { notAmong } from "../text/problems.ts";
import type { ProposalRecipe } from "./proposal_file.ts";
import type { Asked, Publication } from "./publication.ts";

export const PREFIX = "propose/";

/** A pull request that is to be. */
export interface Proposal {
	/** What it is proposed for, once: `<name>/2026-W48`, `<name>/2026-11-25`, `<name>/<data>@<revision>`. */
	tick: string;
	branch: string;
	files: { path: string; content: string }[];
	title: string;
	body: string;
}

/** A moment at which a recipe's experiment is proposed. */
interface Tick {
	id: string;
	/** Of the experiment's name and the branch, after the recipe's name. */
	suffix: string;
	/** The first day that it stands for; null for an event. */
	day: string | null;
	publication: Publication | null;
}

/** An experiment that is due, before anybody knows what it costs. */
export interface Due extends Omit<Proposal, "body"> {
	recipe: ProposalRecipe;
	experiment: Experiment;
	/** The day of its schedule, or what was published. */
	day: string | null;
	publication: Publication | null;
	/** The revision that a data recipe named before; null where none is changed. */
	replaced: string | null;
}

/** Everything that decides what is due. */
export interface Moment extends Asked {
	recipes: readonly ProposalRecipe[];
	now: Date;
	proposed: ReadonlyMap<string, "open" | "closed">;
	/** Names of the experiments that the base branch has. */
	experiments: ReadonlySet<string>;
	/** Texts of recipes/data by name. */
	data: ReadonlyMap<string, string>;
	/** Open pull requests of all proposals together from which on what has a schedule waits. */
	maxOpen: number;
}

/** What is due now, in the order of priority and age, and the ticks that wait until fewer pull requests are open; throws InvalidInput. */
export function dueProposals(moment: Moment): { due: Due[]; waiting: string[] } {
	const { recipes, proposed, experiments, data, publication, byHand } = moment;
	if (publication && !data.has(publication.data)) {
		const there = notAmong(publication.data, [...data.keys()], "available");
		throw new InvalidInput(`${publication.event}: recipes/data/${publication.data}.yaml doesn't exist; ${there}`);
	}
	if (byHand !== null && !recipes.some(({ name }) => name === byHand)) {
		const names = recipes.map(({ name }) => name);
		throw new InvalidInput(`proposal: found ${JSON.stringify(byHand)}; ${notAmong(byHand, names, "available")}`);
	}
	const ticks = recipes
		.flatMap((recipe) => ticksOf(recipe, moment).map((tick) => ({ recipe, tick })))
		.filter(({ recipe, tick }) => !proposed.has(branchOf(recipe, tick)) && !experiments.has(nameOf(recipe, tick)))
		.sort(
			(a, b) =>
				b.recipe.priority - a.recipe.priority || compare(a.tick.day, b.tick.day) || compare(a.tick.id, b.tick.id),
		);
	const open = [...proposed].filter(([, state]) => state === "open").map(([branch]) => recipeOf(branch));
	const due: Due[] = [];
	const waiting: string[] = [];
	for (const { recipe, tick } of ticks) {
		const own = open.filter((name) => name === recipe.name).length;
		const mayWait = tick.publication === null && recipe.name !== byHand;
		if (mayWait && (own >= recipe.maxOpen || open.length >= moment.maxOpen)) {
			waiting.push(tick.id);
			continue;
		}
		open.push(recipe.name);
		due.push(draft(recipe, tick, data));
	}
	return { due, waiting };
}

/** Every tick of a recipe up to now. */
function ticksOf(recipe: ProposalRecipe, { now, publication, byHand }: Moment): Tick[] {
	const { name, on } = recipe;
	if ("event" in on) {
		if (!publication && name === byHand)
			throw new InvalidInput(`proposal: ${name} is proposed on ${on.event}: fill in event, data and revision too`);
		const heard = publication?.event === on.event && (!("data" in on) || on.data === publication.data);
		return heard ? [eventTick(recipe, publication)] : [];
	}
	const today = utcDay(now);
	const step = on.schedule === "weekly" ? 7 : 1;
	const begin = on.schedule === "weekly" ? addDays(on.since, (8 - weekday(on.since)) % 7) : on.since;
	const days: string[] = [];
	for (let day = begin; day <= today; day = addDays(day, step)) days.push(day);
	const current = on.schedule === "weekly" ? addDays(today, 1 - weekday(today)) : today;
	if (name === byHand && !days.includes(current)) days.push(current);
	return days.map((day) => {
		const id = on.schedule === "weekly" ? weekOf(day) : day;
		return { id: `${name}/${id}`, suffix: id.toLowerCase(), day, publication: null };
	});
}

/** The end of its name is a digest, so that no two events have one name, however alike they are. */
function eventTick({ name }: ProposalRecipe, publication: Publication): Tick {
	const { data, revision } = publication;
	const slice = publication.event === "slice.mined" ? publication.slice : null;
	const id = `${name}/${slice === null ? data : `${data}/${slice}`}@${revision}`;
	const digest = sha256(id).slice("sha256:".length, "sha256:".length + 8);
	const room = 40 - name.length - digest.length - 2;
	const word = (slice ?? revision)
		.toLowerCase()
		.replaceAll(/[^a-z0-9]/g, "")
		.slice(0, room);
	return { id, suffix: `${word}-${digest}`, day: null, publication };
}

function nameOf(recipe: ProposalRecipe, { suffix }: Tick): string {
	return `${recipe.name}-${suffix}`;
}

function branchOf(recipe: ProposalRecipe, tick: Tick): string {
	return `${PREFIX}${nameOf(recipe, tick)}`;
}

/** The recipe that a branch was proposed by on a schedule; its name is what is left without the tick, which has one form. */
function recipeOf(branch: string): string {
	return branch.slice(PREFIX.length).replace(/-(\d{4}-w\d{2}|\d{4}-\d{2}-\d{2})$/, "");
}

function draft(recipe: ProposalRecipe, tick: Tick, data: ReadonlyMap<string, string>): Due {
	const { publication, day } = tick;
	const experiment = { ...recipe.experiment };
	if (publication) experiment.data = publication.data;
	if (recipe.days !== null && day !== null)
		experiment.window = { from: addDays(day, -recipe.days), to: addDays(day, -1) };
	const name = nameOf(recipe, tick);
	const files = [{ path: `experiments/${name}.yaml`, content: experimentText(recipe, tick, experiment) }];
	const pinned = publication && setRevision(data.get(publication.data) ?? "", publication.revision);
	if (pinned) files.push({ path: `recipes/data/${experiment.data}.yaml`, content: pinned.text });
	const known = { recipe, experiment, day, publication, tick: tick.id };
	return { ...known, branch: branchOf(recipe, tick), files, title: titleOf(known), replaced: pinned?.before ?? null };
}

function experimentText(recipe: ProposalRecipe, { day, publication, id }: Tick, experiment: Experiment): string {
	const tick = id.slice(recipe.name.length + 1);
	const why = publication ? `${publication.event}, ${tick}` : tick === day ? tick : `${tick}, the week from ${day}`;
	return [
		"# yaml-language-server: $schema=./experiment.schema.json",
		`# Proposed by ${recipe.file} for ${why}.`,
		stringify(experiment, { lineWidth: 0 }),
	].join("\n");
}

/** A data recipe with another revision, and nothing else changed; null where it names none, or this one. */
export function setRevision(text: string, revision: string): { text: string; before: string } | null {
	const node = parseDocument(text).getIn(["dvc", "revision"], true);
	if (!isScalar(node) || !node.range || node.value === revision) return null;
	const [begin, end] = node.range;
	return { text: text.slice(0, begin) + stringify(revision).trimEnd() + text.slice(end), before: String(node.value) };
}

/** From 1, a Monday, to 7. */
function weekday(day: string): number {
	return new Date(`${day}T00:00:00Z`).getUTCDay() || 7;
}

/** The name of the ISO week that begins on a Monday; it belongs to the year of its Thursday. */
function weekOf(monday: string): string {
	const thursday = new Date(`${addDays(monday, 3)}T00:00:00Z`);
	const year = thursday.getUTCFullYear();
	const days = (thursday.getTime() - Date.UTC(year, 0, 1)) / (24 * 60 * 60 * 1000);
	return `${year}-W${String(Math.floor(days / 7) + 1).padStart(2, "0")}`;
}

function compare(a: string | null, b: string | null): number {
	return (a ?? "") < (b ?? "") ? -1 : (a ?? "") > (b ?? "") ? 1 : 0;
}

/** `weekly 2026-W48: perception-hydranet on scenes captured from … to …`. */
function titleOf({
	recipe,
	experiment,
	publication,
	tick,
}: Pick<Due, "recipe" | "experiment" | "publication" | "tick">): string {
	const of = `${experiment.model} on ${experiment.data}`;
	if (!publication) return `${tick.replace("/", " ")}: ${of}${windowWords(experiment.window)}`;
	const revision = publication.revision.slice(0, MOST_REVISION);
	const slice = publication.event === "slice.mined" ? `, for the slice ${publication.slice}` : "";
	return `${recipe.name}: ${of} at ${revision}${slice}`;
}

/** Characters of a revision in a title. */
const MOST_REVISION = 60;
