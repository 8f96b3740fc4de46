// What a test orders becomes what goes wrong: an answer that is lost, a limit that is reached, a server that fails.

export interface Fault {
	method: string;
	path: RegExp;
	/** How many requests it strikes; one where it isn't said. */
	times?: number;
	/** Whether the request does its work before it fails. */
	worked: boolean;
	/** The answer; null closes the connection without one. */
	answer: { status: number; headers?: Record<string, string>; body?: object } | null;
}

/** GitHub's answers at its limits: https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
export const limits = {
	/** A secondary limit, with the wait in seconds. */
	secondary: (seconds: number, status: 403 | 429 = 403): Fault["answer"] => ({
		status,
		headers: { "retry-after": String(seconds) },
		body: { message: "You have exceeded a secondary rate limit. Please wait a few minutes before you try again." },
	}),
	/** The primary limit, used up until the time, in seconds since 1970. */
	primary: (reset: number, status: 403 | 429 = 403): Fault["answer"] => ({
		status,
		headers: {
			"x-ratelimit-limit": "1000",
			"x-ratelimit-remaining": "0",
			"x-ratelimit-used": "1000",
			"x-ratelimit-reset": String(reset),
			"x-ratelimit-resource": "core",
		},
		body: { message: "API rate limit exceeded for installation." },
	}),
	failure: (status: 500 | 502 | 503 = 502): Fault["answer"] => ({ status, body: { message: "Server Error" } }),
};

/** Holds the faults that are still to come. */
export function createFaults() {
	const faults: Fault[] = [];
	return {
		add: (fault: Fault) => void faults.push(fault),
		/** The fault that strikes the request, used up by one. */
		take(method: string, path: string): Fault | null {
			const index = faults.findIndex((fault) => fault.method === method && fault.path.test(path));
			if (index < 0) return null;
			const fault = faults[index]!;
			fault.times = (fault.times ?? 1) - 1;
			if (fault.times <= 0) faults.splice(index, 1);
			return fault;
		},
	};
}
