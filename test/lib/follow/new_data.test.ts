// A pull request that brings data of its own
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { follow } from "../../../actions/lib/follow/follow.ts";
import { openGit } from "../../../actions/lib/git/git.ts";
import { claim } from "../../../actions/lib/train/claims.ts";
import { hasDvc, makeDvcRepository, startS3 } from "../../dvc.ts";
import { makeJob } from "../../fixtures/plan.ts";
import { experiment, fileOf, makeTemplate, Repository } from "./merged/repository.ts";

describe.skipIf(!hasDvc())("(skipped where trainer/requirements-dev.txt is not installed)", () => {
	let base: string;
	let template: string;
	let server: ChildProcess;
	let at: Repository;
	let number: number;
	beforeAll(async () => {
		base = await mkdtemp(path.join(tmpdir(), "new-data-"));
		vi.stubEnv("AWS_ACCESS_KEY_ID", "test");
		vi.stubEnv("AWS_SECRET_ACCESS_KEY", "test");
		vi.stubEnv("AWS_DEFAULT_REGION", "us-east-1");
		const s3 = await startS3("driving-data");
		server = s3.process;
		await makeDvcRepository(base, s3.url);
		template = await makeTemplate();
	});
	afterAll(async () => {
		server?.kill();
		vi.unstubAllEnvs();
		for (const folder of [base, template]) await rm(folder, { recursive: true, force: true });
	});
	beforeEach(async () => {
		at = await Repository.copy(template);
		const dvc = `dvc: { repository: ${path.join(base, "driving-data")}, path: data/mini, revision: v2 }`;
		number = at.open({
			"recipes/data/fleet.yaml": `description: New frames\nlocation: data/fleet\ncategories: { detection: [vehicle, pedestrian, rider], segmentation: [road] }\n${dvc}\n`,
			[fileOf("mine")]: experiment().replace("data: mini", "data: fleet"),
		});
	});
	afterEach(() => at.remove());

	const said: string[] = [];
	const stopped: string[] = [];
	async function followAll() {
		said.splice(0);
		const { project } = at;
		const executor = {
			...at.executor,
			list: async () => [makeJob({ id: "mine-0123", kind: "train" })],
			stop: async (id: string) => void stopped.push(id),
		};
		const ports = {
			project: { ...project, executors: () => [executor] } as typeof project,
			git: openGit(at.home),
			github: at.server.connect(),
		};
		return follow(null, ports, { stop: false, question: "", say: (line) => said.push(line) });
	}

	test("waits for its approval, with what it runs untouched, and is then shown and judged", async () => {
		await claim("mine-0123", { store: at.project.store, pullRequest: number } as never);
		const [waiting] = await followAll();
		const why =
			"recipes/data/fleet.yaml differs from the base branch's: its data are made or fetched once the training is approved.";
		expect(waiting?.experiments).toEqual([{ file: fileOf("mine"), waits: why }]);
		expect(said).toContain(`#${number}: ${why}`);
		expect([stopped, at.server.comments.size]).toEqual([[], 0]);

		const plan = await at.judge(number, "mine");
		const [judged] = await followAll();
		expect(judged?.experiments).toMatchObject([
			{ documents: { plan: { run: { id: plan.run.id } }, verdict: { outcome: "pass" } } },
		]);
		expect(at.server.comments.get(number)).toContain("mine");
		expect((await at.project.registry.history("line")).versions).toHaveLength(1);
	});
});
