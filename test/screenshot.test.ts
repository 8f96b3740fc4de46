// The browser that the tests look with
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { findBrowser } from "./screenshot.ts";

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(path.join(tmpdir(), "browser-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

test("is Chromium where it is there, else Google Chrome, which GitHub's runners bring", () => {
	const found = () => findBrowser({ PATH: `/nowhere::${folder}` });
	expect(found()).toBeNull();
	for (const name of ["google-chrome", "chromium-browser", "chromium"]) {
		writeFileSync(path.join(folder, name), "");
		expect(found()).toBe(path.join(folder, name));
	}
});

test("is what CHROMIUM names", () => {
	expect(findBrowser({ CHROMIUM: "/opt/browser", PATH: folder })).toBe("/opt/browser");
});

test("is looked for by the same names where CI installs one", () => {
	const script = readFileSync(path.resolve(".ci/packages"), "utf8");
	expect(script).toContain("command -v chromium chromium-browser google-chrome >");
});
