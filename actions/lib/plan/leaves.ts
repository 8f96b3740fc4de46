// A nested value becomes its leaves by their path, so that two of them can be held beside each other.

/** The leaves of nested mappings, by their path. */
export function flatten(value: unknown, path = "", into = new Map<string, unknown>()): Map<string, unknown> {
	if (typeof value === "object" && value !== null && !Array.isArray(value)) {
		for (const [key, child] of Object.entries(value)) flatten(child, path ? `${path}.${key}` : key, into);
	} else into.set(path, Array.isArray(value) ? value.join(", ") : value);
	return into;
}

/** Lists of mappings are told by their place in the list; nothing at all has no leaves. */
export function leaves(value: unknown): Map<string, unknown> {
	const found = flatten(
		JSON.parse(JSON.stringify(value ?? null), (_, inner) =>
			Array.isArray(inner) && inner.some((item) => typeof item === "object") ? { ...inner } : inner,
		),
	);
	found.delete("");
	return found;
}
