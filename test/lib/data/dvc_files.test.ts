// What DVC has written beside the data
import { describe, expect, test } from "vitest";
import { insideOfPin, isPin, pinFolder, pinInside, pinOf } from "../../../actions/lib/data/dvc_files.ts";
import { InvalidFile } from "../../../actions/lib/errors.ts";

const md5 = (letter: string) => `${letter.repeat(32)}.dir`;
const tracked = (path: string, letter = "a") =>
	`outs:\n- md5: ${md5(letter)}\n  size: 10\n  nfiles: 2\n  hash: md5\n  path: ${path}\n`;
const stage = (name: string, path: string, letter = "a") =>
	`  ${name}:\n    cmd: python make.py\n    deps:\n    - path: raw\n      md5: ${md5("f")}\n    outs:\n    - path: ${path}\n      hash: md5\n      md5: ${md5(letter)}\n      size: 10\n`;
const lock = (...stages: string[]) => `schema: '2.0'\nstages:\n${stages.join("")}`;

const find = (path: string, files: Record<string, string>) =>
	pinOf(path, { files: new Set(Object.keys(files)), read: async (file) => files[file]!, where: "the data at v1" });

async function refused(path: string, files: Record<string, string>): Promise<string> {
	const error = await find(path, files).catch((reason: unknown) => reason);
	if (!(error instanceof InvalidFile)) throw new Error(`no InvalidFile: ${error}`);
	return error.message;
}

describe("names a folder", () => {
	test("that it tracks, or that lies inside of what it tracks", async () => {
		const files = {
			"data.dvc": tracked("data"),
			"more/sets/x.dvc": tracked("x", "b"),
			"odd.dvc": `wdir: more\n${tracked("odd")}`,
		};
		expect(await find("data", files)).toBe(md5("a"));
		expect(await find("data/scenes", files)).toBe(`${md5("a")}/scenes`);
		expect(await find("data/scenes/day/1", files)).toBe(`${md5("a")}/scenes/day/1`);
		expect(await find("more/sets/x/y", files)).toBe(`${md5("b")}/y`);
		expect(await find("more/sets", files)).toBeNull();
		expect(await find("database", files)).toBeNull();
		expect(await find("odd/y", files)).toBeNull();
	});

	test("that a pipeline makes, or that lies inside of what it makes", async () => {
		const files = { "sets/dvc.lock": lock(stage("one", "raw2", "b"), stage("two@day", "ready/day")) };
		expect(await find("sets/ready/day", files)).toBe(md5("a"));
		expect(await find("sets/ready/day/scenes", files)).toBe(`${md5("a")}/scenes`);
		expect(await find("sets/ready", files)).toBeNull();
	});

	test("in a lock of megabytes, of which the stages that matter are parsed", async () => {
		const many = Array.from({ length: 40_000 }, (_, at) => stage(`prepare@${at}`, `ready/${at}`, "b"));
		const text = lock(...many, stage("last", "ready/here"));
		expect(text.length).toBeGreaterThan(5_000_000);
		const began = performance.now();
		expect(await find("ready/here/day", { "dvc.lock": text })).toBe(`${md5("a")}/day`);
		expect(performance.now() - began).toBeLessThan(5000);
	});

	test("in a lock that a person has indented otherwise", async () => {
		const text = `stages:\n    one:\n        outs: [{ path: "ready", md5: ${md5("a")} }]\n`;
		expect(await find("ready", { "dvc.lock": text })).toBe(md5("a"));
		expect(await find("ready", { "dvc.lock": lock(`  one: { outs: [{ path: ready, md5: ${md5("a")} }] }\n`) })).toBe(
			md5("a"),
		);
	});

	test("beside a pipeline with anchors and merge keys, by which a stage may run in a folder of its own", async () => {
		const files = {
			"dvc.lock": lock(stage("one", "ready", "b"), stage("two", "ready")),
			"dvc.yaml":
				"vars:\n  - &base { python: python3 }\nstages:\n  one: &stage\n    cmd: x\n    wdir: own\n    outs: [ready]\n  two:\n    <<: *stage\n    wdir: other\n",
		};
		expect(await find("own/ready", files)).toBe(md5("b"));
		expect(await find("other/ready/x", files)).toBe(`${md5("a")}/x`);
	});
});

describe("is refused by its name", () => {
	test("where a remote keeps versions of single files", async () => {
		const versions =
			"  files:\n  - relpath: a.manifest\n    md5: 0123456789abcdef0123456789abcdef\n    cloud: { store: { version_id: abc } }\n";
		const why =
			"it lists versions of files that a remote keeps: cloud versioning (version_aware) isn't supported; push the data to a remote without it";
		expect(await refused("clips/x", { "clips.dvc": `outs:\n- path: clips\n${versions}` })).toBe(
			`clips.dvc of the data at v1:1:1 ${why}`,
		);
		const locked = stage("one", "clips").replace(/ {6}md5: a.*\n/, `      files:\n      - { relpath: x }\n`);
		expect(await refused("clips", { "dvc.lock": lock(locked) })).toBe(`dvc.lock of the data at v1:1:1 ${why}`);
	});

	test("where it is too large, no YAML, a bomb, or has a pin that leads elsewhere", async () => {
		const bomb = `a: &a [wdir]\n${"bcdefghi".replaceAll(
			/./g,
			(key) =>
				`${key}: &${key} [${Array(9)
					.fill(`*${String.fromCharCode(key.charCodeAt(0) - 1)}`)
					.join(", ")}]\n`,
		)}`;
		const locked = { "dvc.lock": lock(stage("one", "ready")) };
		const messages = [
			await refused("ready", { ...locked, "dvc.lock": "#".repeat(17 * 1024 * 1024) }),
			await refused("ready", { ...locked, "dvc.yaml": `${"#".repeat(1024 * 1024)} wdir` }),
			await refused("ready", { ...locked, "dvc.yaml": "wdir: [" }),
			await refused("ready", { ...locked, "dvc.yaml": bomb }),
			await refused("ready", { "dvc.lock": lock(stage("one", "ready").replace(md5("a"), `${md5("a")}/../x`)) }),
			await refused("ready", { "ready.dvc": "outs:\n- &a { path: ready }\n" }),
		];
		expect(messages.join("\n")).toMatchInlineSnapshot(`
			"dvc.lock of the data at v1:1:1 the file has 17825792 bytes; at most 16777216 are read
			dvc.yaml of the data at v1:1:1 the file has 1048581 bytes; at most 1048576 are read
			dvc.yaml of the data at v1:1:1 not YAML: Flow sequence in block collection must be sufficiently indented and end with a ] at line 1, column 8:
			dvc.yaml of the data at v1:1:1 not YAML: Excessive alias count indicates a resource exhaustion attack
			dvc.lock of the data at v1:1:1 md5: found aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.dir/../x; it must be 32 hexadecimal digits and .dir, the pin of a folder
			ready.dvc of the data at v1:2:6 the anchor &a is not allowed; write the value out where it is used"
		`);
	});
});

test("gives each pin a folder of its own, flat beside the others", () => {
	const [whole, one, other] = [md5("a"), pinInside(md5("a"), "x/y"), pinInside(md5("a"), "x_y")];
	expect(pinFolder(whole)).toBe(whole);
	expect(new Set([whole, one, other].map(pinFolder)).size).toBe(3);
	for (const pin of [one, other]) expect(pinFolder(pin)).toMatch(/^a{32}\.dir-[0-9a-f]{16}$/);
	expect([whole, one].map(insideOfPin)).toEqual(["", "x/y"]);
	expect([whole, one, "../x", "a/b"].map(isPin)).toEqual([true, true, false, false]);
});
