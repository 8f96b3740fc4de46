// Student's t
import { expect, test } from "vitest";
import { studentBelow, studentQuantile } from "../../../actions/lib/gate/student_t.ts";

// From scipy.special.stdtr(freedom, value), scipy 1.17.1.
const TABLE = [
	[-12.7, 1, 0.025012163844672083],
	[-4, 1, 0.07797913037736932],
	[-0.3, 2, 0.3962428304200888],
	[-2.093, 19, 0.02500118947141399],
	[-5, 19, 3.974987499208819e-5],
	[0.7, 19, 0.7537949558875314],
	[-2, 99, 0.02411984668631648],
	[-6, 99, 1.6229580561727712e-8],
	[1.5, 499, 0.9328765932566285],
	[-1.96, 1999, 0.025067265288798473],
	[-4.5, 1999, 3.5929767683070416e-6],
	[-3, 100000, 0.0013502304420323617],
] as const;

test.each(TABLE)(
	"is at most %d with %d degrees of freedom with the probability that scipy has",
	(value, freedom, probability) => {
		expect(studentBelow(value, freedom) / probability).toBeCloseTo(1, 9);
		if (value < 0) expect(studentQuantile(probability, freedom)).toBeCloseTo(value, 6);
	},
);

test("is NaN for what is no number", () => {
	expect(studentBelow(Number.NaN, 5)).toBeNaN();
});
