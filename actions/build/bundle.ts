// Each action's main.ts becomes dist/index.js, and its action.yml the tables of its README. Run: npm run bundle, with --check to compare only
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { markdownTable } from "markdown-table";
import { parse } from "yaml";

const folder = import.meta.dirname;

// What packages written for CommonJS look for, and a bundle in ESM doesn't have.
const BANNER = [
	'import { createRequire as createRequireOfBundle } from "node:module";',
	"const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join(" ");

/** The bundle's files by their path from actions/, with SDKs behind import() in files of their own. */
async function bundle(action: string): Promise<Map<string, string>> {
	const dist = path.join(folder, action, "dist");
	const { outputFiles, metafile } = await build({
		entryPoints: { index: path.join(folder, action, "main.ts") },
		outdir: dist,
		absWorkingDir: path.dirname(folder),
		bundle: true,
		splitting: true,
		write: false,
		metafile: true,
		format: "esm",
		platform: "node",
		target: "node24",
		minify: true,
		// Errors keep the names that a reader knows from the source.
		keepNames: true,
		legalComments: "linked",
		charset: "utf8",
		banner: { js: BANNER },
		logLevel: "warning",
	});
	const files = new Map(outputFiles.map((file) => [path.relative(folder, file.path), file.text]));
	return files.set(path.join(action, "dist/licenses.txt"), await collectLicenses(Object.keys(metafile.inputs)));
}

/** The licences of the packages that a bundle holds: they travel with it. */
async function collectLicenses(inputs: string[]): Promise<string> {
	const packages = new Set(inputs.flatMap((file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []));
	const texts = [...packages].sort().map(async (place) => {
		const where = path.join(path.dirname(folder), place);
		const { name, version, license } = JSON.parse(await readFile(path.join(where, "package.json"), "utf8")) as Record<
			string,
			string
		>;
		const file = (await readdir(where)).find((entry) => /^licen[cs]e/i.test(entry));
		const text = file ? await readFile(path.join(where, file), "utf8") : "";
		return `${name} ${version} (${license})\n\n${text.trim()}\n`;
	});
	return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
}

interface Input {
	description: string;
	required?: boolean;
	default?: string;
}

/** A README with its tables made anew from action.yml. */
async function describe(action: string): Promise<[string, string]> {
	const file = path.join(action, "README.md");
	const { inputs = {}, outputs = {} } = parse(await readFile(path.join(folder, action, "action.yml"), "utf8")) as {
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
	let text = await readFile(path.join(folder, file), "utf8");
	text = replaceBetween(
		text,
		"inputs",
		markdownTable([["input", "what it is", "default"], ...inputRows], { alignDelimiters: false }),
		file,
	);
	text = replaceBetween(
		text,
		"outputs",
		markdownTable([["output", "what it is"], ...outputRows], { alignDelimiters: false }),
		file,
	);
	return [file, text];
}

function replaceBetween(text: string, name: string, table: string, file: string): string {
	const [begin, end] = [`<!-- ${name}: from action.yml -->`, `<!-- end of ${name} -->`];
	const [from, to] = [text.indexOf(begin), text.indexOf(end)];
	if (from < 0 || to < from) throw new Error(`${file} lacks the lines ${begin} and ${end}`);
	return `${text.slice(0, from + begin.length)}\n${table}\n${text.slice(to)}`;
}

async function committed(action: string): Promise<Map<string, string>> {
	const dist = path.join(folder, action, "dist");
	const names = await readdir(dist).catch(() => []);
	return new Map(
		await Promise.all(
			names.map(
				async (name) => [path.join(action, "dist", name), await readFile(path.join(dist, name), "utf8")] as const,
			),
		),
	);
}

const check = process.argv.includes("--check");
const entries = await readdir(folder, { withFileTypes: true });
const actions = entries.filter((entry) => entry.isDirectory() && entry.name !== "lib").map((entry) => entry.name);
const stale: string[] = [];
for (const action of actions.sort()) {
	const wanted = await bundle(action);
	const found = await committed(action);
	const [readme, text] = await describe(action);
	const old = await readFile(path.join(folder, readme), "utf8");
	const changed = [...new Set([...wanted.keys(), ...found.keys()])].filter(
		(file) => wanted.get(file) !== found.get(file),
	);
	if (old !== text) changed.push(readme);
	stale.push(...changed);
	if (check || changed.length === 0) continue;
	await writeFile(path.join(folder, readme), text);
	await rm(path.join(folder, action, "dist"), { recursive: true, force: true });
	for (const [file, content] of wanted) {
		await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
		await writeFile(path.join(folder, file), content);
	}
}
if (check && stale.length > 0) {
	console.error(`Not what the source says: ${stale.map((file) => `actions/${file}`).join(", ")}. Run: npm run bundle`);
	process.exitCode = 1;
}
