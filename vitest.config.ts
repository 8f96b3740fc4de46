// How the TypeScript tests run.
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		// Real processes and trainings: generous, so that only a hang ends here.
		testTimeout: 300_000,
		hookTimeout: 300_000,
		expect: { poll: { timeout: 20_000 } },
		// Two cores: trainings of several files at once would only slow each other.
		maxWorkers: 2,
	},
});
