// Measurements become medians and a table with ratios to a peer.
import { markdownTable } from "markdown-table";

/** Middle of some measurements. */
export function median(values: number[]): number {
	const sorted = values.toSorted((a, b) => a - b);
	return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2;
}

/** Times each of some things in turn, so that a noisy moment hits all alike: milliseconds by name, the first round not counted. */
export async function timeInTurn(
	things: Record<string, () => unknown>,
	rounds: number,
): Promise<Record<string, number[]>> {
	const times: Record<string, number[]> = Object.fromEntries(Object.keys(things).map((name) => [name, []]));
	for (let round = 0; round <= rounds; round++) {
		for (const [name, thing] of Object.entries(things)) {
			const began = performance.now();
			await thing();
			if (round > 0) times[name]!.push(performance.now() - began);
		}
	}
	return times;
}

/** Prints medians and their ratios to the peer's. */
export function printRatios(title: string, times: Record<string, number[]>, peer: string): void {
	const base = median(times[peer]!);
	const rows = Object.entries(times).map(([name, values]) => [
		name,
		`${median(values).toFixed(1)} ms`,
		`${(median(values) / base).toFixed(2)}x`,
	]);
	console.log(`\n${title} (median of ${times[peer]!.length})\n`);
	console.log(markdownTable([["what", "time", `against ${peer}`], ...rows], { align: ["l", "r", "r"] }));
}
