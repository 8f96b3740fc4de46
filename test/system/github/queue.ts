// Jobs that share a group run one after the other, and a group is taken before the approval that its job waits for.
// https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#concurrency

export interface Queue {
	/** Resolves once the job may start: its group is its own, and its environment lets it pass. */
	start(run: string, asked: { group?: string; environment?: string }): Promise<void>;
	/** Lets go of the groups of a run that has ended. */
	release(run: string): void;
	/** Lets jobs of an environment wait until they are approved. */
	ask(environment: string): void;
	/** Approves all that wait for an environment, and those that come. */
	approve(environment: string): void;
	/** The run that has a group; null where none has. */
	holder(group: string): string | null;
}

export function createQueue(): Queue {
	const holders = new Map<string, string>();
	const asked = new Set<string>();
	let wake: (() => void)[] = [];
	const changed = () => new Promise<void>((resolve) => wake.push(resolve));
	const change = () => {
		const woken = wake;
		wake = [];
		for (const resolve of woken) resolve();
	};

	return {
		async start(run, { group, environment }) {
			while (group && (holders.get(group) ?? run) !== run) await changed();
			if (group) holders.set(group, run);
			while (environment && asked.has(environment)) await changed();
		},
		release(run) {
			for (const [group, holder] of holders) if (holder === run) holders.delete(group);
			change();
		},
		ask: (environment) => void asked.add(environment),
		approve(environment) {
			asked.delete(environment);
			change();
		},
		holder: (group) => holders.get(group) ?? null,
	};
}
