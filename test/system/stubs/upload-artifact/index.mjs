// Copies the named paths into the artifact's folder, under their least common ancestor as actions/upload-artifact has it.
import { cpSync, existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";

const workspace = process.env.GITHUB_WORKSPACE;
const files = process.env.INPUT_PATH.split("\n")
	.map((line) => line.trim())
	.filter(Boolean)
	.map((file) => path.resolve(workspace, file))
	.filter((file) => existsSync(file));
if (files.length === 0 && process.env["INPUT_IF-NO-FILES-FOUND"] === "error")
	throw new Error(`No files were found with the provided path: ${process.env.INPUT_PATH}`);
const folder = path.join(process.env.TEST_ARTIFACTS, process.env.INPUT_NAME);
mkdirSync(folder, { recursive: true });
const folders = files.map((file) => (statSync(file).isDirectory() ? file : path.dirname(file)));
const parts = folders.map((name) => name.split(path.sep));
const depth = parts[0]?.findIndex((part, i) => parts.some((other) => other[i] !== part)) ?? -1;
const root = (depth < 0 ? parts[0] : parts[0].slice(0, depth))?.join(path.sep) ?? workspace;
for (const file of files) cpSync(file, path.join(folder, path.relative(root, file)), { recursive: true });
