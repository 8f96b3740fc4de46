// How the TypeScript tests run.
import path from "node:path";
import { configDefaults, defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { SOAK } from "./test/soak.ts";

/** Starts what takes minutes first, so that no worker is left with it at the end. */
class LongestFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
		const rank = ({ moduleId }: TestSpecification) => {
			const place = LONG.findIndex((part) => moduleId.includes(part));
			return place < 0 ? LONG.length : place;
		};
		return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
	}
}
const LONG = [
	"/system/pull_requests",
	"/system/cli",
	"/system/elsewhere",
	"/system/",
	"/faults/",
	"/actions/",
	"/data/dvc",
];

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		exclude: [...configDefaults.exclude, ...(SOAK ? [] : ["test/**/*.soak.test.ts"])],
		globalSetup: ["test/shared.ts"],
		setupFiles: ["test/frozen.ts"],
		// Node keeps what it has compiled: hundreds of its processes start in a test run.
		env: { NODE_COMPILE_CACHE: path.join(import.meta.dirname, "node_modules/.cache/node") },
		// Real processes and trainings: generous, so that only a hang ends here.
		testTimeout: 300_000,
		hookTimeout: 300_000,
		expect: { poll: { timeout: 180_000 } },
		// More than there are cores: files wait for processes, and for the seconds that GitHub asks for between writes.
		maxWorkers: 3,
		sequence: { sequencer: LongestFirst },
	},
});
