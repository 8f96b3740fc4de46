// A file that a pull request brings is read where it is a regular file inside the repository, and never anything else
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readDataset } from "../../actions/lib/data/dataset.ts";
import { differenceFrom } from "../../actions/lib/data/difference.ts";
import { InvalidFile, InvalidInput } from "../../actions/lib/errors.ts";
import { fileKinds, loadFile } from "../../actions/lib/experiment/files.ts";
import { type BacktestPorts, backtestPolicy } from "../../actions/lib/gate/backtest.ts";
import type { Data, Entry } from "../../actions/lib/generated/documents.d.ts";
import { findWeights } from "../../actions/lib/plan/weights.ts";
import { folder as storeIn } from "../../actions/lib/stores/folder.ts";
import { parseYaml } from "../../actions/lib/text/yaml.ts";

const SECRET = "AWS_SECRET_ACCESS_KEY=abcdefghij\n";
let root: string;
let secret: string;
beforeEach(async () => {
	root = await mkdtemp(path.join(tmpdir(), "files-"));
	secret = path.join(root, "secret");
	await writeFile(secret, SECRET);
	await mkdir(path.join(root, "repository/experiments"), { recursive: true });
});
afterEach(() => rm(root, { recursive: true }));
const inside = (...parts: string[]) => path.join(root, "repository", ...parts);

async function messageOf(attempt: Promise<unknown>): Promise<string> {
	const error = await attempt.then(
		() => new Error("it was taken"),
		(thrown: Error) => thrown,
	);
	expect(error instanceof InvalidFile || error instanceof InvalidInput, error.message).toBe(true);
	expect(error.message).not.toContain(SECRET.slice(0, 10));
	expect(error.message).not.toContain(createHash("sha256").update(SECRET).digest("hex"));
	return error.message;
}

describe("an experiment that is", () => {
	const load = () => messageOf(loadFile(inside(), "experiments/x.yaml", fileKinds.experiment, []));

	test("a link to a file of the runner", async () => {
		await symlink(secret, inside("experiments/x.yaml"));
		expect(await load()).toBe("experiments/x.yaml: found a link or a special file; only regular files are read.");
	});

	test("in a folder that is a link out of the repository", async () => {
		await mkdir(path.join(root, "elsewhere"));
		await writeFile(path.join(root, "elsewhere/x.yaml"), SECRET);
		await rm(inside("experiments"), { recursive: true });
		await symlink(path.join(root, "elsewhere"), inside("experiments"));
		expect(await load()).toContain("found a link or a special file");
	});

	test("a device without an end", async () => {
		await symlink("/dev/zero", inside("experiments/x.yaml"));
		expect(await load()).toContain("found a link or a special file");
	});

	test("a pipe that nobody writes to", async () => {
		execFileSync("mkfifo", [inside("experiments/x.yaml")]);
		expect(await load()).toContain("found a link or a special file");
	});

	test("a gigabyte", async () => {
		await writeFile(inside("experiments/x.yaml"), "");
		await truncate(inside("experiments/x.yaml"), 1024 ** 3);
		expect(await load()).toBe("experiments/x.yaml: found 1073741824 bytes; at most 1048576 are read.");
	});

	test("a folder", async () => {
		await mkdir(inside("experiments/x.yaml"));
		expect(await load()).toBe("experiments/x.yaml: this is a folder.");
	});
});

test("a policy that is a link is not tried on what was promoted", async () => {
	await mkdir(inside("recipes/gates"), { recursive: true });
	await symlink(secret, inside("recipes/gates/x.yaml"));
	const ports = { root: inside(), store: storeIn(path.join(root, "store")) } as unknown as BacktestPorts;
	const tried = backtestPolicy(ports, "recipes/gates/x.yaml", { against: "HEAD", models: [] });
	expect(await messageOf(tried)).toContain("recipes/gates/x.yaml: found a link or a special file");
});

describe("weights at a path", () => {
	const find = (uri: string) => {
		const text = `model: line\nweights: { uri: ${uri}, sha256: "sha256:${"0".repeat(64)}" }\n`;
		const source = parseYaml("experiments/x.yaml", text);
		const experiment = { value: source.value, source };
		const ports = { store: storeIn(path.join(root, "store")), root: inside() };
		return messageOf(findWeights({ experiment } as never, { versions: [], approvals: [] }, ports));
	};

	test("tell no digest of what lies there", async () => {
		expect(await find(secret)).toContain("secret has another digest");
	});

	test("that are a link, a device or a pipe are not read", async () => {
		await symlink(secret, inside("link"));
		execFileSync("mkfifo", [inside("pipe")]);
		for (const uri of ["link", "pipe", "/dev/zero"])
			expect(await find(uri)).toContain("found a link or a special file");
	});
});

describe("a dataset's", () => {
	const recipe = { categories: { detection: ["car"], segmentation: [] } } as unknown as Data;
	const frame = (more: object = {}) => ({ "source-ref": "a.jpg", width: 1, height: 1, ...more });
	const line = JSON.stringify(frame());

	async function leave(files: Record<string, string> = {}): Promise<void> {
		await mkdir(inside("data"), { recursive: true });
		const all: Record<string, string> = {
			"slices.yaml": "slices:\n  - { name: day, where: { timeofday: day } }\n",
			"a.jpg": "image",
		};
		const manifests = ["train", "val", "test"].map((split) => [`golden_${split}.manifest`, `${line}\n`]);
		for (const [name, text] of Object.entries<string>({ ...all, ...Object.fromEntries(manifests), ...files }))
			await writeFile(inside("data", name), text);
	}
	const read = () => readDataset("data", recipe, inside("data"));

	test.each(["golden_train.manifest", "slices.yaml"])("%s is refused as a link, and as a folder", async (name) => {
		await leave();
		await rm(inside("data", name));
		await symlink(secret, inside("data", name));
		const message = await messageOf(read());
		expect(message).toContain("found a link or a special file");
		if (name.endsWith(".manifest")) expect(message).toContain("dvc config cache.type");
		await rm(inside("data", name));
		await mkdir(inside("data", name));
		expect(await messageOf(read())).toMatch(/this is a folder|it is no regular file/);
	});

	test("image is refused where it is a pipe", async () => {
		await leave();
		await rm(inside("data/a.jpg"));
		execFileSync("mkfifo", [inside("data/a.jpg")]);
		expect(await messageOf(read())).toContain("golden_val.manifest:1:1 source-ref: the file a.jpg is no regular file");
	});

	test("manifest is refused by the line that no memory holds", async () => {
		await leave({ "golden_val.manifest": `${line}\n${" ".repeat(17 * 1024 * 1024)}` });
		expect(await messageOf(read())).toMatch(/golden_val\.manifest:2:1 the line has more than 16777216 bytes$/);
	});

	test("names are counted, whatever every object inherits", async () => {
		const keys = ["constructor", "toString", "hasOwnProperty"];
		const names = ["__proto__", ...keys];
		const attributes = Object.fromEntries(keys.map((name) => [name, "polluted"]));
		const detection = names.map((category) => ({ category, box: [0, 0, 1, 1] }));
		await leave({ "golden_test.manifest": `${JSON.stringify(frame({ attributes, detection }))}\n` });
		const named = { ...recipe, categories: { detection: names, segmentation: [] } };
		const dataset = await readDataset("data", named, inside("data"));
		expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
		expect(Object.keys(dataset.splits.test.attributes).sort()).toEqual([...keys].sort());
		expect(Object.entries(dataset.splits.test.objects)).toEqual(names.map((name) => [name, 1]));
		const { splits } = dataset;
		const before = { data: { name: "data", version: "sha256:other", splits: { ...splits, test: splits.train } } };
		const difference = differenceFrom(before as unknown as Entry, dataset);
		expect(Object.entries(difference!.splits.test.objects)).toEqual(names.map((name) => [name, [0, 1]]));
	});

	test("key that is every object's prototype is refused by its line", async () => {
		// JSON.stringify leaves an own __proto__ in, and JSON.parse makes it one.
		const attributes = JSON.parse('{ "__proto__": "polluted" }');
		await leave({ "golden_val.manifest": `${line}\n${JSON.stringify(frame({ attributes }))}\n` });
		expect(await messageOf(read())).toMatch(/golden_val\.manifest:2:1 attributes: __proto__ can't be a key$/);
	});

	test("slices choose no frame by what every object inherits", async () => {
		await leave({ "slices.yaml": 'slices:\n  - { name: odd, where: { toString: "x" } }\n' });
		expect((await read()).slices[0]!.frames).toBe(0);
	});
});
