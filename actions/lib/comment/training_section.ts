// A report's training becomes the comment's parts on it: where it began, how it went, what its own checks found.
import type { Plan, Report } from "../generated/documents.d.ts";
import { nameOf } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { code, figure, fold, link, type Table } from "../text/markdown.ts";

type Show = (table: Table, limit?: number) => string;

/** What training starts from and replays, in a sentence; empty where it starts from scratch on its data alone. */
export function startSection({ weights, replay, run }: Plan): string {
	const parts: string[] = [];
	if (weights) {
		const { transfer } = weights;
		const all = transfer ? transfer.loaded.length + transfer.fresh.length : 0;
		const loaded = transfer ? `: ${transfer.loaded.length} of ${all} tensors loaded` : "";
		const renamed = transfer?.renamed.length ? `, ${transfer.renamed.length} of them renamed` : "";
		const left = transfer?.left.length
			? `; left out: ${someOf(transfer.left.map(([name, why]) => `${name} (${why})`))}`
			: "";
		const fresh = transfer?.fresh.length ? `; new: ${someOf(transfer.fresh)}` : "";
		parts.push(`**Starts from** ${code(weights.from)}${loaded}${renamed}${left}${fresh}.`);
	}
	if (replay && run.replay) {
		const share = Math.round(100 * replay.share);
		parts.push(
			`**Replay:** ${share} % of each batch are older frames, from the ${replay.frames} of ${code(run.replay.data.name)}.`,
		);
	}
	return parts.join(" ");
}

function someOf(names: string[]): string {
	const shown = names.slice(0, 4).map(code).join(", ");
	return names.length > 4 ? `${shown} and ${names.length - 4} more` : shown;
}

/** What the checks around the training found; empty where all is well. */
export function guardsSection({ training: { checks, data_wait_percent } }: Report): string {
	const said: string[] = [];
	if (checks.drift && checks.drift.drifted.length > 0) {
		const sentences = checks.drift.sentences.slice(0, 6).map((sentence) => `- ${code(sentence)}`);
		const more = checks.drift.sentences.length > 6 ? `\n- and ${checks.drift.sentences.length - 6} more` : "";
		said.push(`**The training data drifted** from production's:\n${sentences.join("\n")}${more}`);
	}
	if (checks.determinism && !checks.determinism.agrees) {
		const { steps, difference, band } = checks.determinism;
		said.push(
			`**Training isn't deterministic here:** ${counted(steps, "step")} run twice differ by ${difference.toExponential(1)} of the largest weight (allowed: ${band.toExponential(0)}). Small score differences may come from that.`,
		);
	}
	if (data_wait_percent >= 20) {
		said.push(
			`**Training waited for data** ${Math.round(data_wait_percent)} % of the time. More loading workers help if the machine has idle cores.`,
		);
	}
	return said.join("\n\n");
}

/** Each epoch with its losses, the heads' weights where they move, and its validation. */
export function trainingFold(report: Report, table: Show, took: string): string {
	const { training, parameters } = report;
	const weighed = training.epochs.some(({ weights }) => Object.values(weights).some((weight) => weight !== 1));
	const list = (values: Record<string, number | null>, show: (name: string) => string) =>
		Object.entries(values)
			.map(([name, value]) => `${show(name)} ${figure(value)}`)
			.join(", ");
	const rows = training.epochs.map(({ epoch, loss, weights, validation, speed }) => [
		epoch === training.best_epoch ? `**${epoch}**` : String(epoch),
		figure(loss["total"]),
		...(weighed ? [list(weights, code)] : []),
		list(validation, (name) => nameOf(name, code)),
		Math.round(speed.frames_per_second).toLocaleString("en-US"),
	]);
	const head = ["epoch", "loss", ...(weighed ? ["weights"] : []), "validation", "frames/s"];
	const align = `rr${weighed ? "l" : ""}lr`;
	const resumed = training.attempts - 1;
	const facts = [
		`${took} on ${training.processes} × ${code(training.device)}, ${code(training.precision)}`,
		...(resumed > 0 ? [`resumed ${counted(resumed, "time")}`] : []),
		`waited for data ${training.data_wait_percent.toFixed(1)} % of the time`,
		...(training.energy_kwh === null ? [] : [`${training.energy_kwh.toFixed(3)} kWh`]),
	];
	const others = parameters.production === null ? "" : ` (production ${parameters.production.toLocaleString("en-US")})`;
	const tracking = training.tracking_url === null ? "" : link("Weights & Biases", training.tracking_url);
	const tracked = tracking && ` ${tracking}.`;
	return fold(
		"Training",
		`${table({ head, align, rows, rest: "report.json" })}\n\n${facts.join(", ")}; best epoch ${training.best_epoch}. Parameters: ${parameters.candidate.toLocaleString("en-US")}${others}.${tracked}`,
	);
}

/** Size and parity of each export. */
export function exportsFold({ exports, latency }: Report, table: Show): string {
	const rows = exports.map((item) => [
		code(item.format),
		`${(item.bytes / 1e6).toFixed(1)} MB`,
		item.difference === null
			? "not measured"
			: item.measure === "relative"
				? `${(100 * item.difference).toFixed(1)} % of the spread`
				: item.difference.toExponential(1),
		item.difference === null ? "–" : item.agrees ? "✅" : "❌",
	]);
	const { candidate, production } = latency.int8;
	const against = candidate && production ? ` (production p50 ${production.p50_ms.toFixed(2)} ms)` : "";
	const int8 = candidate
		? `\n\nLatency of the int8 export: p50 ${candidate.p50_ms.toFixed(2)} ms, p95 ${candidate.p95_ms.toFixed(2)} ms${against}.`
		: "";
	const head = ["format", "size", "difference from the network", "within tolerance"];
	return fold("Exports", `${table({ head, align: "lrrl", rows, rest: "report.json" })}${int8}`);
}
