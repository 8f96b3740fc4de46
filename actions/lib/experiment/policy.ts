// recipes/gates/<name>.yaml becomes a policy: each bound of each rule is a check of its own, with its line.
import path from "node:path";
import { InvalidFile, type Problem } from "../errors.ts";
import type { Gate, PlanPolicy, PlanRule } from "../generated/documents.d.ts";
import { fileKinds, type Loaded, parseFile } from "./files.ts";

/** A gate policy from the text of its file; throws InvalidFile with every mistake in it. */
export async function parsePolicy(file: string, text: string): Promise<PlanPolicy> {
	const problems: Problem[] = [];
	const gate = await parseFile<Gate>(file, text, fileKinds.gate, problems);
	if (problems.length > 0) throw new InvalidFile(problems);
	return policyOf(path.basename(file, ".yaml"), gate);
}

const bounds = ["min", "max", "max_drop", "max_regression_percent"] as const;

/** The policy that a file which holds to its schema stands for. */
export function policyOf(name: string, gate: Loaded<Gate>): PlanPolicy {
	return { name, file: gate.source.file, drift: gate.value.drift ?? "warn", rules: rulesOf(gate) };
}

/** Each bound of each rule is a check of its own, with the line it stands on. */
function rulesOf(gate: Loaded<Gate>): PlanRule[] {
	return gate.value.rules.flatMap((rule, index) =>
		bounds
			.filter((bound) => rule[bound] !== undefined)
			.map((bound) => ({
				metric: rule.metric,
				slice: rule.slice ?? null,
				bound,
				value: rule[bound] as number,
				min_frames: rule.min_frames ?? 1,
				inconclusive: rule.inconclusive ?? gate.value.inconclusive ?? "block",
				reason: rule.reason,
				line: gate.source.placeOf(`/rules/${index}/${bound}`, "key").line,
			})),
	);
}
