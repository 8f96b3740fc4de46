// Draws the page of each report anew, and the page over all of them.
import * as core from "@actions/core";
import { runAction, workspaceRoot } from "../lib/action.ts";
import { writePages } from "../lib/page/pages.ts";
import { plainText } from "../lib/text/plain.ts";

await runAction(async () => {
	const { file, reports, skipped } = await writePages(workspaceRoot(), { each: true });

	for (const why of skipped) core.warning(plainText(`Left out: ${why}`));
	core.setOutput("page", file);
	core.setOutput("reports", reports);
});
