// An action.yml becomes the tables of inputs and outputs in the README beside it.
import { readFile } from "node:fs/promises";
import path from "node:path";
import { markdownTable } from "markdown-table";
import { parse } from "yaml";

interface Input {
	description: string;
	required?: boolean;
	default?: string;
}

/** The text of an action's README with its tables made anew. */
export async function describe(folder: string): Promise<string> {
	const { inputs = {}, outputs = {} } = parse(await readFile(path.join(folder, "action.yml"), "utf8")) as {
		inputs?: Record<string, Input>;
		outputs?: Record<string, Input>;
	};
	const shown = (value: string | undefined) => (value ? `\`${value}\`` : "");
	const inputRows = Object.entries(inputs).map(([name, input]) => [
		`\`${name}\``,
		input.description,
		input.required ? "required" : shown(input.default),
	]);
	const outputRows = Object.entries(outputs).map(([name, output]) => [`\`${name}\``, output.description]);
	const file = path.join(folder, "README.md");
	const inputTable = markdownTable([["input", "what it is", "default"], ...inputRows], { alignDelimiters: false });
	const outputTable = markdownTable([["output", "what it is"], ...outputRows], { alignDelimiters: false });
	const text = replaceBetween(await readFile(file, "utf8"), "inputs", inputTable, file);
	return replaceBetween(text, "outputs", outputTable, file);
}

function replaceBetween(text: string, name: string, table: string, file: string): string {
	const [begin, end] = [`<!-- ${name}: from action.yml -->`, `<!-- end of ${name} -->`];
	const [from, to] = [text.indexOf(begin), text.indexOf(end)];
	if (from < 0 || to < from) throw new Error(`${file} lacks the lines ${begin} and ${end}`);
	return `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`;
}
