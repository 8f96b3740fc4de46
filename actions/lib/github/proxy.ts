// The proxy variables that git, curl and pip know become the way of this process's own requests, which Node would send around them.
import http from "node:http";
import { InvalidInput, ServiceError } from "../errors.ts";

const ADDRESSES = ["https_proxy", "http_proxy"] as const;

let isDone = false;

/**
 * Sends every later `fetch` through the proxy that HTTPS_PROXY or HTTP_PROXY names, in capitals or not, but for the hosts in NO_PROXY.
 * Throws InvalidInput for an address that can't be a proxy's. Safe to repeat.
 */
export function useProxy(): void {
	if (isDone) return;
	const proxies = ADDRESSES.flatMap((name) => proxyOf(name) ?? []);
	if (proxies.length > 0) {
		// GitHub's runner brings the Node that an action runs on.
		if (typeof http.setGlobalProxyFromEnv !== "function")
			throw new ServiceError("proxy", `Node ${process.version} can't use one; 24.14 or later can: update the runner.`);
		const [, around] = variable("no_proxy") ?? [];
		http.setGlobalProxyFromEnv({ ...Object.fromEntries(proxies), ...(around ? { no_proxy: around } : {}) });
	}
	isDone = true;
}

/** A variable as it is set, in small letters first, as curl reads it; null where it is empty. */
function variable(name: string): [name: string, value: string] | null {
	for (const written of [name, name.toUpperCase()]) {
		const value = process.env[written]?.trim();
		if (value) return [written, value];
	}
	return null;
}

/** The address of a proxy, with the scheme that other programs take where it is left out. */
function proxyOf(name: string): [[name: string, address: string]] | null {
	const [written, value] = variable(name) ?? [];
	if (!written || !value) return null;
	const address = URL.parse(value.includes("://") ? value : `http://${value}`);
	// What was found stays untold: it may have a password.
	if (!address || !["http:", "https:"].includes(address.protocol))
		throw new InvalidInput(`${written} must be the address of an HTTP proxy, such as http://proxy.acme.com:3128.`);
	return [[name, address.href]];
}
