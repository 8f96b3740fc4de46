// A job's folder becomes what its files say; what is damaged or foreign there says nothing, and is told.
import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { InvalidInput } from "../errors.ts";
import { openRegular, readRegularIfThere } from "../files.ts";
import type { JobFolder } from "../generated/documents.d.ts";
import validate from "../generated/validate_job_folder.js";

/** What each file holds, by its name without .json. */
export type JobFiles = Required<JobFolder>;

/** They have a few lines; what has more was made to fill a memory. */
const MOST_BYTES = 1024 * 1024;
/** So much of a log's end holds its last line. */
const TAIL_BYTES = 64 * 1024;
/** A job's processes end so soon after they have written what they made. */
const ENDING_SECONDS = 60;

/** One of the files; null where it is absent, or damaged, which is told. */
export async function readJobFile<N extends keyof JobFiles>(
	folder: string,
	name: N,
	tell: (line: string) => void,
): Promise<JobFiles[N] | null> {
	const file = path.join(folder, `${name}.json`);
	try {
		const bytes = await readRegularIfThere(folder, `${name}.json`, MOST_BYTES);
		if (bytes === null) return null;
		const value: unknown = JSON.parse(bytes.toString("utf8"));
		if (validate({ [name]: value })) return value as JobFiles[N];
		const [error] = validate.errors ?? [];
		tell(`${file} is damaged and was passed over: ${error?.instancePath} ${error?.message}.`);
	} catch (error) {
		if (!(error instanceof InvalidInput || error instanceof SyntaxError)) throw error;
		tell(`${file} is damaged and was passed over: ${error.message}`);
	}
	return null;
}

/** The last line of a text file, of which only the end is read; empty where there is none. */
export async function lastLine(folder: string, name: string): Promise<string> {
	const file = await openRegular(folder, name).catch((error: unknown) => {
		if (error instanceof InvalidInput) return null;
		throw error;
	});
	if (!file) return "";
	try {
		const { size } = await file.stat();
		const from = Math.max(0, size - TAIL_BYTES);
		const { buffer, bytesRead } = await file.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, from);
		return buffer.toString("utf8", 0, bytesRead).trim().split("\n").at(-1) ?? "";
	} finally {
		await file.close();
	}
}

/** When the job wrote last, in milliseconds since 1970; null where it never did. */
export async function lastWritten(folder: string): Promise<number | null> {
	const files = ["process.json", "progress.json", "log.txt"].map((name) => path.join(folder, name));
	const found = await Promise.all(files.map((file) => stat(file).catch(() => null)));
	const times = found.flatMap((file) => (file ? [file.mtimeMs] : []));
	return times.length > 0 ? Math.max(...times) : null;
}

/** Which boot of this machine it is and the seconds since, which nobody sets as they set a clock; null where the system doesn't tell. */
export async function readBoot(): Promise<{ boot: string | null; uptime: number | null }> {
	const read = (file: string) => readFile(file, "utf8").catch(() => null);
	const [boot, uptime] = await Promise.all([read("/proc/sys/kernel/random/boot_id"), read("/proc/uptime")]);
	return { boot: boot?.trim() ?? null, uptime: uptime === null ? null : Number.parseFloat(uptime) };
}

/** Seconds since a moment of this boot; null where that was in another one, or nobody knows. */
export async function secondsSince(then: { boot?: string | null; uptime?: number | null }): Promise<number | null> {
	const { boot, uptime } = await readBoot();
	if (!then.boot || typeof then.uptime !== "number" || then.boot !== boot || uptime === null) return null;
	return Math.max(0, uptime - then.uptime);
}

/** Seconds that an attempt took until a time of the wall clock; where somebody has set that clock meanwhile, those that the machine counted. */
export async function secondsOf(
	process: JobFiles["process"],
	exit: JobFiles["exit"] | null,
	until: number,
): Promise<number> {
	const told = Math.max(0, (until - Date.parse(process.started_at)) / 1000) || 0;
	if (exit?.seconds !== undefined) return Math.abs(told - exit.seconds) < ENDING_SECONDS ? told : exit.seconds;
	return Math.min(told, (await secondsSince(process)) ?? told);
}
