// A YAML file that a person wrote becomes a plain value and the place of each of its parts, or the list of what is wrong with it.
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, type Node, parseAllDocuments, type Scalar } from "yaml";
import type { Problem } from "../errors.ts";
import { isUtf16, NO_UTF_8, UTF_16 } from "./encoding.ts";

/** Small anchors cost the parser quadratic time: beyond this size a file is refused unread. */
const MAX_BYTES = 64 * 1024;
/** Hundreds of slices have a third of this; what 64 KiB can hold would keep a processor busy for seconds. */
const MAX_TOKENS = 30_000;
const MOST_PROBLEMS = 100;
/** Behind the error of a line whose end was taken for a comment. */
const HOW_CUT = `; " #" begins a comment, so a text with it needs quotes`;
/** Keys of texts for people, in which an issue's number may stand. */
const FREE_TEXT = new Set(["why", "description", "reason", "shared_sequences"]);
/** Keys that a later merge would write into every object's prototype. */
const POISONED_KEYS = new Set(["__proto__", "constructor", "prototype"]);

export interface Place {
	line: number;
	column: number;
}

/** A parsed file: its value, and where the value and the key at a JSON pointer stand. */
export interface Source {
	file: string;
	text: string;
	value: unknown;
	problems: Problem[];
	/** What is probably another thing than its author meant, and keeps nothing back. */
	warnings: Problem[];
	placeOf(pointer: string, part?: "key" | "value"): Place;
}

/** Parses strictly: one document of plain scalars, lists and mappings; never throws for what the text says. */
export function parseYaml(file: string, text: string): Source {
	const reader = new Reader(file, text);
	const encoding = encodingProblem(text);
	if (encoding) {
		reader.problem(0, encoding.message, encoding.line);
		return reader.source(undefined);
	}
	const bytes = Buffer.byteLength(text);
	if (bytes > MAX_BYTES) {
		reader.problem(0, `the file has ${bytes} bytes; at most ${MAX_BYTES} are read`);
		return reader.source(undefined);
	}
	if (hasTooManyTokens(text)) {
		reader.problem(0, `the file has more than ${MAX_TOKENS} words and marks; split it`);
		return reader.source(undefined);
	}
	try {
		return reader.source(reader.read());
	} catch (error) {
		if (!(error instanceof RangeError)) throw error;
		reader.problem(0, "the file is nested too deeply to be read");
		return reader.source(undefined);
	}
}

/** What is wrong with the bytes that a text was read from as UTF-8: they leave half characters of zero, or the mark of what was no character. */
function encodingProblem(text: string): { message: string; line: number } | null {
	const isMarked = text.startsWith("\uFFFD\uFFFD") && text.includes("\0");
	if (isMarked || isUtf16(Buffer.from(text.slice(0, 2)))) return { message: UTF_16, line: 1 };
	const at = text.indexOf("\uFFFD");
	return at < 0 ? null : { message: NO_UTF_8, line: text.slice(0, at).split("\n").length };
}

/** Splitting a text into tokens is cheap; building values and their places from them isn't. */
function hasTooManyTokens(text: string): boolean {
	let tokens = 0;
	for (const _ of new Lexer().lex(text)) if (++tokens > MAX_TOKENS) return true;
	return false;
}

class Reader {
	private readonly file: string;
	private readonly problems: Problem[] = [];
	private readonly warnings: Problem[] = [];
	private readonly text: string;
	private readonly lines = new LineCounter();
	private readonly values = new Map<string, number>();
	private readonly keys = new Map<string, number>();

	constructor(file: string, text: string) {
		this.file = file;
		this.text = text;
	}

	problem(offset: number, message: string, line?: number): void {
		this.problems.push({ file: this.file, ...this.place(offset), ...(line ? { line } : {}), message });
	}

	read(): unknown {
		const documents = this.parse();
		if (documents === null) return undefined;
		if (!Array.isArray(documents) || documents.length === 0) {
			this.problem(0, "the file is empty");
			return undefined;
		}
		const [document, second] = documents;
		if (second) this.problem(second.range?.[0] ?? 0, "a second document starts here; a file holds one");
		// The parser's recursion ends in errors that say nothing to an author.
		if (document!.errors.some((error) => error.message.includes("call stack"))) throw new RangeError("nesting");
		// One slip makes the parser lose its way: what it says after the first few is about itself.
		for (const error of document!.errors.slice(0, 3)) {
			const before = this.text.slice(0, error.pos[0]).split("\n").slice(-2);
			const cut = before.some((line) => /[ \t]#/.test(line)) ? HOW_CUT : "";
			this.problem(error.pos[0], `${sentence(error.code, error.message)}${cut}`);
		}
		for (const warning of document!.warnings) {
			// An unresolved tag is told with the node that bears it.
			if (warning.code !== "TAG_RESOLVE_FAILED") this.problem(warning.pos[0], warning.message);
		}
		if (this.problems.length > 0) return undefined;
		const contents = document!.contents;
		if (contents === null || (isScalar(contents) && contents.value === null)) {
			this.problem(0, "the file is empty");
			return undefined;
		}
		return this.plain(contents, "");
	}

	private parse(): ReturnType<typeof parseAllDocuments> | null {
		try {
			return parseAllDocuments(this.text, {
				lineCounter: this.lines,
				intAsBigInt: true,
				prettyErrors: false,
				merge: false,
				// The parser compares each key with all before it: 15,500 keys take it two seconds. mapping() counts them.
				uniqueKeys: false,
				logLevel: "silent",
			});
		} catch (error) {
			if (error instanceof RangeError) throw error;
			// Some tags make the parser stumble; none is allowed.
			this.problem(0, `not YAML that can be read: ${(error as Error).message}`);
			return null;
		}
	}

	source(value: unknown): Source {
		return {
			file: this.file,
			text: this.text,
			value,
			problems: this.told(),
			warnings: this.warnings,
			placeOf: (pointer, part = "value") => {
				const first = part === "key" ? this.keys : this.values;
				return this.place(first.get(pointer) ?? this.values.get(pointer) ?? this.keys.get(pointer) ?? 0);
			},
		};
	}

	/** The first of the problems, and how many there are beside them: nobody reads thousands. */
	private told(): Problem[] {
		const more = this.problems.length - MOST_PROBLEMS;
		if (more <= 0) return this.problems;
		const { line, column } = this.problems[MOST_PROBLEMS]!;
		return [
			...this.problems.slice(0, MOST_PROBLEMS),
			{ file: this.file, line, column, message: `and ${more} more problems` },
		];
	}

	private place(offset: number): Place {
		const { line, col } = this.lines.linePos(offset);
		return { line: Math.max(line, 1), column: Math.max(col, 1) };
	}

	private plain(node: Node, pointer: string): unknown {
		const offset = node.range?.[0] ?? 0;
		this.values.set(pointer, offset);
		if (isAlias(node)) {
			this.problem(offset, `the alias *${node.source} is not allowed; write the value out`);
			return undefined;
		}
		if (node.anchor)
			this.problem(offset, `the anchor &${node.anchor} is not allowed; write the value out where it is used`);
		if (node.tag) {
			this.problem(offset, `the tag ${node.tag} is not allowed; plain values need none`);
			// What a tag makes of a value needn't be text, a number, a list or a mapping.
			return undefined;
		}
		if (isMap(node)) return this.mapping(node, pointer);
		if (isSeq(node)) return node.items.map((item, index) => this.plain(item as Node, `${pointer}/${index}`));
		if (isScalar(node)) return this.scalar(node.value, offset);
		return undefined;
	}

	private mapping(node: import("yaml").YAMLMap, pointer: string): Record<string, unknown> {
		const value: Record<string, unknown> = {};
		const seen = new Set<string>();
		for (const pair of node.items) {
			const key = pair.key as Node | null;
			const offset = key?.range?.[0] ?? 0;
			if (!isScalar(key) || key.anchor || key.tag || typeof key.value === "object") {
				this.problem(offset, "a key must be a plain word");
				continue;
			}
			const name = String(key.value);
			if (seen.has(name)) this.problem(offset, "this key appears twice; keep one");
			seen.add(name);
			if (POISONED_KEYS.has(name)) this.problem(offset, `the key ${name} is not allowed`);
			else if (name === "<<") this.problem(offset, "the merge key << is not allowed; write out the keys");
			else {
				const child = `${pointer}/${escapePointer(name)}`;
				this.keys.set(child, offset);
				value[name] = pair.value === null ? null : this.plain(pair.value as Node, child);
				if (FREE_TEXT.has(name) && this.isCut(pair.value as Node | null))
					value[name] = this.cut(name, pair.value as Scalar);
			}
		}
		return value;
	}

	/** Whether a comment follows a text without quotes on its line. */
	private isCut(node: Node | null): node is Scalar {
		return isScalar(node) && node.type === "PLAIN" && /^[ \t]*#/.test(this.text.slice(node.range![1], node.range![2]));
	}

	/** The text that a comment leaves, with a warning; undefined and a problem where it leaves none. */
	private cut(name: string, { value, range }: Scalar): unknown {
		const [offset, end] = range!;
		const [comment = ""] = /#.*/.exec(this.text.slice(end)) ?? [];
		const how = `put the text in quotes to keep ${JSON.stringify(clip(comment.trimEnd()))}`;
		if (value === null) {
			this.problem(offset, `${name}: # begins a comment, so there is no text; ${how}`);
			return undefined;
		}
		const message = `${name}: # begins a comment, so the text ends at ${JSON.stringify(clipEnd(String(value)))}; ${how}`;
		this.warnings.push({ file: this.file, ...this.place(end), message });
		return value;
	}

	private scalar(value: unknown, offset: number): unknown {
		if (typeof value === "bigint") {
			const number = Number(value);
			if (Number.isSafeInteger(number)) return number;
			this.problem(offset, `${clip(String(value))} loses digits as a number; integers go from -(2^53 - 1) to 2^53 - 1`);
			return undefined;
		}
		if (typeof value === "number" && !Number.isFinite(value)) {
			this.problem(offset, "found a number that is not finite; write a finite one");
			return undefined;
		}
		if (typeof value === "string" && !value.isWellFormed()) {
			this.problem(offset, "found half of a character (a lone surrogate); write it whole or leave it out");
			return undefined;
		}
		return value;
	}
}

/** JSON pointer's own escapes (RFC 6901). */
export function escapePointer(key: string): string {
	return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The end of a text. */
function clipEnd(text: string): string {
	return text.length > 40 ? `…${text.slice(-37)}` : text;
}

function clip(text: string): string {
	return text.length > 40 ? `${text.slice(0, 37)}…` : text;
}

function sentence(code: string, message: string): string {
	if (code === "TAB_AS_INDENT") return "a tab indents this line; use spaces";
	if (code === "MULTIPLE_DOCS") return "a second document starts here; a file holds one";
	if (message.includes("Nested mappings are not allowed in compact")) return 'a value with ": " in it needs quotes';
	if (message.includes("Alias cannot be an empty string")) return 'write "*" in quotes';
	return `not YAML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}
