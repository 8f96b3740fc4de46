// The stages as processes: what is there before each, and what it does with the ports that it's given.
import { rm } from "node:fs/promises";
import { PassThrough } from "node:stream";
import * as cli from "../../actions/cli/stages.ts";
import { writeDocument } from "../../actions/lib/documents.ts";
import { follow, judgeEvaluation } from "../../actions/lib/follow/follow.ts";
import { revertMerge } from "../../actions/lib/follow/rollback.ts";
import { settleMerged } from "../../actions/lib/follow/settle.ts";
import { showAll } from "../../actions/lib/follow/showing.ts";
import { openGit } from "../../actions/lib/git/git.ts";
import type { GitHub } from "../../actions/lib/github/objects.ts";
import { documentsOf } from "../../actions/lib/plan/plan_files.ts";
import type { Project } from "../../actions/lib/project.ts";
import { promote } from "../../actions/lib/promote/promote.ts";
import { recordPromotion } from "../../actions/lib/promote/record.ts";
import { forgeOn } from "../../actions/lib/propose/forge.ts";
import { proposeDue } from "../../actions/lib/propose/propose.ts";
import { followJobs, lookAtJobs, unseenJobs } from "../../actions/lib/train/train.ts";
import { experiment, fileOf } from "../lib/follow/merged/repository.ts";
import { makeRepository, proposal, readWith, since } from "../lib/propose/proposals/repository.ts";
import type { World } from "./world.ts";

interface Ports {
	project: Project;
	github: GitHub;
}

export interface Stage {
	prepare(world: World): Promise<unknown>;
	run(world: World, ports: Ports): Promise<unknown>;
}

const FILE = fileOf("second");
const contextOf = (project: Project): cli.Context => ({
	project,
	say: () => {},
	live: new PassThrough() as unknown as NodeJS.WriteStream,
});
const nothing = () => {};

/** The jobs of a plan, with the ports and followed without a pause. */
async function train({ project }: Ports) {
	const plan = await cli
		.plan(contextOf(project), FILE)
		.then(({ document }) => document as Parameters<typeof followJobs>[0]);
	const { store, registry } = project;
	const ports = { executor: project.executorFor(plan.machine), store, registry, pullRequest: 9 };
	const jobs = await followJobs(plan, ports, { pollMs: 1 });
	await writeDocument("jobs", jobs, `${documentsOf(project.state, "second")}/jobs.json`);
	return { plan, jobs };
}

/** Production, and beside it a file that is committed and was never planned. */
async function written({ at }: World) {
	at.push({ [FILE]: experiment({ seed: 1 }) });
}

async function reported(world: World) {
	const ports = { project: world.at.project } as Ports;
	await written(world);
	await train(ports);
	await cli.report(contextOf(ports.project), FILE);
}

async function gated(world: World) {
	await reported(world);
	await cli.gate(contextOf(world.at.project), FILE);
}

async function registered(world: World) {
	await gated(world);
	await cli.promote(contextOf(world.at.project), FILE, { by: "ann", pending: true });
}

/** A good and a poor experiment, both merged and neither settled. */
async function merged({ at }: World) {
	await at.bring("second", experiment({ seed: 1 }));
	await at.bring("poor", experiment({ seed: 2 }), 0.05);
}

/** A pull request whose experiment is trained and not evaluated. */
async function open({ at }: World) {
	const number = at.open({ [FILE]: experiment({ seed: 1 }) });
	const plan = await at.judge(number, "second");
	// The evaluation is what following starts.
	for (const [id, job] of at.executor.ended)
		if (job.kind === "evaluate" && id.startsWith("second")) at.executor.ended.delete(id);
	at.executor.started.splice(0);
	return plan;
}

const settle = async ({ at }: World, { project, github }: Ports) =>
	settleMerged({ project, git: openGit(at.home), github }, { branch: "main", days: 30, say: nothing });

const numberOf = ({ at }: World) => at.server.pulls.find(({ state, head }) => state === "open" && head.sha)!.number;
const due = makeRepository().then((root) =>
	readWith(root, { mine: proposal({ schedule: "weekly", since }, { window: { days: 28 } }) }).finally(() =>
		rm(root, { recursive: true }),
	),
);

async function judge({ at }: World, { project, github }: Ports) {
	const plan = (await cli.plan(contextOf(project), FILE)).document as Parameters<typeof followJobs>[0];
	const { store, registry } = project;
	const jobs = await lookAtJobs(plan, unseenJobs(plan), {
		executor: project.executorFor(plan.machine),
		store,
		registry,
	});
	const pull = { github, place: { number: null, head: { sha: at.sha() } } };
	return { plan, jobs, ...(await judgeEvaluation(plan, jobs, { ...project, home: at.home }, pull)) };
}

export const STAGES: Record<string, Stage> = {
	plan: { prepare: written, run: (_, { project }) => cli.plan(contextOf(project), FILE) },
	train: { prepare: written, run: (_, ports) => train(ports) },
	report: {
		prepare: async (world) => {
			await written(world);
			await train({ project: world.at.project } as Ports);
		},
		run: (_, { project }) => cli.report(contextOf(project), FILE),
	},
	gate: { prepare: reported, run: (_, { project }) => cli.gate(contextOf(project), FILE) },
	comment: {
		prepare: open,
		async run(world, ports) {
			const place = await ports.github.pullRequest(numberOf(world));
			const documents = await follow(
				place.number,
				{ ...ports, git: openGit(world.at.home) },
				{ stop: false, question: "", say: nothing },
			);
			const [followed] = documents[0]!.experiments;
			if (!followed || !("documents" in followed)) throw new Error("There is no experiment to show.");
			return showAll({ github: ports.github, place }, { documents: followed.documents, refused: [] });
		},
	},
	register: {
		prepare: gated,
		run: (_, { project }) => cli.promote(contextOf(project), FILE, { by: "ann", pending: true }),
	},
	approve: { prepare: registered, run: (_, { project }) => cli.promote(contextOf(project), FILE, { by: "ann" }) },
	record: {
		prepare: registered,
		async run(world, ports) {
			const { plan, report, verdict, evaluation } = await judge(world, ports);
			const promotion = await promote(
				{ plan, report, verdict, approve: true, by: "mia", now: new Date() },
				ports.project,
			);
			const record = {
				plan,
				report,
				verdict,
				promotion,
				card: evaluation.card,
				commit: world.at.sha(),
				pullRequest: 9,
			};
			return recordPromotion(record, { ...ports, tell: nothing }, "main");
		},
	},
	settle: { prepare: merged, run: settle },
	follow: {
		prepare: open,
		run: (world, ports) =>
			follow(null, { ...ports, git: openGit(world.at.home) }, { stop: false, question: "", say: nothing }),
	},
	"rollback, asked for": {
		async prepare(world) {
			await world.at.bring("second", experiment({ seed: 1 }));
			await settle(world, { project: world.at.project, github: world.at.server.connect() });
		},
		async run({ at }, { github }) {
			const pull = await github.pullRequest(
				at.server.pulls.find(({ head }) => head.ref === "proposed" && head.sha)!.number,
			);
			return revertMerge(pull, { git: openGit(at.home), github });
		},
	},
	"rollback, merged": {
		async prepare(world) {
			const { at } = world;
			await at.bring("second", experiment({ seed: 1 }));
			await settle(world, { project: at.project, github: at.server.connect() });
			const brought = at.server.pulls.findLast(({ head }) => head.ref === "proposed")!;
			at.rollBack(brought.number, { [FILE]: null });
		},
		run: settle,
	},
	propose: {
		prepare: async () => {},
		async run(_, { github }) {
			const moment = { ...(await due), now: new Date(`${since}T06:00:00Z`) };
			const ports = { forge: forgeOn(github, { base: "main", dispatch: true }), forecast: async () => "not here" };
			return proposeDue(ports, moment);
		},
	},
};
