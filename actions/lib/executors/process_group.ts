// A job's process group: whether it still lives, and how it is asked to end. A number that is another's by now is never signalled.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { runCommand } from "../process.ts";
import { type JobFiles, readBoot } from "./job_folder.ts";

/** A process of a group. */
interface Member {
	pid: number;
	/** Clock ticks from boot to its start; null where the system doesn't tell. */
	start_time: number | null;
	/** It has ended and waits to be reaped. */
	isOver: boolean;
	words: readonly string[];
}

/** Where the job's launcher and workers are told to work: no other process names it. */
export type JobProcess = JobFiles["process"] & { folder: string };

/** The whole group counts: workers of a killed launcher still train. */
export async function isAlive(job: JobProcess): Promise<boolean> {
	return (await ownMembers(job)).some(({ isOver }) => !isOver);
}

/** Asks the launcher to end, which ends its workers. Where it is gone the workers are asked, and killed where `isDue`: nobody else does. */
export async function signal(job: JobProcess, isDue: () => Promise<boolean>): Promise<void> {
	const members = await ownMembers(job);
	const launcher = members.find(({ pid, isOver }) => pid === job.pid && !isOver);
	if (launcher) send(job.pid, "SIGTERM");
	else if (members.length > 0) send(-job.pgid, (await isDue()) ? "SIGKILL" : "SIGTERM");
}

function send(target: number, signal: "SIGTERM" | "SIGKILL"): void {
	try {
		process.kill(target, signal);
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

/** The group's processes; none where the group is another's: the number of a process that ended is given again, and after a restart soon. */
async function ownMembers({ pid, pgid, start_time, boot, folder }: JobProcess): Promise<Member[]> {
	if (!isThere(pgid)) return [];
	const now = await readBoot();
	if (boot && now.boot && boot !== now.boot) return [];
	const members = await membersOf(pgid);
	const leader = members.find((member) => member.pid === pid);
	if (leader && leader.start_time !== null && start_time !== null)
		return leader.start_time === start_time ? members : [];
	// No number is given again while a group bears it: where one process is the job's, all of them are.
	const isOurs = ({ words }: Member) => words.some((word) => word === folder || word.startsWith(folder + path.sep));
	return members.some(isOurs) ? members : [];
}

function isThere(pgid: number): boolean {
	try {
		process.kill(-pgid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}

async function membersOf(pgid: number): Promise<Member[]> {
	const names = await readdir("/proc").catch(() => null);
	if (!names?.includes("self")) return listMembers(pgid);
	const found = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map((name) => readMember(name, pgid)));
	return found.filter((member) => member !== null);
}

async function readMember(name: string, pgid: number): Promise<Member | null> {
	const read = (file: string) => readFile(`/proc/${name}/${file}`, "utf8").catch(() => "");
	const text = await read("stat");
	// The command's name, in parentheses, may hold spaces: fields are counted after it.
	const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
	if (Number(fields[2]) !== pgid) return null;
	const words = (await read("cmdline")).split("\0");
	return { pid: Number(name), start_time: Number(fields[19]), isOver: fields[0] === "Z", words };
}

/** The same where there is no /proc. */
async function listMembers(pgid: number): Promise<Member[]> {
	const env = { PATH: process.env["PATH"] ?? "" };
	const { output } = await runCommand("ps", ["-A", "-ww", "-o", "pid=,pgid=,stat=,args="], { env });
	return output.split("\n").flatMap((line) => {
		const [pid, of, state = "", ...words] = line.trim().split(/\s+/);
		if (Number(of) !== pgid) return [];
		return [{ pid: Number(pid), start_time: null, isOver: state.startsWith("Z"), words }];
	});
}
