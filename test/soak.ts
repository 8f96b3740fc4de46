// What is exhaustive becomes a part of it in every run of the tests, and the whole in the soak: npm run soak.

/** Whether the whole runs; the tests of the trainer ask for it by the same name. */
export const SOAK = process.env["PROVING_GROUND_SOAK"] === "1";

/** How many of something a test goes through: `few` in every run, `many` in the soak. */
export function count(few: number, many: number): number {
	return SOAK ? many : few;
}

/** The cases of an exhaustive set: these in every run, the rest in the soak. */
export function cases<T>(part: readonly T[], rest: readonly T[]): T[] {
	return SOAK ? [...part, ...rest] : [...part];
}
