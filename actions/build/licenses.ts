// The packages that a bundle holds become one text with their licences, which travels with it.
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";

/** Licences that ask for no more than their own text beside the code. */
const ALLOWED = ["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"];

/** The licences of all packages that the files come from; throws where one is missing or asks for more than its text. */
export async function collectLicenses(files: readonly string[]): Promise<string> {
	const folders = new Set(files.flatMap((file) => file.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0] ?? []));
	const found = await Promise.all([...folders].map(readLicense));
	const refused = found.flatMap(({ refusal }) => refusal ?? []);
	if (refused.length > 0) throw new Error(`These packages can't be part of a bundle:\n${refused.sort().join("\n")}`);
	// Several versions of a package, or one at several places, are named by what they are, not where they lie.
	const texts = new Set(found.map(({ name, text }) => `${name}\n\n${text}\n`));
	return [...texts].sort().join(`\n${"-".repeat(80)}\n\n`);
}

interface Found {
	name: string;
	text: string;
	refusal: string | null;
}

async function readLicense(folder: string): Promise<Found> {
	const { name, version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8")) as {
		name: string;
		version: string;
		license?: string;
	};
	const entries = (await readdir(folder)).filter((entry) => /^(licen[cs]e|notice)/i.test(entry)).sort();
	const texts = await Promise.all(entries.map((entry) => readFile(path.join(folder, entry), "utf8")));
	const whole = { name: `${name} ${version} (${license})`, text: texts.map((text) => text.trim()).join("\n\n") };
	return { ...whole, refusal: refusalOf(whole.name, license, entries) };
}

function refusalOf(name: string, license: string | undefined, files: readonly string[]): string | null {
	if (license === undefined || !ALLOWED.includes(license))
		return `${name}: its licence must be one of ${ALLOWED.join(", ")}`;
	return files.some((file) => /^licen[cs]e/i.test(file)) ? null : `${name}: it has no licence text`;
}
