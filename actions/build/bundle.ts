// Each action's main.ts becomes actions/dist/<action>.js, what they share its chunks, each action.yml the tables of its README, and
// each workflow the one that other repositories copy.
// Run: npm run bundle, with --check to compare only
import { globSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { collectLicenses } from "./licenses.ts";
import { describe } from "./tables.ts";
import { unusedClients } from "./unused_clients.ts";
import { COPIES, copies } from "./workflows.ts";

const root = path.resolve(import.meta.dirname, "../..");
const DIST = "actions/dist";

// What packages written for CommonJS look for, and a bundle in ESM doesn't have.
const BANNER = [
	'import { createRequire as createRequireOfBundle } from "node:module";',
	"const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;",
].join(" ");

/** The files of actions/dist by their path from the root. */
async function bundle(actions: readonly string[]): Promise<Map<string, string>> {
	const { outputFiles, metafile } = await build({
		entryPoints: Object.fromEntries(actions.map((action) => [action, path.join(root, "actions", action, "main.ts")])),
		outdir: path.join(root, DIST),
		chunkNames: "chunks/[name]-[hash]",
		absWorkingDir: root,
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
		// Notices of code that packages copied from others; they join the licences.
		legalComments: "external",
		charset: "utf8",
		banner: { js: BANNER },
		plugins: [unusedClients],
		logLevel: "warning",
	});
	const [notices, code] = [true, false].map((legal) =>
		outputFiles.filter(({ path: file }) => file.endsWith(".LEGAL.txt") === legal),
	);
	const files = new Map(code!.map((file) => [path.relative(root, file.path), file.text]));
	// What was shaken out to the last byte is no part of it.
	const held = Object.values(metafile.outputs).flatMap(({ inputs }) =>
		Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [path.join(root, file)] : [])),
	);
	const licenses = [await collectLicenses(held), ...new Set(notices!.map(({ text }) => text))];
	return files.set(`${DIST}/licenses.txt`, licenses.join(`\n${"-".repeat(80)}\n\n`));
}

/** The files that are there, by their path from the root. */
async function readThere(files: readonly string[]): Promise<Map<string, string>> {
	const read = async (file: string) => [file, await readFile(path.join(root, file), "utf8")] as const;
	return new Map(await Promise.all(files.map(read)));
}

const actions = globSync("actions/*/action.yml", { cwd: root }).map((file) => path.basename(path.dirname(file)));
const readmes = actions.map((action) => `actions/${action}/README.md`);
const dist = (await readdir(path.join(root, DIST), { recursive: true, withFileTypes: true }).catch(() => []))
	.filter((entry) => entry.isFile())
	.map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));

const wanted = await bundle(actions.sort());
const size = [...wanted.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
const bundles = wanted.size;
for (const readme of readmes) wanted.set(readme, await describe(path.join(root, path.dirname(readme))));
const workflows = globSync(".github/workflows/*.yml", { cwd: root }).sort();
for (const [file, text] of await copies(root, workflows)) wanted.set(file, text);
const copied = globSync(`${COPIES}/*.yml`, { cwd: root });
const there = await readThere([...dist, ...readmes, ...copied]);
const stale = [...new Set([...wanted.keys(), ...there.keys()])].filter((file) => wanted.get(file) !== there.get(file));

if (process.argv.includes("--check")) {
	if (stale.length > 0) {
		console.error(`Not what the source says: ${stale.join(", ")}. Run: npm run bundle`);
		process.exitCode = 1;
	}
} else {
	for (const file of stale) {
		const text = wanted.get(file);
		if (text === undefined) await rm(path.join(root, file));
		else {
			await mkdir(path.dirname(path.join(root, file)), { recursive: true });
			await writeFile(path.join(root, file), text);
		}
	}
	console.log(`${DIST}: ${(size / 1e6).toFixed(2)} MB in ${bundles} files`);
}
