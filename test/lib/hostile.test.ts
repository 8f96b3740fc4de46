// Hundreds of hostile strings (a thousand in the soak), through everything that people and machines read
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
	checkRunOf,
	checkRunOfProblems,
	type Documents,
	renderComment,
	renderProblems,
} from "../../actions/lib/comment/comment.ts";
import { lineLabel } from "../../actions/lib/comment/labels.ts";
import { openGitHub } from "../../actions/lib/github/github.ts";
import { renderPage } from "../../actions/lib/page/page.ts";
import { plainLine, plainText } from "../../actions/lib/text/plain.ts";
import { showMarkdown } from "../../actions/lib/text/terminal.ts";
import { makeScores } from "../fixtures/evaluation.ts";
import { makeJudged, makeWaived } from "../fixtures/judged.ts";
import { makeJob, makeJobs, makeOverlap } from "../fixtures/plan.ts";
import { EXTENSIONS } from "../screenshot.ts";
import { count } from "../soak.ts";
import { BOT, type GitHubServer, startGitHub } from "../system/github-server.ts";
import { commandsOf, outputsOf } from "./hostile/runner.ts";
import { hostileStrings } from "./hostile/strings.ts";

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`The hostile strings are of SEED=${seed}.`);
const strings = hostileStrings(count(250, 1_000), seed);
const root = path.resolve(import.meta.dirname, "../..");

/** What steers a terminal or hides from a reader. */
const STEERS = /(?![\n\t])\p{Cc}|[\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/u;
/** Fields of the documents that a schema holds to a few words. */
const WORDS = new Set([
	"schema",
	"kind",
	"state",
	"outcome",
	"bound",
	"status",
	"is",
	"of",
	"head",
	"thumbnail",
	"unit",
	"drift",
	"inconclusive",
	"measure",
	"method",
]);

/** Documents with every text in them replaced, keys too where they are names. */
function spoil<T>(value: T, next: () => string): T {
	if (typeof value === "string") return next() as T;
	if (Array.isArray(value)) return value.map((item) => spoil(item, next)) as T;
	if (value === null || typeof value !== "object") return value;
	return Object.fromEntries(
		Object.entries(value).map(([key, item]) => [
			key,
			WORDS.has(key) || /^(run|evaluation|manifest|id)$/.test(key) ? item : spoil(item, next),
		]),
	) as T;
}

/** Documents in which every metric is that of a category, so that its name for people has the category's text in it. */
function ofCategories<T>(value: T): T {
	return JSON.parse(JSON.stringify(value), (key, item) =>
		key === "metric" && typeof item === "string" ? `ap/${item}` : item,
	);
}

const progress = {
	stage: "train",
	epoch: 1,
	epochs: 2,
	step: 30,
	steps: 74,
	loss: 1,
	metric: { map: 0.1 },
	seconds_left: 9,
};
const peers = [{ pullRequest: 12, experiments: ["other"] }];

const waived = makeWaived({ overall: 0.2 });
/** The same on another test split than production's. */
const { data } = waived.plan;
const slices = (["gone", "changed"] as const).map((is) => ({ name: is, category: null, is }));
const change = { version: 1, known: true, removed: 1, relabelled: 1, added: [[0, 2]] as [number, number][], slices };
const examined = makeJudged(makeScores(), {
	data: { ...data, test: { ...data.test, change }, overlap: makeOverlap(1) },
	warnings: [{ file: "experiments/x.yaml", line: 3, column: 1, message: "it is cut" }],
});
const written = new Map<string, string[]>();

/** All that a comment may say, with the text in the place of every other; a slice * is no name, but every slice. */
function commentsWith(text: string): string[] {
	if (!written.has(text)) written.set(text, writeComments(text === "*" ? "**" : text));
	return written.get(text)!;
}

function writeComments(text: string): string[] {
	const running = makeJob({ state: "running", url: "u", cost_usd: 1, progress });
	const failed = makeJob({ state: "failed", diagnosis: "because" });
	const states: Documents[] = [
		{ plan: waived.plan, peers, approval: "3fa2c1" },
		{
			plan: waived.plan,
			jobs: makeJobs(waived.plan, { ...running, progress: { ...progress, metric: { [text]: 0.1 } } }),
			peers,
		},
		{ plan: waived.plan, jobs: makeJobs(waived.plan, failed) },
		waived,
		examined,
	];
	const shown = states.map((documents) =>
		renderComment({
			...spoil(documents, () => text),
			// A link to a place that the executor names, and nowhere else.
			...(documents.jobs
				? {
						jobs: linked(
							spoil(documents.jobs, () => text),
							text,
						),
					}
				: {}),
		}),
	);
	const named = makeJob({ state: "running", progress: { ...progress, metric: { [`iou/${text}`]: 0.1 } } });
	shown.push(renderComment({ plan: waived.plan, jobs: makeJobs(waived.plan, named) }));
	shown.push(renderComment(ofCategories(spoil(waived, () => text))));
	return [...shown, renderProblems(text, [{ file: text, line: 1, column: 1, message: text }])];
}

function linked(jobs: NonNullable<Documents["jobs"]>, text: string): NonNullable<Documents["jobs"]> {
	return { ...jobs, jobs: jobs.jobs.map((job) => ({ ...job, url: `https://console.example/${text}` })) };
}

/** GitHub's own tree of the Markdown, with what stands in code left out and our link's address cut after its host. */
function treeOf(markdown: string): string {
	const extensions = EXTENSIONS.flatMap((name) => ["-e", name]);
	const xml = execFileSync("cmark-gfm", ["-t", "xml", ...extensions], {
		input: markdown.toWellFormed(),
		encoding: "utf8",
		maxBuffer: 1 << 28,
	});
	return xml
		.replaceAll(/<code [^>]*>[^<]*<\/code>/g, "<code/>")
		.replaceAll(/(destination="https:\/\/console\.example\/)[^"]*"/g, '$1"')
		.replaceAll(/&lt;!-- proving-ground: [a-z0-9_-]* --&gt;/gi, "marker");
}

const hasRenderer = spawnSync("cmark-gfm", ["--version"]).status === 0;
let server: GitHubServer;
let folder: string;

beforeAll(async () => {
	server = await startGitHub();
	folder = mkdtempSync(path.join(tmpdir(), "hostile-"));
});
afterAll(async () => {
	await server.close();
	rmSync(folder, { recursive: true });
});

describe("in a comment", () => {
	test.skipIf(!hasRenderer)("leave its tree exactly as it is, mention nobody and load nothing (cmark-gfm)", () => {
		const harmless = commentsWith("plain").map((text) => treeOf(text));
		for (const tree of harmless) expect(tree).not.toMatch(/@|<image/);
		expect(harmless.join("").match(/<link /g)).toHaveLength(1);
		expect(harmless.join("").match(/<code\/>/g)!.length).toBeGreaterThan(200);
		// One call for many: what one of them left open would show in the next.
		const kinds = harmless.length;
		const rule = "\n\n***\n\n";
		for (let kind = 0; kind < kinds; kind += 1) {
			const one = treeOf(commentsWith("plain")[kind]! + rule);
			const inner = one.slice(one.indexOf("<document"), one.lastIndexOf("</document>")).replace(/^.*\n/, "");
			for (let from = 0; from < strings.length; from += 50) {
				const some = strings.slice(from, from + 50);
				const tree = treeOf(some.map((text) => commentsWith(text)[kind]! + rule).join(""));
				if (tree.includes(inner.repeat(some.length))) continue;
				const guilty = some.filter((text) => treeOf(commentsWith(text)[kind]! + rule) !== one);
				expect(guilty, `comment ${kind}`).toEqual([]);
				expect(tree, `comment ${kind}, together`).toContain(inner.repeat(some.length));
			}
		}
	});

	test("steer no terminal that it is shown in, and forge no command in a log", () => {
		for (const text of strings)
			for (const comment of commentsWith(text)) {
				const shown = showMarkdown(comment);
				expect(shown).not.toMatch(STEERS);
				expect(comment.replaceAll("\uFE0F", "")).not.toMatch(STEERS);
				expect(commandsOf(shown)).toEqual([]);
			}
	});
});

describe("in what an action prints", () => {
	test("forge no command, no output, and nothing beside the summary", () => {
		const file = (name: string) => path.join(folder, name);
		writeFileSync(file("strings.json"), JSON.stringify(strings));
		for (const name of ["output", "summary"]) writeFileSync(file(name), "");
		const { stdout, stderr, status } = spawnSync(
			process.execPath,
			[path.join(import.meta.dirname, "hostile/print.ts"), file("strings.json")],
			{
				encoding: "utf8",
				maxBuffer: 1 << 28,
				env: {
					PATH: process.env["PATH"],
					GITHUB_OUTPUT: file("output"),
					GITHUB_STEP_SUMMARY: file("summary"),
					GITHUB_WORKSPACE: folder,
				},
			},
		);
		expect([status, stderr]).toEqual([0, ""]);
		const commands = commandsOf(stdout);
		// Of each string four errors, the check that blocks, and the waiver without effect.
		expect(commands.length).toBe(6 * strings.length);
		expect(new Set(commands.map(({ command }) => command))).toEqual(new Set(["error", "warning"]));
		const names = new Set(commands.flatMap(({ properties }) => Object.keys(properties)));
		expect(names).toEqual(new Set(["file", "line", "col", "title"]));
		// Each arrives as it was given.
		const files = commands
			.filter(({ properties }) => properties["col"])
			.map(({ properties }) => properties["file"] ?? "");
		expect(files).toEqual(strings.map((text) => text.toWellFormed()));
		const printed = stdout.split(/\r\n|\r|\n/).filter((line) => !line.startsWith("::"));
		for (const line of printed) expect(line).not.toMatch(STEERS);
		expect(printed.length).toBeGreaterThan(3 * strings.length);
		const outputs = outputsOf(readFileSync(file("output"), "utf8"));
		expect(outputs).toEqual(strings.map((text) => ["plan", text.toWellFormed()]));
	});

	test("are plain on one line, and on several", () => {
		for (const text of strings) {
			expect(plainLine(text)).not.toMatch(/[\r\n\t]/);
			expect(plainLine(text, 40).length).toBeLessThanOrEqual(400);
			for (const plain of [plainLine(text), plainText(text)]) {
				expect(plain).not.toMatch(STEERS);
				expect(commandsOf(plain)).toEqual([]);
				expect(plainText(plain)).toBe(plain);
			}
		}
	});
});

describe("on GitHub", () => {
	const open = () =>
		openGitHub({ token: "bot-token", repository: "ann/road", apiUrl: server.url, author: BOT, second: 1 });

	test("are lines of plain text in check runs, each where it belongs", async () => {
		const github = await open();
		const shown: { title: string; message: string; path: string }[] = [];
		for (let from = 0; from < strings.length; from += 200) {
			const problems = strings
				.slice(from, from + 200)
				.map((text, n) => ({ file: `${text}.yaml`, line: n + 1, column: 1, message: `${text}.` }));
			await github.upsertCheckRun(checkRunOfProblems(`x-${from}`, problems, server.sha));
			await github.upsertCheckRun({ ...checkRunOf(makeJudged(), server.sha), title: strings[from]! });
		}
		for (const { operation, body } of server.requests) {
			if (!operation?.includes("check-runs") || !body) continue;
			const { output } = body as { output: { title: string; summary: string; annotations?: typeof shown } };
			expect(output.title).not.toMatch(/[\r\n]/);
			expect(output.title).not.toMatch(STEERS);
			expect(output.summary.length).toBeLessThan(65_536);
			shown.push(...(output.annotations ?? []));
		}
		expect(shown).toHaveLength(strings.length);
		for (const { title, message, path } of shown) {
			expect(`${title}${path}`).not.toMatch(/[\r\n]/);
			expect(`${title}${message}${path}`).not.toMatch(STEERS);
		}
	});

	test("are names under which a check run is found again", async () => {
		const github = await open();
		for (const name of [...strings.slice(-20), "spaces ", "\n", "@x\u202E", "é".repeat(400)]) {
			const check = checkRunOfProblems(name, [{ file: "a.yaml", line: 1, column: 1, message: "wrong" }], server.sha);
			await github.upsertCheckRun(check);
			expect(await github.upsertCheckRun(check), name).toBe("unchanged");
		}
	});

	test("are one line in titles, and no other address in requests", async () => {
		const github = await open();
		const from = server.requests.length;
		for (const text of [...strings.slice(-30), "..", ".", "../x"]) {
			await github.permissionOf(text);
			await github.setLabels(server.pullRequest, [lineLabel(text)], (name) => name.startsWith("line:"));
		}
		const opened = await github.openIssue({
			marker: "<!-- m -->",
			title: strings.slice(0, 60).join(""),
			body: "",
			labels: [],
		});
		const { title } = await server.call<{ title: string }>("GET", `/repos/ann/road/issues/${opened.number}`);
		expect(title).not.toMatch(/[\r\n]/);
		expect(title).not.toMatch(STEERS);
		for (const { path } of server.requests.slice(from))
			expect(path).toMatch(/^\/repos\/ann\/road\/(issues|labels|collaborators\/[\w-]+\/permission)(\/|\?|$)/);
	});

	test("are names of labels that GitHub takes, a different one for each", () => {
		const names = strings.map((text) => lineLabel(text).name);
		expect(new Set(names).size).toBe(new Set(strings).size);
		for (const name of names) expect(name).toMatch(/^line:[\w.-]{0,45}$/);
	});
});

test("on a report's page, are text", () => {
	const judged = makeJudged(makeScores({ night: 0.2 }));
	const tags = (next: () => string) => {
		const { report, verdict } = ofCategories(spoil({ report: judged.report, verdict: judged.verdict }, next));
		const { document } = parseHTML(renderPage(report, verdict));
		const elements = [...document.querySelectorAll("*")];
		for (const element of elements)
			for (const { name, value } of element.attributes)
				if (/^on/i.test(name) || (/^(href|src|xlink:href)$/.test(name) && !/^(#|data:image\/)/.test(value)))
					throw new Error(`${element.tagName} ${name}=${value}`);
		return elements.map(({ tagName }) => tagName);
	};
	let count = 0;
	const harmless = tags(() => `plain ${count++}`);
	expect(count).toBeGreaterThan(60);
	for (let from = 0; from < strings.length; from += count) {
		let place = from;
		expect(tags(() => `${place} ${strings[place++ % strings.length]}`)).toEqual(harmless);
	}
});

test("reach no shell: nothing here starts one", () => {
	const sources = (folder: string, end: string) =>
		readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
			.filter((file) => file.endsWith(end) && !/dist|generated/.test(file))
			.map((file) => [file, readFileSync(path.join(root, folder, file), "utf8")] as const);
	const node = sources("actions", ".ts").filter(([, text]) =>
		/\bexecSync\(|[^.\w]exec\(|shell:|["'](ba|da|z)?sh["']|\beval\(|new Function\(/.test(text),
	);
	const python = sources("trainer", ".py").filter(([, text]) =>
		/shell\s*=\s*True|os\.(system|popen)|[^.\w]eval\(|[^.\w]exec\(/.test(text),
	);
	expect([...node, ...python].map(([file]) => file)).toEqual([]);
});
