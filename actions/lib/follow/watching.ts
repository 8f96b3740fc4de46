// While jobs are followed: what their pull request wants by now, and what people see of them.
import { InvalidInput } from "../errors.ts";
import type { Jobs, Plan } from "../generated/documents.d.ts";
import type { GitHub } from "../github/objects.ts";
import { requireHead } from "./head.ts";
import { type Place, showExperiment } from "./showing.ts";

/** Throws InvalidInput where a pull request isn't open, isn't of this repository, or has another head than the one that was planned. */
export async function requireCurrent(pull: { github: GitHub; place: Place } | null): Promise<void> {
	if (!pull) return;
	const { number, head } = pull.place;
	const now = await pull.github.pullRequest(number);
	if (now.head.fork) throw new InvalidInput(`#${number} comes from a fork: it is planned but never run.`);
	if (now.state !== "open") throw new InvalidInput(`#${number} is closed: nothing is started for it.`);
	requireHead(now, head.sha);
}

/** How often a followed job is shown, and its pull request looked at, which takes six requests: the token has a thousand an hour. */
const EVERY_MS = 120_000;

/** Acts on what is seen of jobs now and then; a failure stops nothing. */
function nowAndThen(
	act: (jobs: Jobs) => Promise<unknown>,
	{ atOnce, failed }: { atOnce: boolean; failed: (error: Error) => void },
): (jobs: Jobs) => void {
	let last = atOnce ? Number.NEGATIVE_INFINITY : Date.now();
	return (jobs) => {
		if (Date.now() - last < EVERY_MS) return;
		last = Date.now();
		act(jobs).catch(failed);
	};
}

/** Stops jobs that are followed once their pull request is closed, or its head has the experiment no more: of a push that takes the last one out no workflow hears. */
export function unwantedStopper(
	plan: Plan,
	pull: { github: GitHub; place: Place } | null,
	{ stop, say }: { stop: (jobs: Jobs) => Promise<void>; say: (line: string) => void },
): (jobs: Jobs) => void {
	if (!pull) return () => {};
	const { github, place } = pull;
	const whyUnwanted = async ({ jobs }: Jobs) => {
		const { state, merged, head } = await github.pullRequest(place.number);
		// Promotion needs the evaluation of what is merged.
		if (merged && jobs.at(-1)?.kind === "evaluate") return null;
		if (state === "closed") return "is closed";
		if (head.sha === place.head.sha || (await github.hasFile(plan.experiment.file, head.sha))) return null;
		return `no longer has ${plan.experiment.file}`;
	};
	const act = async (jobs: Jobs) => {
		const why = await whyUnwanted(jobs);
		if (why === null) return;
		say(`#${place.number} ${why}: its jobs are asked to stop.`);
		await stop(jobs);
	};
	const failed = ({ message }: Error) =>
		say(`Could not check whether the pull request still wants the jobs: ${message}`);
	return nowAndThen(act, { atOnce: false, failed });
}

/** Shows how far jobs are while they are followed; a failure to show is said. */
export function progressShower(
	plan: Plan,
	pull: { github: GitHub; place: Place } | null,
	say: (line: string) => void,
): (jobs: Jobs) => void {
	if (!pull) return () => {};
	const failed = ({ message }: Error) => say(`Could not show the progress: ${message}`);
	return nowAndThen((jobs) => showExperiment(pull.github, pull.place, { plan, jobs }), { atOnce: true, failed });
}
