// What the runner says of the event that started it becomes what was published, or a name that was asked for; all of it is a stranger's data.
import { InvalidInput } from "../errors.ts";
import validatePublication from "../generated/validate_publication.js";
import publicationSchema from "../schemas/publication.schema.json" with { type: "json" };
import { checkSchema, notAmong } from "../text/problems.ts";

/** Something was published, and experiments may stand for it. */
export type Publication =
	| { event: "dataset.published"; data: string; revision: string }
	| { event: "slice.mined"; data: string; revision: string; slice: string; frames?: number };

const EVENTS = ["dataset.published", "slice.mined"] as const;

const FIELDS = ["proposal", "event", "data", "revision", "slice", "frames"] as const;

/** What asks for proposals, beside the clock. */
export interface Asked {
	publication: Publication | null;
	/** A proposal that somebody asks for by hand. */
	byHand: string | null;
}

/** Reads a workflow's event; throws InvalidInput for a payload that can't be taken. */
export function readEvent(name: string, payload: Record<string, unknown>): Asked {
	if (name === "repository_dispatch") {
		const event = payload["action"];
		const content = payload["client_payload"];
		if (!EVENTS.some((known) => known === event))
			throw new InvalidInput(`repository_dispatch: found the type ${shown(event)}; ${notAmong(String(event), EVENTS)}`);
		if (typeof content !== "object" || content === null || Array.isArray(content))
			throw new InvalidInput(`${event}: found the client_payload ${shown(content)}; it must be an object`);
		return { publication: checkPublication({ ...content, event }), byHand: null };
	}
	if (name !== "workflow_dispatch") return { publication: null, byHand: null };
	// A form gives every field, and an empty text for what was left out. A workflow that calls others has fields for those too.
	const inputs = (payload["inputs"] ?? {}) as Record<string, unknown>;
	const fields = FIELDS.map((name) => [name, inputs[name] ?? ""] as const);
	const { proposal, ...form } = Object.fromEntries(fields.filter(([, value]) => value !== ""));
	const { frames, ...texts } = form;
	const counted = typeof frames === "string" && /^\d{1,9}$/.test(frames) ? Number(frames) : frames;
	return {
		publication:
			Object.keys(form).length === 0
				? null
				: checkPublication({ ...texts, ...(frames === undefined ? {} : { frames: counted }) }),
		byHand: proposal === undefined ? null : String(proposal),
	};
}

/** Checks what is said to be published; throws InvalidInput that tells everything that is wrong with it. */
function checkPublication(value: Record<string, unknown>): Publication {
	const source = { file: "", text: "", value, problems: [], warnings: [], placeOf: () => ({ line: 1, column: 1 }) };
	const problems = checkSchema(source, validatePublication, [publicationSchema]);
	if (problems.length > 0) {
		const event = EVENTS.find((known) => known === value["event"]) ?? "what was published";
		throw new InvalidInput(`${event}: ${problems.map(({ message }) => message).join("; ")}`);
	}
	return value as unknown as Publication;
}

function shown(value: unknown): string {
	const text = JSON.stringify(value) ?? "nothing";
	return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
