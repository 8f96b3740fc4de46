// What a job is given
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Problem } from "../../../actions/lib/errors.ts";
import { InvalidInput } from "../../../actions/lib/errors.ts";
import { local } from "../../../actions/lib/executors/local.ts";
import { fileKinds, parseFile } from "../../../actions/lib/experiment/files.ts";
import type { Executor } from "../../../actions/lib/train/executor.ts";
import { exampleRun, standIn, until } from "../../fixtures/jobs.ts";

const KEY = "0123456789abcdef-secret";
let temporary: string;
let executor: Executor;
beforeEach(async () => {
	temporary = await mkdtemp(path.join(tmpdir(), "environment-"));
	executor = local({ jobs: path.join(temporary, "jobs"), trainer: await standIn(temporary), copyTrainer: false });
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
});

/** A job of a machine with these keys, to its end, and its environment. */
async function run(what: string, machine: { environment?: Record<string, string>; secrets?: string[] }) {
	const wanted = exampleRun(path.join(temporary, "store"), what);
	wanted.machine = { ...wanted.machine, ...machine };
	await executor.start(wanted);
	const job = await until(executor, wanted.document.id, ({ state }) => state !== "running");
	const folder = path.join(temporary, "jobs", wanted.document.id);
	const environment = JSON.parse(await readFile(path.join(folder, "environment.json"), "utf8"));
	await rm(path.join(folder, "environment.json"));
	return { job, folder, environment: environment as Record<string, string> };
}

test("is what its machine's recipe says, and none of what the runner happens to have", async () => {
	vi.stubEnv("NCCL_DEBUG", "of the runner");
	vi.stubEnv("HTTPS_PROXY", "http://of.the.runner:3128");
	const { environment } = await run("short", {
		environment: { NCCL_DEBUG: "INFO", https_proxy: "http://proxy.acme:3128", SSL_CERT_FILE: "/etc/acme/ca.pem" },
	});
	expect(environment).toMatchObject({
		...{ NCCL_DEBUG: "INFO", https_proxy: "http://proxy.acme:3128", SSL_CERT_FILE: "/etc/acme/ca.pem" },
		OMP_NUM_THREADS: "1",
	});
	expect(environment).not.toHaveProperty("HTTPS_PROXY");
});

test("is the secrets that the recipe names, whose values are in no file of the job", async () => {
	vi.stubEnv("WANDB_API_KEY", KEY);
	vi.stubEnv("OTHER_KEY", "not-named");
	const { job, folder, environment } = await run("leak", { secrets: ["WANDB_API_KEY"] });
	expect(environment).toMatchObject({ WANDB_API_KEY: KEY });
	expect(environment).not.toHaveProperty("OTHER_KEY");
	expect(job.diagnosis).toBe("It ended with exit code 3; the log's last line: and again: ******");
	expect(await readFile(path.join(folder, "log.txt"), "utf8")).toContain("the key is ***\n");
	const files = (await readdir(temporary, { recursive: true, withFileTypes: true })).filter((file) => file.isFile());
	for (const { parentPath, name } of files)
		expect(await readFile(path.join(parentPath, name), "utf8"), name).not.toContain(KEY);
});

test.each([undefined, ""])("lacks a secret that is %j, so nothing is started", async (value) => {
	vi.stubEnv("WANDB_API_KEY", value);
	const wanted = exampleRun(path.join(temporary, "store"), "short");
	wanted.machine = { ...wanted.machine, secrets: ["WANDB_API_KEY", "DATA_TOKEN"] };
	const error = await executor.start(wanted).catch((thrown: unknown) => thrown);
	expect(error).toBeInstanceOf(InvalidInput);
	expect((error as Error).message).toBe(
		"The machine here names the secrets WANDB_API_KEY, DATA_TOKEN, which the environment here lacks, so nothing was started. Set it for the runner's service, or by env in the workflow.",
	);
	expect((await executor.look(wanted.document.id)).state).toBe("absent");
});

test("is refused in a recipe, with what may be there", async () => {
	const text = `description: A machine
executor: local
processes: 1
threads: 1
price_usd_per_hour: 0
max_minutes: 10
grace_seconds: 5
environment:
  NCCL_DEBUG: INFO
  LD_PRELOAD: /tmp/evil.so
  NCCL_IB_DISABLE: 1
  HTTPS_PROXY: http://me:password@proxy.acme:3128
secrets: [WANDB_API_KEY, GITHUB_TOKEN, INPUT_TOKEN, LD_PRELOAD, LDAP_PASSWORD, "A B"]
`;
	const problems: Problem[] = [];
	await parseFile("recipes/machines/x.yaml", text, fileKinds.machine, problems);
	expect(problems.map(({ line, message }) => `${line} ${message}`).join("\n")).toMatchInlineSnapshot(`
		"10 unknown key LD_PRELOAD in environment; allowed: NCCL_*, FI_*, TORCH_*, GLOO_SOCKET_IFNAME, SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE, HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, http_proxy, https_proxy, all_proxy, no_proxy
		11 environment.NCCL_IB_DISABLE: found 1; it must be a text
		12 environment.HTTPS_PROXY: found "http://me:password@proxy.acme:3128"; it must be an address without a name or a password; give an address that has one by \`secrets\`
		13 secrets.1: found "GITHUB_TOKEN"; it must be the name of a variable, and not PATH, HOME, PYTHON*, LD_*, GITHUB_*, ACTIONS_*, INPUT_* or RUNNER_*
		13 secrets.2: found "INPUT_TOKEN"; it must be the name of a variable, and not PATH, HOME, PYTHON*, LD_*, GITHUB_*, ACTIONS_*, INPUT_* or RUNNER_*
		13 secrets.3: found "LD_PRELOAD"; it must be the name of a variable, and not PATH, HOME, PYTHON*, LD_*, GITHUB_*, ACTIONS_*, INPUT_* or RUNNER_*
		13 secrets.5: found "A B"; it must be the name of a variable, and not PATH, HOME, PYTHON*, LD_*, GITHUB_*, ACTIONS_*, INPUT_* or RUNNER_*"
	`);
});
