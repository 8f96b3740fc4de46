// The toolkit's packages are bundled without an HTTP client that no action asks for.
import path from "node:path";
import type { Plugin } from "esbuild";

/**
 * `core.getIDToken` and `github.getOctokit` bring undici, 418 kB that took a third of an action's start, into whatever imports
 * core or github: their packages don't declare that importing a module does nothing by itself. Of these two it is true, so
 * esbuild leaves them out with those functions. An action that calls one of them gets it back, with no change here.
 */
export const unusedClients: Plugin = {
	name: "unused clients",
	setup({ onResolve }) {
		onResolve({ filter: /^\.\/(oidc-utils|utils)\.js$/ }, ({ path: target, importer, resolveDir }) =>
			/@actions\/(core\/lib\/core|github\/lib\/github)\.js$/.test(importer)
				? { path: path.join(resolveDir, target), sideEffects: false }
				: undefined,
		);
	},
};
