// A machine recipe's variables, and the secrets that it names, become the environment of a job.
import { InvalidInput } from "../errors.ts";
import type { PlanMachine } from "../generated/documents.d.ts";
import { type Trainer, trainerEnvironment } from "../trainer/trainer.ts";

/** Tells the job which of its variables are secrets: their values are masked in what it writes. */
const SECRETS = "PROVING_GROUND_SECRETS";

/** The environment of a job; throws InvalidInput where a secret that its machine names isn't set here. */
export function jobEnvironment(trainer: Trainer, machine: PlanMachine): Record<string, string> {
	const secrets = secretsOf(machine);
	const absent = machine.secrets.filter((name) => !secrets.has(name));
	if (absent.length > 0) {
		throw new InvalidInput(
			`The machine ${machine.name} names the ${absent.length === 1 ? "secret" : "secrets"} ${absent.join(", ")}, which the environment here lacks, so nothing was started. Set it for the runner's service, or by env in the workflow.`,
		);
	}
	return {
		...machine.environment,
		...Object.fromEntries(secrets),
		...(secrets.size > 0 ? { [SECRETS]: [...secrets.keys()].join(",") } : {}),
		// Last: no recipe decides what code runs.
		...trainerEnvironment(trainer, machine.threads),
	};
}

/** The secrets of a machine that are set here, by name; GitHub gives an empty text for one that it doesn't know. */
function secretsOf({ secrets }: PlanMachine): Map<string, string> {
	return new Map(
		secrets.flatMap((name) => {
			const value = process.env[name] ?? "";
			return value === "" ? [] : [[name, value] as const];
		}),
	);
}
