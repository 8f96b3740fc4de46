// The reports in reports/*/report.json become their pages, and one page over all of them.
import { existsSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import path from "node:path";
import { readDocument } from "../documents.ts";
import { InvalidInput } from "../errors.ts";
import { replaceFile } from "../files.ts";
import type { Reported } from "./models.ts";

/** Reads every report; one of another version of this tool is named in `skipped`, and holds up no other. */
export async function readReports(root: string): Promise<{ reports: Reported[]; skipped: string[] }> {
	const folder = path.join(root, "reports");
	const names = (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory());
	const reports: Reported[] = [];
	const skipped: string[] = [];
	for (const { name } of names.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
		const file = (what: string) => path.join(folder, name, `${what}.json`);
		const ifThere = async <N extends "verdict" | "promotion">(what: N) =>
			existsSync(file(what)) ? readDocument(what, file(what)) : undefined;
		if (!existsSync(file("report"))) continue;
		try {
			const report = await readDocument("report", file("report"));
			const [verdict, promotion] = [await ifThere("verdict"), await ifThere("promotion")];
			reports.push({
				folder: name,
				report,
				verdict: verdict?.evaluation === report.evaluation ? verdict : undefined,
				promotion: promotion?.manifest === report.manifest ? promotion : undefined,
			});
		} catch (error) {
			if (!(error instanceof InvalidInput)) throw error;
			skipped.push(error.message.replaceAll(`${root}${path.sep}`, ""));
		}
	}
	return { reports, skipped };
}

/** Draws reports/index.html over all reports, and with `each` the page of each of them anew; returns its path and how many there are. */
export async function writePages(
	root: string,
	{ each }: { each: boolean },
): Promise<{ file: string; reports: number; skipped: string[] }> {
	const file = path.join(root, "reports", "index.html");
	await mkdir(path.dirname(file), { recursive: true });
	const { reports, skipped } = await readReports(root);
	// What draws is loaded when there is something to draw.
	const [{ renderIndex }, { renderPage }] = await Promise.all([import("./models.ts"), import("./page.ts")]);
	for (const { folder, report, verdict } of each ? reports : [])
		await replaceFile(path.join(root, "reports", folder, "index.html"), renderPage(report, verdict));
	await replaceFile(file, renderIndex(reports, skipped));
	return { file, reports: reports.length, skipped };
}
