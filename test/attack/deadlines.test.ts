// What never ends keeps nobody waiting
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ServiceError } from "../../actions/lib/errors.ts";
import { type FollowPorts, follow } from "../../actions/lib/follow/follow.ts";
import type { Git } from "../../actions/lib/git/git.ts";
import type { GitHub, PullRequest } from "../../actions/lib/github/objects.ts";
import { FOLLOW_MINUTES, runCommand, within } from "../../actions/lib/process.ts";
import type { Project } from "../../actions/lib/project.ts";
import { openState } from "../../actions/lib/state.ts";

const env = { PATH: process.env["PATH"] ?? "" };
const AT_ONCE = 0.2 / 60;
afterEach(() => void vi.useRealTimers());

async function refusalOf(attempt: Promise<unknown>): Promise<string> {
	const error = await attempt.catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(ServiceError);
	return (error as Error).message;
}

describe("a process that never ends", () => {
	test("is ended, and said to be", async () => {
		expect(await refusalOf(runCommand("sleep", ["60"], { env, minutes: AT_ONCE }))).toMatch(
			/^sleep 60 took longer than 0\.00\d+ minutes and was ended\.$/,
		);
	});

	test("is ended though its own child holds its output open, or it has ended itself and that hasn't", async () => {
		for (const script of ["sleep 60 & wait", "sleep 60 & exit 0"])
			expect(await refusalOf(runCommand("sh", ["-c", script], { env, minutes: AT_ONCE }))).toContain("was ended");
	});

	test("is killed where it doesn't tidy up", async () => {
		const deaf = "process.on('SIGINT', () => {}); setInterval(() => {}, 1000)";
		const ended = runCommand(process.execPath, ["-e", deaf], { env, minutes: AT_ONCE });
		expect(await refusalOf(ended)).toContain("was ended");
	});

	test("ends with what has asked for it", async () => {
		let child: Promise<unknown> = Promise.resolve();
		const whole = within(AT_ONCE, "follow", () => {
			child = runCommand("sleep", ["60"], { env });
			return child;
		});
		expect(await refusalOf(whole)).toMatch(/^it took longer than 0\.00\d+ minutes and was given up\.$/);
		expect(await refusalOf(child)).toBe("sleep 60 was ended, since what asked for it took too long.");
	});

	test("or that never stops talking fills no memory", async () => {
		expect(await refusalOf(runCommand("cat", ["/dev/zero"], { env }))).toMatch(/^cat .* said more than \d+ bytes/);
	});
});

test("a pull request that can't be followed to an end is told, and the others are followed", async () => {
	const home = await mkdtemp(path.join(tmpdir(), "deadlines-"));
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	const [hangs, fails] = ["a".repeat(40), "b".repeat(40)];
	const git: Git = async (...args) => {
		if (args.join(" ").includes(hangs)) return new Promise<string>(() => {});
		if (args.join(" ").includes(fails)) throw new ServiceError("git", "there is no such commit");
		return "main\n";
	};
	const pullOf = (number: number, sha: string) =>
		({
			number,
			state: "open",
			labels: [],
			base: { ref: "main" },
			head: { sha, fork: false },
		}) as unknown as PullRequest;
	const github = { openPullRequests: async () => [pullOf(1, hangs), pullOf(2, fails)] } as unknown as GitHub;
	const project = { home, state: openState(home, "state"), executors: () => [] } as unknown as Project;
	const said: string[] = [];
	const options = { stop: false, question: "", say: (line: string) => void said.push(line) };
	let over = false;
	const followed = follow(null, { project, git, github } as FollowPorts, options).finally(() => {
		over = true;
	});
	while (!over) {
		if (said.length === 0) await vi.advanceTimersByTimeAsync(60_000);
		await new Promise((resolve) => setImmediate(resolve));
	}
	expect(await followed).toEqual([]);
	expect(said).toEqual([
		`#1: follow: it took longer than ${FOLLOW_MINUTES} minutes and was given up.`,
		"#2: git: there is no such commit",
	]);
	await rm(home, { recursive: true });
});
