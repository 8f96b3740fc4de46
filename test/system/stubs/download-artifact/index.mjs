// Copies an artifact, or every artifact into a folder of its name, to where the step wants it.
import { cpSync, existsSync, mkdirSync } from "node:fs";
import path from "node:path";

const from = path.join(process.env.TEST_ARTIFACTS, process.env.INPUT_NAME ?? "");
if (!existsSync(from))
	throw new Error(`Unable to download artifact(s): Artifact not found for name: ${process.env.INPUT_NAME}`);
const to = path.resolve(process.env.GITHUB_WORKSPACE, process.env.INPUT_PATH || ".");
mkdirSync(to, { recursive: true });
cpSync(from, to, { recursive: true });
