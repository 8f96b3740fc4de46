// A DVC repository with two versions of a small dataset, a folder and an S3 bucket that hold them, for tests to fetch from.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";

/** The interpreter that has DVC and the S3 server. */
export const python = path.resolve(import.meta.dirname, "../.venv/bin/python");

/** Whether DVC is installed there. */
export function hasDvc(): boolean {
	try {
		execFileSync(python, [
			"-c",
			"import importlib.util as u, sys; sys.exit(not (u.find_spec('dvc') and u.find_spec('moto')))",
		]);
		return true;
	} catch {
		return false;
	}
}

/** A server that speaks S3 on a free port of 127.0.0.1, with one bucket. */
export async function startS3(bucket: string): Promise<{ url: string; process: ChildProcess }> {
	const server = spawn(python, ["-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const url = await new Promise<string>((resolve, reject) => {
		let said = "";
		server.stderr.on("data", (chunk) => {
			said += chunk;
			const found = /Running on (http:\/\/127\.0\.0\.1:\d+)/.exec(said);
			if (found) resolve(found[1]!);
		});
		server.once("error", reject);
		server.once("exit", (code) => reject(new Error(`the S3 server ended with ${code}: ${said}`)));
	});
	const made = await fetch(`${url}/${bucket}`, { method: "PUT" });
	if (!made.ok) throw new Error(`the bucket can't be made: ${made.status}`);
	return { url, process: server };
}

export function run(folder: string, command: string, ...args: string[]): string {
	const env = { ...process.env, DVC_NO_ANALYTICS: "1", GIT_CONFIG_GLOBAL: "/dev/null" };
	return execFileSync(command, args, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
}

const git = (folder: string, ...args: string[]) =>
	run(folder, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", ...args);
const dvc = (folder: string, ...args: string[]) => run(folder, python, "-m", "dvc", ...args);

/** One line of a manifest: a frame with some objects of each category. */
export function frameLine(name: string, timeofday: string, objects: Record<string, number>): string {
	const box = [1, 1, 20, 40];
	const detection = Object.entries(objects).flatMap(([category, count]) =>
		Array(count).fill({ category, box, crowd: false }),
	);
	const labels = { attributes: { timeofday }, detection, lanes: [], "segmentation-ref": `masks/${name}.png` };
	return JSON.stringify({ "source-ref": `images/${name}.jpg`, width: 64, height: 64, ...labels });
}

type Frame = [name: string, timeofday: string, objects: Record<string, number>];

async function writeData(
	folder: string,
	splits: Record<"train" | "val" | "test", Frame[]>,
	slices: string,
): Promise<void> {
	for (const part of ["images", "masks"]) await mkdir(path.join(folder, part), { recursive: true });
	await writeFile(path.join(folder, "slices.yaml"), `slices:\n${slices}`);
	for (const [split, frames] of Object.entries(splits)) {
		const lines = frames.map((frame) => `${frameLine(...frame)}\n`);
		await writeFile(path.join(folder, `golden_${split}.manifest`), lines.join(""));
		for (const [name] of frames) {
			await writeFile(path.join(folder, `images/${name}.jpg`), `pixels of ${name}`);
			await writeFile(path.join(folder, `masks/${name}.png`), `mask of ${name}`);
		}
	}
}

const night = "  - { name: night, where: { timeofday: night } }\n";
const day = "  - { name: day, where: { timeofday: day } }\n";
const val: Frame[] = [["v1", "day", { vehicle: 1 }]];

/** The repository: tags v1 and v2 (with more datasets in the folder `sets`), a branch `next` that begins at v1; its cache is gone, so that only the remotes have the data. */
export async function makeDvcRepository(base: string, s3: string): Promise<string> {
	const folder = path.join(base, "driving-data");
	await mkdir(folder);
	git(folder, "init", "--quiet", "--initial-branch", "main");
	dvc(folder, "init", "--quiet");
	const remotes = [
		["storage", `url = ${path.join(base, "remote")}`],
		["cloud", `url = s3://driving-data\n    endpointurl = ${s3}`],
		["gone", `url = ${path.join(base, "no-such-remote")}`],
		["down", "url = s3://driving-data\n    endpointurl = http://127.0.0.1:1\n    connect_timeout = 1"],
	];
	const config = remotes.map(([name, lines]) => `['remote "${name}"']\n    ${lines}\n`).join("");
	await writeFile(path.join(folder, ".dvc/config"), `[core]\n    remote = storage\n${config}`);
	const commit = (version: string) => {
		dvc(folder, "push", "--quiet");
		dvc(folder, "push", "--quiet", "--remote", "cloud", "data/mini.dvc");
		git(folder, "add", "--all");
		git(folder, "commit", "--quiet", "--message", version);
		git(folder, "tag", "--annotate", "--message", version, version);
	};
	const data = path.join(folder, "data/mini");
	const train: Frame[] = [["t1", "day", { vehicle: 2, pedestrian: 1 }]];
	const test: Frame[] = [["e1", "night", { vehicle: 1 }]];
	await writeData(data, { train, val, test }, night);
	dvc(folder, "add", "--quiet", "data/mini");
	commit("v1");
	git(folder, "branch", "next");
	train.push(["t2", "night", { pedestrian: 3 }], ["t3", "night", { rider: 1 }]);
	test.push(["e2", "day", { vehicle: 1 }]);
	await writeData(data, { train, val, test }, night + day);
	dvc(folder, "add", "--quiet", "data/mini");
	// One pin of several datasets.
	await writeData(path.join(folder, "sets/small"), { train, val, test }, night + day);
	await writeData(path.join(folder, "sets/smaller"), { train: train.slice(1), val, test }, night);
	dvc(folder, "add", "--quiet", "sets");
	// A folder that a pipeline makes is pinned by dvc.lock, not by a .dvc file.
	const stage = ["--quiet", "--name", "copy", "--deps", "mini", "--outs", "made", "cp -r mini made"];
	run(path.join(folder, "data"), python, "-m", "dvc", "stage", "add", "--run", ...stage);
	commit("v2");
	await rm(path.join(folder, ".dvc/cache"), { recursive: true });
	return folder;
}
