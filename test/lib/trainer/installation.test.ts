// The trainer's environment
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServiceError } from "../../../actions/lib/errors.ts";
import { installTrainer, type Stage } from "../../../actions/lib/trainer/installation.ts";

let root: string;
const environment = () => path.join(root, "env");
const install = (stage: Stage = "train") =>
	installTrainer({ python: path.join(environment(), "bin/python"), folder: path.join(root, "trainer") }, stage);
const heard = async () => JSON.parse(await readFile(path.join(root, "heard.json"), "utf8"));

/** A checkout whose set-up writes down how it was started, says something and ends. */
async function writeSetup(code: number): Promise<void> {
	await writeFile(
		path.join(root, "actions/build/start.mjs"),
		`import { writeFileSync } from "node:fs";
writeFileSync(${JSON.stringify(path.join(root, "heard.json"))}, JSON.stringify({ args: process.argv.slice(2), env: process.env }));
console.log("Trainer's packages: installed in 3 s");
console.error("no such index");
process.exit(${code});
`,
	);
}

beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "installation-"));
	for (const folder of ["actions/build", "trainer"]) await mkdir(path.join(root, folder), { recursive: true });
	await writeSetup(0);
});
afterEach(async () => {
	await rm(root, { recursive: true });
	vi.unstubAllEnvs();
});

test("is set up where there is none, by the script of the trainer's own checkout, which says what it did", async () => {
	expect(await install()).toBe("Trainer's packages: installed in 3 s");
	expect((await heard()).args).toEqual(["python", environment(), "train"]);
});

test("is set up for a plan alone where no more is asked for", async () => {
	await install("plan");
	expect((await heard()).args).toEqual(["python", environment(), "plan"]);
});

test("is handed to the script also where it is there: that knows whether the lock files have changed", async () => {
	await mkdir(environment());
	await writeFile(path.join(environment(), "pyvenv.cfg"), "");
	expect(await install()).toBe("Trainer's packages: installed in 3 s");
});

test("is left alone where the interpreter is the machine's own", async () => {
	await mkdir(path.join(environment(), "bin"), { recursive: true });
	expect(await install()).toBe(
		`${environment()}/bin/python is in no virtual environment: its packages are the machine's own.`,
	);
	expect(existsSync(path.join(root, "heard.json"))).toBe(false);
});

test("is set up without the runner's secrets", async () => {
	vi.stubEnv("INPUT_TOKEN", "a-secret");
	vi.stubEnv("NODE_OPTIONS", "");
	await install();
	const { env } = await heard();
	expect(env.PATH).toBe(process.env["PATH"]);
	expect(Object.keys(env)).not.toContain("INPUT_TOKEN");
	expect(Object.keys(env)).not.toContain("NODE_OPTIONS");
});

test("is set up through the runner's proxy, by the authorities that the runner trusts", async () => {
	const network = { HTTPS_PROXY: "http://proxy.acme.com:3128", no_proxy: ".acme.com", PIP_CERT: "/etc/acme.pem" };
	for (const [name, value] of Object.entries(network)) vi.stubEnv(name, value);
	await install();
	expect((await heard()).env).toMatchObject(network);
});

test("fails with what the script said where the packages can't be had", async () => {
	await writeSetup(3);
	const error = await install().catch((reason: unknown) => reason);
	expect(error).toBeInstanceOf(ServiceError);
	expect(error).toMatchObject({
		service: "package index",
		message: "the trainer's packages can't be installed: no such index",
	});
});
