// A folder of a public fault becomes a copy to try the product on: by the trainer's command line, or in a small project.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, readFile } from "node:fs/promises";
import path from "node:path";
import { repository, writeProject } from "./system/project.ts";

export interface Ran {
	code: number;
	out: string;
	/** Both streams. */
	said: string;
}

/** A case's own copy of its folder, and what can be done with it. */
export interface Case {
	folder: string;
	/** The trainer's command line, in the folder. */
	trainer(...args: string[]): Promise<Ran>;
	/** Imports by spec.json into a new folder; gives the lines of each manifest. */
	imported(): Promise<Ran & { made: string; lines(split: string): Promise<Line[]> }>;
	/** Python of the trainer's environment, which prints JSON. */
	python<T>(code: string, ...args: string[]): Promise<T>;
	/** A small project, whose recipe `mini` is of the folder's data where it has manifests. */
	project(more?: Record<string, string>): Promise<(...args: string[]) => Promise<Ran>>;
	root: string;
}

export interface Line {
	"source-ref"?: string;
	sequence?: string;
	captured?: string;
	attributes?: Record<string, unknown>;
	detection?: { category: string; box: number[] }[];
	lanes?: number[][][];
	tracks?: { past: number[][]; future: number[][] }[];
	"segmentation-ref"?: string;
}

export const python = path.join(repository, ".venv/bin/python");

export function run(
	program: string,
	args: readonly string[],
	cwd: string,
	env: Record<string, string> = {},
): Promise<Ran> {
	const surroundings = { ...process.env, PYTHONPATH: path.join(repository, "trainer"), ...env };
	return new Promise((resolve) => {
		execFile(program, args, { cwd, env: surroundings, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
			resolve({ code: error ? Number(error.code ?? 1) : 0, out: stdout, said: `${stdout}${stderr}` });
		});
	});
}

/** Copies a case's folder into a folder to work in. */
export async function openCase(source: string, work: string): Promise<Case> {
	const folder = path.join(work, "case");
	await cp(source, folder, { recursive: true });
	const root = path.join(work, "project");
	const trainer = (...args: string[]) => run(python, ["-m", "proving_ground", ...args], folder);
	let imports = 0;
	return {
		folder,
		root,
		trainer,
		async imported() {
			imports += 1;
			const made = path.join(work, `made-${imports}`);
			const { name } = JSON.parse(await readFile(path.join(folder, "spec.json"), "utf8")) as { name: string };
			const ran = await trainer("import", name, "--spec", "spec.json", "--out", made);
			const lines = async (split: string) =>
				(await readFile(path.join(made, `golden_${split}.manifest`), "utf8"))
					.split("\n")
					.filter(Boolean)
					.map((line) => JSON.parse(line) as Line);
			return { ...ran, made, lines };
		},
		async python(code, ...args) {
			const ran = await run(python, ["-c", code, ...args], folder);
			if (ran.code !== 0) throw new Error(ran.said);
			return JSON.parse(ran.out);
		},
		async project(more = {}) {
			await writeProject(root, more);
			if (existsSync(path.join(folder, "golden_train.manifest")))
				await cp(folder, path.join(root, ".proving-ground/data/case"), { recursive: true });
			const cli = path.join(repository, "actions/cli/cli.ts");
			return (...args) => run(process.execPath, [cli, "--root", root, ...args], root);
		},
	};
}
