// The slowest files of people that are read at all, against the parser alone and against PyYAML: processor time, since a reader must not keep one busy.
import { spawnSync } from "node:child_process";
import path from "node:path";
import { parse } from "yaml";
import type { Problem } from "../../actions/lib/errors.ts";
import { fileKinds, parseFile } from "../../actions/lib/experiment/files.ts";
import { parseYaml } from "../../actions/lib/text/yaml.ts";
import { printRatios } from "./times.ts";

const ROUNDS = 5;
const root = path.resolve(import.meta.dirname, "../..");
/** Each so large that one piece more would be refused unread. */
const WORST: Record<string, (pieces: number) => string> = {
	"keys in a flow": (pieces) => `{${repeat((n) => `a${n},`, pieces)}}`,
	"keys in a block": (pieces) => repeat((n) => `k${n}:\n`, pieces),
	"keys with values": (pieces) => repeat((n) => `k${n}: 1\n`, pieces),
	"items in a flow": (pieces) => `[${"1,".repeat(pieces)}1]`,
	"items in a block": (pieces) => "- 1\n".repeat(pieces),
	"mappings in a flow": (pieces) => `[${"{a: 1},".repeat(pieces)}]`,
	"lists in lists": (pieces) => `${"[".repeat(pieces)}${"]".repeat(pieces)}`,
	anchors: (pieces) => "&a ".repeat(pieces),
	"one key": (pieces) => "a: 1\n".repeat(pieces),
};

function repeat(piece: (index: number) => string, times: number): string {
	return Array.from({ length: times }, (_, n) => piece(n)).join("");
}

/** The largest such file that is read, by halving. */
function largest(make: (pieces: number) => string): string {
	let [read, refused] = [1, 65_536];
	while (refused - read > 1) {
		const pieces = Math.floor((read + refused) / 2);
		const isUnread = parseYaml("x.yaml", make(pieces)).problems.some(({ message }) =>
			/words and marks|at most \d+ are read/.test(message),
		);
		if (isUnread) refused = pieces;
		else read = pieces;
	}
	return make(read);
}

const PYYAML = `import sys, time, yaml
text = sys.stdin.read()
for _ in range(${ROUNDS} + 1):
    began = time.process_time()
    try:
        yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        pass
    print((time.process_time() - began) * 1000)`;

async function processorTime(act: () => unknown): Promise<number[]> {
	const times: number[] = [];
	for (let round = 0; round <= ROUNDS; round++) {
		const began = process.cpuUsage();
		await act();
		const { user, system } = process.cpuUsage(began);
		if (round > 0) times.push((user + system) / 1000);
	}
	return times;
}

function timePyYaml(text: string): number[] {
	const python = path.join(root, ".venv/bin/python");
	const { stdout, stderr, status } = spawnSync(python, ["-c", PYYAML], { input: text, encoding: "utf8" });
	if (status !== 0) throw new Error(stderr);
	return stdout.trim().split("\n").slice(1).map(Number);
}

export async function benchFiles(): Promise<void> {
	for (const [name, make] of Object.entries(WORST)) {
		const text = largest(make);
		let told = 0;
		const ours = await processorTime(async () => {
			const problems: Problem[] = [];
			await parseFile("x.yaml", text, fileKinds.experiment, problems);
			told = problems.length;
		});
		const alone = await processorTime(() => {
			try {
				return parse(text, { uniqueKeys: false, logLevel: "silent" });
			} catch {
				return null;
			}
		});
		const title = `A file of ${name}: ${Buffer.byteLength(text)} bytes, ${told} problems told, 250 ms of processor is the bound`;
		const times = { "PyYAML: safe_load": timePyYaml(text), "yaml: parse": alone, "ours: read and check": ours };
		printRatios(title, times, "PyYAML: safe_load");
	}
}
