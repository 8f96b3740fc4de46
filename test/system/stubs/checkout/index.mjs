// Checks out what the event or the inputs name, from the test's own bare repositories.
// As https://github.com/actions/checkout says: one commit deep, unless fetch-depth is 0; credentials that stay, unless refused.
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";

const input = (name) => process.env[`INPUT_${name.toUpperCase()}`] ?? "";
const folder = path.resolve(process.env.GITHUB_WORKSPACE, input("path") || ".");
const git = (...args) =>
	execFileSync("git", ["-C", folder, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
const place = process.env.TEST_ORIGIN;
if (input("repository") !== process.env.GITHUB_REPOSITORY)
	throw new Error(`This test knows no repository ${input("repository")}.`);

mkdirSync(folder, { recursive: true });
const depth = input("fetch-depth") === "0" ? [] : [`--depth=${input("fetch-depth") || 1}`];
const ref = input("ref") || input("sha");
if (!readdirSync(folder).includes(".git")) git("init", "--quiet");
const remote = `file://${place}`;
const wanted = /^[0-9a-f]{40}$/.test(ref) ? [ref] : [ref, `refs/heads/${ref}`, `refs/tags/${ref}`];
const found = wanted.find((name) => /^[0-9a-f]{40}$/.test(name) || (name.startsWith("refs/") && exists(name)));
if (!found) throw new Error(`A branch or tag with the name '${ref}' could not be found`);
git(
	"fetch",
	"--quiet",
	"--no-tags",
	...depth,
	remote,
	...(depth.length > 0 ? [found] : [found, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]),
);
const commit = /^[0-9a-f]{40}$/.test(found) ? found : git("ls-remote", remote, found).split("\t")[0];
const branch = found.startsWith("refs/heads/") ? ["-B", found.slice("refs/heads/".length)] : ["--detach"];
git("checkout", "--quiet", "--force", ...branch, commit);
// Without credentials nothing can be pushed; a public repository can still be read.
git("config", "remote.origin.url", remote);
git("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*");
const persists = input("persist-credentials") !== "false";
git("config", "remote.origin.pushurl", persists ? remote : "https://credentials.were.not.kept.invalid/");
await fetch(`${process.env.GITHUB_API_URL}/_needs/contents/read`, { method: "POST" });
// The server hears of a push, which needs more.
const ask = `fetch("${process.env.GITHUB_API_URL}/_needs/contents/write", { method: "POST" }).then((a) => process.exit(a.ok ? 0 : 1))`;
writeFileSync(path.join(folder, ".git/hooks/pre-push"), `#!/bin/sh\nexec node -e '${ask}'\n`, { mode: 0o755 });

function exists(name) {
	return git("ls-remote", remote, name).trim() !== "";
}
