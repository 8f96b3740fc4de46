// What the base has in recipes/gates and recipes/lines becomes the policy and the waivers that an experiment is judged by.
import type { Problem } from "../errors.ts";
import { exists } from "../files.ts";
import type { Experiment, Gate, Line, PlanWaiver, Waivers } from "../generated/documents.d.ts";
import { notAmong, problemAt } from "../text/problems.ts";
import { type FileKind, fileKinds, type Loaded, NAME, parseFile } from "./files.ts";
import type { Tree } from "./tree.ts";
import { checkWaivers, WAIVERS, waiversOf } from "./waiver_file.ts";

const GATES = "recipes/gates";
const LINES = "recipes/lines";

/** The policies that a tree has, by name. */
async function policiesOf(base: Tree): Promise<string[]> {
	return (await base.names(GATES)).filter((name) => name !== WAIVERS);
}

/** The policy that an experiment names, where the base has it and its line may be judged by it; what is wrong is added to the problems. */
export async function loadGate(
	{ source, value }: Loaded<Experiment>,
	{ base, root }: { base: Tree; root: string },
	problems: Problem[],
): Promise<Loaded<Gate> | undefined> {
	const { gates, model } = (value ?? {}) as Partial<Experiment>;
	if (typeof gates !== "string" || !NAME.test(gates)) return undefined;
	const policies = await policiesOf(base);
	const allowed = await allowedOn(model, base, policies, problems);
	if (!policies.includes(gates)) {
		const isHere = gates !== WAIVERS && (await exists(`${root}/${GATES}/${gates}.yaml`));
		const found = isHere
			? `${GATES}/${gates}.yaml isn't in the base, whose gates apply: merge it first (on your own machine, commit it)`
			: `${GATES}/${gates}.yaml doesn't exist`;
		problems.push(problemAt(source, "/gates", `${found}; ${notAmong(gates, allowed ?? policies, "available")}`));
		return undefined;
	}
	if (allowed && !allowed.includes(gates)) {
		const message = `gates: found ${gates}; ${LINES}/${model}.yaml lets this line be judged only by ${allowed.join(", ")}`;
		problems.push(problemAt(source, "/gates", message));
		return undefined;
	}
	return loadWhole<Gate>(base, `${GATES}/${gates}.yaml`, fileKinds.gate, problems);
}

/** The policies that a line of models may be judged by; null where nothing says so, and any will do. */
async function allowedOn(
	model: unknown,
	base: Tree,
	policies: readonly string[],
	problems: Problem[],
): Promise<string[] | null> {
	if (typeof model !== "string" || !NAME.test(model)) return null;
	if (!(await base.names(LINES)).includes(model)) return null;
	const line = await loadWhole<Line>(base, `${LINES}/${model}.yaml`, fileKinds.line, problems);
	if (!line) return null;
	for (const [index, name] of line.value.gates.entries()) {
		if (policies.includes(name)) continue;
		const message = `gates.${index}: ${GATES}/${name}.yaml doesn't exist; ${notAmong(name, policies, "available")}`;
		problems.push(problemAt(line.source, `/gates/${index}`, message));
	}
	return line.value.gates;
}

/** The waivers beside the policies; null where there is no such file. */
export async function loadWaivers(base: Tree, problems: Problem[]): Promise<Loaded<Waivers> | null> {
	if (!(await base.names(GATES)).includes(WAIVERS)) return null;
	const file = await loadWhole<Waivers>(base, `${GATES}/${WAIVERS}.yaml`, fileKinds.waivers, problems);
	if (!file) return null;
	problems.push(...checkWaivers(file));
	return file;
}

/** The waivers of a tree, as a plan has them; null where they can't be read. */
export async function readWaivers(tree: Tree): Promise<PlanWaiver[] | null> {
	const problems: Problem[] = [];
	const file = await loadWaivers(tree, problems);
	return problems.length > 0 ? null : (waiversOf(file).waivers?.entries ?? []);
}

/** A file of the base that holds to its schema; what is wrong with it is added to the problems. */
async function loadWhole<T>(
	base: Tree,
	file: string,
	kind: FileKind,
	problems: Problem[],
): Promise<Loaded<T> | undefined> {
	const before = problems.length;
	const loaded = await parseFile<T>(file, await base.read(file), kind, problems);
	return problems.length === before ? loaded : undefined;
}
