// Every test runs with frozen prototypes, as vitest's setupFiles: what would write into one of them fails there and then.
const SHARED = [Array, Map, Set, String, Number, Boolean, RegExp, Promise];

for (const { prototype } of SHARED) Object.freeze(prototype);
freezeRoot(Object.prototype);

/** Freezes the prototype of everything; libraries still write a `constructor` or `toString` of their own into objects that inherit these. */
function freezeRoot(root: object): void {
	for (const [key, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(root))) {
		if (!descriptor.writable) continue;
		const set = function (this: object, value: unknown) {
			if (this === root) throw new TypeError(`Somebody writes ${key} into the prototype of every object.`);
			Object.defineProperty(this, key, { value, writable: true, enumerable: true, configurable: true });
		};
		Object.defineProperty(root, key, { get: () => descriptor.value as unknown, set, configurable: false });
	}
	Object.freeze(root);
}
