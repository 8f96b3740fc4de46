// A machine recipe's executor becomes the adapter that serves it.
import type { PlanMachine } from "../generated/documents.d.ts";
import type { Executor } from "../train/executor.ts";
import { type LocalOptions, local } from "./local.ts";

/** The executor of a machine. */
export function chooseExecutor(machine: PlanMachine, options: LocalOptions): Executor {
	switch (machine.executor) {
		case "local":
			return local(options);
	}
}

/** The executor of every place that a machine recipe can name. */
export function allExecutors(options: LocalOptions): Executor[] {
	return [local(options)];
}
