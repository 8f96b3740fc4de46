// The project's configuration becomes its store.
import type { Config } from "../generated/documents.d.ts";
import type { Store } from "../plan/store.ts";
import { folder } from "./folder.ts";

/** The store that a project's configuration names; `place` says where a folder of the configuration lies. */
export function chooseStore({ store }: Config, place: (key: string, named: string) => string): Store {
	return folder(place("store.folder", store?.folder ?? "store"));
}
