// The project's configuration becomes its registry.
import type { Config } from "../generated/documents.d.ts";
import type { Registry } from "../plan/registry.ts";
import { folder } from "./folder.ts";

/** The registry that a project's configuration names; `place` says where a folder of the configuration lies. */
export function chooseRegistry({ registry }: Config, place: (key: string, named: string) => string): Registry {
	return folder(place("registry.folder", registry?.folder ?? "registry"));
}
