// The project's configuration becomes its store.
import path from "node:path";
import type { Config } from "../generated/documents.d.ts";
import type { Store } from "../plan/store.ts";
import { folder } from "./folder.ts";

/** The store that a project's configuration names. */
export function chooseStore({ store }: Config, root: string): Store {
	return folder(path.resolve(root, store.folder));
}
