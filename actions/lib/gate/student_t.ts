// A standard error becomes a probability: Student's t distribution.

/** Probability that Student's t with so many degrees of freedom is at most `value`. */
export function studentBelow(value: number, freedom: number): number {
	if (Number.isNaN(value)) return Number.NaN;
	const tail = 0.5 * incompleteBeta(freedom / (freedom + value * value), freedom / 2, 0.5);
	return value < 0 ? tail : 1 - tail;
}

/** The value that Student's t is at most with a probability of `tail`, below one half: a negative number. */
export function studentQuantile(tail: number, freedom: number): number {
	let [low, high] = [-1e6, 0];
	// Bisection: sixty halvings are all the digits that there are, and nothing can diverge.
	for (let turn = 0; turn < 80; turn++) {
		const middle = (low + high) / 2;
		if (studentBelow(middle, freedom) < tail) low = middle;
		else high = middle;
	}
	return (low + high) / 2;
}

/** The regularised incomplete beta function I_x(a, b): Lentz's continued fraction (Numerical Recipes, section 6.4). */
function incompleteBeta(x: number, a: number, b: number): number {
	if (x <= 0) return 0;
	if (x >= 1) return 1;
	// The fraction converges fast on this side only; the other follows by symmetry.
	if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
	const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
	let c = 1;
	let d = 1 / (1 - ((a + b) * x) / (a + 1));
	let fraction = d;
	for (let m = 1; m <= 500; m++) {
		const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
		d = 1 / (1 + even * d);
		c = 1 + even / c;
		fraction *= d * c;
		const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 / (1 + odd * d);
		c = 1 + odd / c;
		fraction *= d * c;
		if (Math.abs(d * c - 1) < 1e-15) break;
	}
	return front * fraction;
}

// Lanczos' coefficients for g = 7 (Godfrey 2001): fifteen digits.
const LANCZOS = [
	0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
	12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];

/** Logarithm of the gamma function of a number of at least one half. */
function logGamma(x: number): number {
	const t = x + 6.5;
	const sum = LANCZOS.reduce((total, factor, place) => (place === 0 ? factor : total + factor / (x - 1 + place)), 0);
	return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}
