// The project's configuration becomes its registry.
import path from "node:path";
import type { Config } from "../generated/documents.d.ts";
import type { Registry } from "../plan/registry.ts";
import { folder } from "./folder.ts";

/** The registry that a project's configuration names. */
export function chooseRegistry({ registry }: Config, root: string): Registry {
	return folder(path.resolve(root, registry.folder));
}
