// A job's process group: whether it still lives, and how it is asked to end.
import { readFile } from "node:fs/promises";

/** What the launcher writes when it has the job's lock. */
export interface Process {
	pid: number;
	pgid: number;
	start_time: number | null;
	attempt: number;
	started_at: string;
}

/** The whole group counts: workers of a killed launcher still train. */
export async function isAlive({ pid, pgid, start_time }: Process): Promise<boolean> {
	try {
		process.kill(-pgid, 0);
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
	// After a restart of the machine the number may be somebody else's: the leader's start time tells.
	const now = await startTime(pid);
	return start_time === null || now === null || now === start_time;
}

async function startTime(pid: number): Promise<number | null> {
	const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
	// The command's name, in parentheses, may hold spaces: fields are counted after it.
	const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
	return fields ? Number(fields[19]) : null;
}

/** Asks the launcher to end, which ends its workers; where it is gone, asks the workers themselves. */
export function signal({ pid, pgid }: Process): void {
	for (const target of [pid, -pgid]) {
		try {
			process.kill(target, "SIGTERM");
			return;
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
		}
	}
}
