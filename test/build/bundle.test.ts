// The bundles of the actions
import { execFile } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectLicenses } from "../../actions/build/licenses.ts";
import { unusedClients } from "../../actions/build/unused_clients.ts";

const root = path.resolve(import.meta.dirname, "../..");
const run = promisify(execFile);

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(path.join(tmpdir(), "bundle-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("with the licences of what they hold", () => {
	/** A package of its own, of which a bundle holds a file. */
	async function write(name: string, license: string | undefined, files: Record<string, string>): Promise<string> {
		const place = path.join(folder, "node_modules", name);
		await mkdir(place, { recursive: true });
		await writeFile(path.join(place, "package.json"), JSON.stringify({ name, version: "1.0.0", license }));
		for (const [file, text] of Object.entries(files)) await writeFile(path.join(place, file), text);
		return path.join(place, "lib/index.js");
	}

	test("are made with the text of each package's licence and notice, once", async () => {
		const files = [
			await write("free", "MIT", { LICENSE: "Do what you like.\n" }),
			await write("@some/other", "Apache-2.0", { "LICENCE.md": "Name us.", "NOTICE.txt": "We are they." }),
			path.join(folder, "actions/plan/main.ts"),
		];
		expect(await collectLicenses([...files, ...files])).toBe(`@some/other 1.0.0 (Apache-2.0)

Name us.

We are they.

${"-".repeat(80)}

free 1.0.0 (MIT)

Do what you like.
`);
	});

	test("are refused with a package that asks for more than its text, or says nothing", async () => {
		const files = [
			await write("viral", "GPL-3.0-only", { LICENSE: "Share alike." }),
			await write("silent", undefined, { LICENSE: "" }),
			await write("free", "MIT", { LICENSE: "Do what you like." }),
		];
		const allowed = "its licence must be one of 0BSD, Apache-2.0, BSD-2-Clause, BSD-3-Clause, ISC, MIT";
		await expect(collectLicenses(files)).rejects.toThrow(
			`These packages can't be part of a bundle:\nsilent 1.0.0 (undefined): ${allowed}\nviral 1.0.0 (GPL-3.0-only): ${allowed}`,
		);
	});

	test("are refused with a package that has no licence text", async () => {
		const file = await write("bare", "MIT", { "README.md": "MIT", NOTICE: "We are they." });
		await expect(collectLicenses([file])).rejects.toThrow("bare 1.0.0 (MIT): it has no licence text");
	});
});

describe("as they are built", () => {
	const bundle = (...args: string[]) => run(process.execPath, [path.join(folder, "actions/build/bundle.ts"), ...args]);

	test("are told from what the source says, and made anew without chunks that nothing needs any more", async () => {
		const skipped = path.join(root, "actions/dist");
		await cp(path.join(root, "actions"), path.join(folder, "actions"), {
			recursive: true,
			filter: (file) => file !== skipped,
		});
		await cp(path.join(root, ".github/workflows"), path.join(folder, ".github/workflows"), { recursive: true });
		for (const schemas of ["experiments", "recipes", "trainer/proving_ground/schemas"])
			await cp(path.join(root, schemas), path.join(folder, schemas), { recursive: true });
		await cp(path.join(root, "package.json"), path.join(folder, "package.json"));
		await symlink(path.join(root, "node_modules"), path.join(folder, "node_modules"));
		expect((await bundle()).stdout).toMatch(/^actions\/dist: [23]\.\d\d MB in \d+ files$/m);
		const made = await readdir(path.join(folder, "actions/dist"), { recursive: true });
		expect(made).toContain("licenses.txt");

		await writeFile(path.join(folder, "actions/dist/chunks/chunk-OLD.js"), "");
		await writeFile(path.join(folder, "actions/workflows/follow.yml"), "");
		await writeFile(path.join(folder, "actions/workflows/gone.yml"), "");
		await expect(bundle("--check")).rejects.toMatchObject({
			code: 1,
			stderr:
				"Not what the source says: actions/workflows/follow.yml, actions/dist/chunks/chunk-OLD.js, actions/workflows/gone.yml. Run: npm run bundle\n",
		});
		await bundle();
		expect(await readdir(path.join(folder, "actions/dist"), { recursive: true })).toEqual(made);
		await bundle("--check");
		expect(await readdir(path.join(folder, "actions/workflows"))).not.toContain("gone.yml");
	});
});

describe("and the toolkit's HTTP client", () => {
	async function bundle(code: string): Promise<string> {
		const outfile = path.join(folder, "bundle.mjs");
		const require = 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);';
		await build({
			stdin: { contents: code, resolveDir: root },
			outfile,
			bundle: true,
			format: "esm",
			platform: "node",
			banner: { js: require },
			plugins: [unusedClients],
		});
		return outfile;
	}
	test("go apart where none asks for it", async () => {
		const code =
			'import * as core from "@actions/core"; import { context } from "@actions/github"; core.info(context.sha);';
		expect((await stat(await bundle(code))).size).toBeLessThan(100_000);
	});

	test("stay together where an action asks for a token of its own", async () => {
		const server = createServer((_, response) => response.end(JSON.stringify({ value: "an-id-token" })));
		await once(server.listen(0, "127.0.0.1"), "listening");
		const code = 'import * as core from "@actions/core"; process.stdout.write(await core.getIDToken("aws"));';
		const env = {
			ACTIONS_ID_TOKEN_REQUEST_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/?v=1`,
			ACTIONS_ID_TOKEN_REQUEST_TOKEN: "a-token",
		};
		const { stdout } = await run(process.execPath, [await bundle(code)], { env });
		expect(stdout).toMatch(/an-id-token$/);
		server.close();
	});
});
