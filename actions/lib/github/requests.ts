// A request to GitHub's API becomes its answer, within bounds: from the API's own address, in time, of a size that a memory holds, on pages that have an end.

/** What an answer may take. */
export interface Limits {
	/** Of a request with its answer; GitHub itself gives up after ten seconds. */
	milliseconds: number;
	/** Of an answer: a hundred comments of the longest, each character written as six. */
	bytes: number;
	/** Of a list, a hundred items each. */
	pages: number;
}

const LIMITS: Limits = { milliseconds: 30_000, bytes: 64 * 1024 * 1024, pages: 300 };

/** More moves than a repository that was renamed has. */
const MOST_MOVES = 3;

/** An answer that can't be taken, however often it is asked for. */
export class Unacceptable extends Error {}

/** The limits that apply, with those that are given in the place of ours. */
export function limitsOf(given: Partial<Limits> = {}): Limits {
	return { ...LIMITS, ...given };
}

/** A `fetch` that sends the token to no address but the API's own, whatever a link or a move says, and waits for no answer without an end. */
export function boundedFetch(apiUrl: string, limits: Limits): typeof fetch {
	const { origin } = new URL(apiUrl);
	return async (input, init) => {
		const signal = AbortSignal.timeout(limits.milliseconds);
		let address = new URL(input instanceof Request ? input.url : input);
		for (let moves = 0; ; moves += 1) {
			if (address.origin !== origin)
				throw new Unacceptable(`the answer leads to ${address.origin}; only ${origin} is asked`);
			try {
				const answer = await fetch(address, { ...init, signal, redirect: "manual" });
				const location = answer.status >= 301 && answer.status <= 308 ? answer.headers.get("location") : null;
				if (location === null) return await readWhole(answer, limits.bytes);
				await answer.body?.cancel();
				if (moves === MOST_MOVES) throw new Unacceptable(`the answer has moved more than ${MOST_MOVES} times`);
				address = new URL(location, address);
			} catch (error) {
				if ((error as Error).name !== "TimeoutError") throw explained(error as Error, address);
				throw new Error(`there was no whole answer within ${limits.milliseconds / 1000} s`, { cause: error });
			}
		}
	};
}

/** Certificates of an authority that Node doesn't know: often of a company's proxy that reads along. */
const UNKNOWN_AUTHORITY = new Set([
	"DEPTH_ZERO_SELF_SIGNED_CERT",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** What kept a request from its answer: of `fetch`'s errors, the innermost, which alone says why. */
function explained(error: Error, { host }: URL): Error {
	let reason: Error = error;
	while (reason.cause instanceof Error) reason = reason.cause;
	const { code = "" } = reason as NodeJS.ErrnoException;
	if (UNKNOWN_AUTHORITY.has(code))
		return new Unacceptable(
			`Node doesn't know the authority that signed the certificate of ${host} (${code}); to trust it, name its file in NODE_EXTRA_CA_CERTS`,
		);
	const [, status] = /^Proxy response \((\d+)\)/.exec(reason.message) ?? [];
	if (status === "407")
		return new Unacceptable("the proxy asks for a name and a password (407); they belong into its address");
	if (status !== undefined) {
		const refused = `the proxy refuses the way to ${host} (${status})`;
		return Number(status) < 500 ? new Unacceptable(refused) : new Error(refused, { cause: error });
	}
	return reason === error ? error : new Error(reason.message || error.message, { cause: error });
}

/** The answer with all of its body, which is read within the time that the request has. */
async function readWhole(answer: Response, most: number): Promise<Response> {
	const { status, statusText, headers, body, url } = answer;
	if (body === null) return answer;
	const chunks: Uint8Array[] = [];
	let bytes = 0;
	for await (const chunk of body) {
		bytes += chunk.length;
		// Leaving the loop closes the connection.
		if (bytes > most) throw new Unacceptable(`the answer has more than ${most} bytes`);
		chunks.push(chunk);
	}
	const whole = new Response(Buffer.concat(chunks), { status, statusText, headers });
	return Object.defineProperty(whole, "url", { value: url });
}

interface Page<T> {
	data: T[];
	headers: { link?: string | undefined };
}

/** All items of a list, up to the page that is the last that anybody asks for. Throws where its pages have no end, or one of them names an earlier one as its next. */
export async function readPages<T>(
	pages: AsyncIterable<Page<T>>,
	{ pages: most }: Limits,
	isLast: (items: T[]) => boolean = () => false,
): Promise<T[]> {
	const found: T[] = [];
	const seen = new Set<string>();
	let read = 0;
	for await (const { data, headers } of pages) {
		found.push(...data);
		read += 1;
		const [, next] = /<([^<>]+)>;\s*rel="next"/.exec(headers.link ?? "") ?? [];
		if (next === undefined || isLast(data)) break;
		if (seen.has(next)) throw new Unacceptable(`the pages of the list come round to ${next}`);
		if (read === most) throw new Unacceptable(`the list has more than ${most} pages`);
		seen.add(next);
	}
	return found;
}
