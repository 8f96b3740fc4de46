// What people see of an experiment on its pull request
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import {
	askForRequired,
	keepOwnRun,
	showAll,
	showExperiment,
	showLabels,
} from "../../../actions/lib/follow/showing.ts";
import { progressShower, requireCurrent, unwantedStopper } from "../../../actions/lib/follow/watching.ts";
import type { Jobs, Plan } from "../../../actions/lib/generated/documents.d.ts";
import { openGitHub } from "../../../actions/lib/github/github.ts";
import type { GitHub, PullRequest } from "../../../actions/lib/github/objects.ts";
import { sumOf } from "../../../actions/lib/plan/estimate.ts";
import { makeJudged } from "../../fixtures/judged.ts";
import { makeJob, makeJobs, makePlan } from "../../fixtures/plan.ts";
import { BOT, type GitHubServer, startGitHub } from "../../system/github-server.ts";

let server: GitHubServer;
let github: GitHub;
beforeEach(async () => {
	server = await startGitHub();
	const { repository, url: apiUrl } = server;
	github = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 2 });
});
afterEach(() => server.close());

const repo = "/repos/ann/road";
const place = () => ({ number: server.pullRequest, head: { sha: server.sha } });
const pull = () => ({ github, place: place() });
const comments = async () => {
	const route = `${repo}/issues/${server.pullRequest}/comments`;
	return (await server.call<{ body: string }[]>("GET", route)).map(({ body }) => body);
};
const titles = async () => (await comments()).map((body) => body.split("\n")[1]);
const labels = async () => {
	const route = `${repo}/issues/${server.pullRequest}/labels`;
	return (await server.call<{ name: string }[]>("GET", route)).map(({ name }) => name).sort();
};
/** The jobs of a plan whose training has done so many of a hundred steps. */
const running = (plan: Plan, step: number): Jobs => {
	const progress = { stage: "train", epoch: 1, epochs: 2, step, steps: 100, loss: 1, metric: null, seconds_left: 60 };
	return makeJobs(plan, makeJob({ state: "running", progress }));
};

describe("labels", () => {
	test("say what experiments' check runs say, and nothing of the workflows' jobs, which are check runs of the same app", async () => {
		const jobs = [
			["Plan", "success"],
			["Check and test", "failure"],
			["Show what can't be planned", "skipped"],
		];
		for (const [name, conclusion] of jobs) {
			const job = { name, head_sha: server.sha, status: "completed", conclusion };
			await server.call("POST", `/repos/${server.repository}/check-runs`, job, "bot-token");
		}
		await showExperiment(github, place(), { plan: makePlan() });
		await showLabels(github, place(), { models: [], all: true });
		expect(await labels()).toEqual(["model:planned"]);
	});

	test("name each line that is trained, once, and leave what people gave", async () => {
		await server.call("POST", `${repo}/issues/${server.pullRequest}/labels`, { labels: ["mine", "line:old"] });
		expect(await showLabels(github, place(), { models: ["a", "a", "b"], all: false })).toBe("updated");
		expect(await labels()).toEqual(["line:a", "line:b", "line:old", "mine"]);
		server.writes();
		expect(await showLabels(github, place(), { models: ["a"], all: false })).toBe("unchanged");
		expect(server.writes()).toEqual([]);
		await showLabels(github, place(), { models: ["a"], all: true });
		expect(await labels()).toEqual(["line:a", "mine"]);
	});

	test("follow the check runs: what was planned has passed, and what failed stands beside it", async () => {
		const { plan, jobs, report, verdict } = makeJudged();
		await showAll(pull(), { documents: { plan }, refused: [] });
		expect(await labels()).toEqual(["line:perception-hydranet", "model:planned"]);
		const problem = { file: "experiments/bad.yaml", line: 3, column: 1, message: "no such key" };
		const refused = [{ file: "experiments/bad.yaml", problems: [problem] }];
		expect(await showAll(pull(), { documents: { plan, jobs, report, verdict }, refused })).toEqual({
			comment: "updated",
			checkRun: "updated",
		});
		expect(await labels()).toEqual(["line:perception-hydranet", "model:failed", "model:passed"]);
		expect((await titles()).sort()).toEqual([
			expect.stringContaining("`more-night` passed"),
			expect.stringContaining("`bad` can't be planned: 1 problem"),
		]);
	});

	test("are given nowhere without a pull request", async () => {
		expect(await showAll(null, { documents: { plan: makePlan() }, refused: [] })).toBeNull();
	});
});

describe("the required check", () => {
	const required = async () => {
		const [last] = (await github.checkRuns(server.sha)).filter(({ name }) => name === "proving-ground");
		return last && [last.status, last.conclusion, last.title];
	};

	test("follows the experiments' check runs, and is open again where one of them is", async () => {
		const { plan, jobs, report, verdict } = makeJudged();
		expect(await askForRequired(pull(), 1)).toBe("created");
		expect(await required()).toEqual(["queued", null, "0 of 1 experiment passed"]);
		await showAll(pull(), { documents: { plan, jobs: running(plan, 4) }, refused: [] });
		expect(await required()).toEqual(["in_progress", null, "0 of 1 experiment passed"]);
		await showAll(pull(), { documents: { plan, jobs, report, verdict }, refused: [] });
		expect(await required()).toEqual(["completed", "success", "1 of 1 experiment passed"]);
		await showAll(pull(), { documents: { plan }, refused: [] });
		expect(await required()).toEqual(["queued", null, "0 of 1 experiment passed"]);
	});

	test("waits for an experiment that nobody has shown yet", async () => {
		const { plan, jobs, report, verdict } = makeJudged();
		await askForRequired(pull(), 2);
		await showAll(pull(), { documents: { plan, jobs, report, verdict }, refused: [] });
		expect(await required()).toEqual(["in_progress", null, "1 of 2 experiments passed"]);
		const problem = { file: "experiments/bad.yaml", line: 3, column: 1, message: "no such key" };
		await showAll(pull(), { documents: null, refused: [{ file: "experiments/bad.yaml", problems: [problem] }] });
		expect(await required()).toEqual(["completed", "failure", "1 of 2 experiments passed"]);
	});

	test("is green where there is no experiment, and written only where it was asked for", async () => {
		await showAll(pull(), { documents: { plan: makePlan() }, refused: [] });
		expect(await required()).toBeUndefined();
		expect(await askForRequired(null, 0)).toBeNull();
		await expect(askForRequired(null, 1)).rejects.toThrow(/^A fork's experiments are planned but never trained/);
	});
});

describe("what is there", () => {
	test("is kept where it is of the same run, with its check run, and not where it is of another", async () => {
		const plan = makePlan();
		await showExperiment(github, place(), { plan, jobs: running(plan, 40) });
		const before = await comments();
		server.writes();
		const kept = await showExperiment(github, place(), { plan }, keepOwnRun(plan));
		expect(kept).toEqual({ comment: "unchanged", checkRun: "unchanged" });
		expect(await comments()).toEqual(before);
		expect(server.writes()).toEqual([]);
		const other = makePlan({ run: { ...plan.run, id: "more-night-ffffffffffffffff" } });
		const shown = await showExperiment(github, place(), { plan: other }, keepOwnRun(other));
		expect(shown).toEqual({ comment: "updated", checkRun: "updated" });
		expect(await titles()).toEqual(["### 📋 `more-night` is planned"]);
	});

	test("says a price that has changed since the run was planned", async () => {
		const plan = makePlan();
		await showExperiment(github, place(), { plan });
		const dearer = makePlan({ machine: { ...plan.machine, price_usd_per_hour: 100 } });
		const shown = await showExperiment(github, place(), { plan: dearer }, keepOwnRun(dearer));
		expect(shown.comment).toBe("updated");
		expect((await showExperiment(github, place(), { plan: dearer }, keepOwnRun(dearer))).comment).toBe("unchanged");
	});

	test("says what its approval starts beside it, also where only that has changed", async () => {
		const plan = makePlan();
		const show = (plans: Plan[]) => {
			const together = sumOf(plans);
			const approval = { together, asked: "reviewers" } as const;
			return showExperiment(github, place(), { plan, ...approval }, keepOwnRun(plan, approval));
		};
		await show([plan]);
		expect((await comments())[0]).toContain("Approve the environment `training` to run plan");
		expect((await show([plan, plan])).comment).toBe("updated");
		expect((await comments())[0]).toContain("One approval of the environment `training` starts all 2 runs");
		expect((await show([plan, plan])).comment).toBe("unchanged");
		expect((await show([plan])).comment).toBe("updated");
	});

	test("is of a run that it names as a whole, and of none where nothing could be planned", () => {
		const plan = makePlan();
		expect(keepOwnRun(plan)(`run \`${plan.run.id}\``)).toBe(true);
		expect(keepOwnRun(plan)(`run \`${plan.run.id}0\``)).toBe(false);
		expect(keepOwnRun(plan)(`https://example.com/${plan.run.id}`)).toBe(false);
		expect(keepOwnRun(null)("`null` `undefined`")).toBe(false);
	});
});

describe("another pull request of the line", () => {
	/** Shows an experiment on one that is opened beside. */
	async function beside(documents: Parameters<typeof showExperiment>[2]) {
		const main = await server.call<{ object: { sha: string } }>("GET", `${repo}/git/ref/heads/main`);
		await server.call("POST", `${repo}/git/refs`, { ref: "refs/heads/rain", sha: main.object.sha });
		const file = { message: "Rain", content: "", branch: "rain" };
		await server.call("PUT", `${repo}/contents/rain.yaml`, file);
		const opening = { title: "Rain", head: "rain", base: "main" };
		const opened = await server.call<{ number: number; head: { sha: string } }>("POST", `${repo}/pulls`, opening);
		// A job of its own, which hasn't asked yet who trains what.
		const { repository, url: apiUrl } = server;
		const own = await openGitHub({ token: "bot-token", repository, apiUrl, author: BOT, second: 2 });
		await showAll({ github: own, place: opened }, { documents, refused: [] });
		return opened.number;
	}

	test("is told of where its experiment of the same name may keep this one waiting", async () => {
		const plan = makePlan();
		const number = await beside({ plan });
		await showExperiment(github, place(), { plan });
		expect((await comments())[0]).toContain(`#${number} (\`more-night\`). When one is merged`);
		expect((await comments())[0]).toContain(`#${number} may hold the place of \`more-night\``);
	});

	test("is told of alone once that has ended, and in what runs itself", async () => {
		const { plan, jobs, report, verdict } = makeJudged();
		const number = await beside({ plan, jobs, report, verdict });
		await showExperiment(github, place(), { plan });
		expect((await comments())[0]).toContain(`#${number}. When one is merged`);
		await showExperiment(github, place(), { plan, jobs: running(plan, 10) });
		expect((await comments())[0]).toContain(`#${number}. When one is merged`);
	});
});

describe("a pull request", () => {
	const refusal = async (asked = pull()) => {
		const error = await requireCurrent(asked).catch((reason: unknown) => reason);
		if (!(error instanceof InvalidInput)) throw new Error(`no InvalidInput: ${error}`);
		return error.message;
	};

	test("may start runs while it is open at the head that was planned, and so may a run without one", async () => {
		await requireCurrent(pull());
		await requireCurrent(null);
	});

	test("may not once it is closed", async () => {
		await server.call("PATCH", `${repo}/pulls/${server.pullRequest}`, { state: "closed" });
		expect(await refusal()).toBe(`#${server.pullRequest} is closed: nothing is started for it.`);
	});

	test("may not once it was pushed to", async () => {
		const file = { message: "More", content: "", branch: "night" };
		const { commit } = await server.call<{ commit: { sha: string } }>("PUT", `${repo}/contents/more.yaml`, file);
		expect(await refusal()).toBe(
			`The head of #${server.pullRequest} is ${commit.sha}, but this workflow run is of ${server.sha}. Somebody has pushed since, or the input pull-request names another pull request. The workflow run of that head takes over.`,
		);
	});

	test("may not from a fork, open as it is", async () => {
		await server.call("POST", `${repo}/forks`, {}, "fan-token");
		const main = await server.call<{ object: { sha: string } }>("GET", "/repos/fan/road/git/ref/heads/main");
		const ref = { ref: "refs/heads/theirs", sha: main.object.sha };
		await server.call("POST", "/repos/fan/road/git/refs", ref, "fan-token");
		const file = { message: "Theirs", content: "", branch: "theirs" };
		await server.call("PUT", "/repos/fan/road/contents/theirs.yaml", file, "fan-token");
		const opening = { title: "Theirs", head: "fan:theirs", base: "main" };
		const opened = await server.call<{ number: number; head: { sha: string } }>(
			"POST",
			`${repo}/pulls`,
			opening,
			"fan-token",
		);
		expect(await refusal({ github, place: opened })).toBe(
			`#${opened.number} comes from a fork: it is planned but never run.`,
		);
	});
});

describe("progress", () => {
	// The client paces requests by the clock over all of its instances: one that went back would make it wait.
	let latest = 0;
	beforeEach(() => {
		vi.useFakeTimers({ toFake: ["Date"], now: Math.max(latest, Date.now()) });
		said = [];
	});
	afterEach(() => {
		latest = Date.now();
		vi.useRealTimers();
	});
	const later = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000);
	// Its own for each test: what one has begun may end, and be said, in the next.
	let said: string[] = [];
	const shower = (plan: Plan, asked: ReturnType<typeof pull> | null = pull()) => {
		const heard = said;
		return progressShower(plan, asked, (line) => heard.push(line));
	};

	test("is shown at once, then every two minutes, of what is true by then", async () => {
		const plan = makePlan();
		const show = shower(plan);
		show(running(plan, 10));
		await expect.poll(comments).toEqual([expect.stringContaining("**10 %**")]);
		// The look for twins comes after it was made.
		const looks = () => server.requests.filter(({ path, status }) => /check-runs\?/.test(path) && status);
		await expect.poll(() => looks().length).toBe(2);
		server.requests.splice(0);
		for (const step of [20, 30, 40]) {
			later(39);
			show(running(plan, step));
		}
		await new Promise((resolve) => setTimeout(resolve, 100));
		expect(server.requests).toEqual([]);
		later(4);
		show(running(plan, 60));
		await expect.poll(comments).toEqual([expect.stringContaining("**60 %**")]);
		expect(said).toEqual([]);
	});

	test("ends once its pull request is closed, or a push has taken the experiment out of it", async () => {
		const plan = makePlan();
		const asked = pull();
		const now = await github.pullRequest(server.pullRequest);
		const pushed = { ...now, head: { ...now.head, sha: "f".repeat(40) } };
		const stoppedOf = async (pullRequest: PullRequest, has: boolean, jobs = running(plan, 10)) => {
			const stop = vi.fn(async () => {});
			const asks = vi.fn(async () => pullRequest);
			const there: GitHub = {
				...github,
				pullRequest: asks,
				hasFile: async (file) => has && file === plan.experiment.file,
			};
			const look = unwantedStopper(plan, { ...asked, github: there }, { stop, say: (line) => said.push(line) });
			look(jobs);
			expect(asks).not.toHaveBeenCalled();
			later(121);
			look(jobs);
			await expect.poll(() => asks.mock.calls.length).toBe(1);
			await new Promise((resolve) => setTimeout(resolve, 20));
			return stop.mock.calls.length;
		};
		expect(await stoppedOf(now, false)).toBe(0);
		expect(await stoppedOf(pushed, true)).toBe(0);
		expect(said).toEqual([]);
		expect(await stoppedOf(pushed, false)).toBe(1);
		expect(await stoppedOf({ ...now, state: "closed" }, true)).toBe(1);
		expect(said.splice(0)).toEqual([
			`#${server.pullRequest} no longer has ${plan.experiment.file}: its jobs are asked to stop.`,
			`#${server.pullRequest} is closed: its jobs are asked to stop.`,
		]);
		const merged = { ...now, state: "closed", merged: true } as const;
		expect(await stoppedOf(merged, true)).toBe(1);
		expect(
			await stoppedOf(merged, true, makeJobs(plan, makeJob(), makeJob({ kind: "evaluate", state: "running" }))),
		).toBe(0);
		said.splice(0);
	});

	test("that can't be shown is said, and stops nothing", async () => {
		const plan = makePlan();
		const show = shower(plan);
		server.fault({
			method: "GET",
			path: /.*/,
			times: 1,
			worked: false,
			answer: { status: 403, body: { message: "No" } },
		});
		show(running(plan, 10));
		await expect
			.poll(() => said)
			.toEqual([expect.stringMatching(/^Could not show the progress: could not list pull requests: 403 No/)]);
		later(121);
		show(running(plan, 60));
		await expect.poll(comments).toEqual([expect.stringContaining("**60 %**")]);
	});

	test("is shown nowhere without a pull request", async () => {
		const plan = makePlan();
		shower(plan, null)(running(plan, 10));
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect(server.requests).toEqual([]);
	});
});
