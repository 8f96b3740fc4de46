// Checks that block and the waivers of the base branch become checks that somebody lets by, and waivers that have no effect, with why.
import type { PlanWaiver, Report, Verdict, VerdictIdleWaiver, VerdictWaivedCheck } from "../generated/documents.d.ts";
import { TEST_SPLIT } from "../metrics.ts";
import { counted } from "../text/counted.ts";
import { isOfLost } from "./exam.ts";

type Check = Verdict["checks"][number];

/** Checks after their waivers, and the waivers that were asked for in vain. */
export interface Waived {
	checks: Check[];
	idle: VerdictIdleWaiver[];
}

/** Lets by what a waiver of the policy names, on the day of the verdict; a check keeps its outcome and its figures. */
export function waive(checks: readonly Check[], report: Report, now: Date): Waived {
	const entries = report.policy.waivers?.entries ?? [];
	const today = now.toISOString().slice(0, "YYYY-MM-DD".length);
	const idle = new Map<PlanWaiver, VerdictIdleWaiver>();
	const approved = checks.find(({ metric }) => metric === TEST_SPLIT);
	const named = (check: Check) =>
		// Whoever approves the exam approves that it has fewer slices.
		approved && isOfLost(check, report)
			? entries.filter(({ metric }) => metric === TEST_SPLIT)
			: entries.filter(({ metric, slice }) => metric === check.metric && slice === check.slice);
	const waived = checks.map((check) => {
		if (!check.blocking) return check;
		const judged = named(check).map((waiver) => ({ waiver, why: obstacle(waiver, check, report, today) }));
		for (const { waiver, why } of judged) {
			const { metric, slice, who, until, line } = waiver;
			if (why !== null) idle.set(waiver, { metric, slice, who, until, line, why });
		}
		const effective = judged.find(({ why }) => why === null)?.waiver;
		if (!effective) return check;
		const { who, reason, until, line } = effective;
		return { ...check, blocking: false, waived: { who, reason, until, line } };
	});
	return { checks: waived, idle: [...idle.values()] };
}

/** Why an approval of an exam, or a waiver of a score, isn't of this check; null where it is. */
function mismatch({ metric, split }: PlanWaiver, check: Check, { data }: Report): string | null {
	if (metric !== TEST_SPLIT) {
		if (check.protected) return "The slice is protected: its checks can't be waived.";
		return isMeasured(check) ? null : "The check has no measured value: it can't be waived.";
	}
	const own = data.test?.split;
	return split === own ? null : `It approves the test split ${split}; this one is ${own}.`;
}

/** Why a waiver doesn't let a check by, in a sentence; null where it does. */
function obstacle(waiver: PlanWaiver, check: Check, report: Report, today: string): string | null {
	const { experiment } = report;
	if (waiver.model !== experiment.model)
		return `It is for the line ${waiver.model}; this model is of ${experiment.model}.`;
	if (waiver.experiment !== null && waiver.experiment !== experiment.name)
		return `It is for the experiment ${waiver.experiment} only.`;
	if (waiver.refused !== undefined) return waiver.refused;
	const other = mismatch(waiver, check, report);
	if (other !== null) return other;
	// Dates of one form compare as their text does.
	if (waiver.until < today) return `It ended on ${waiver.until}.`;
	const { authors = [] } = experiment;
	if (authors.length === 0) return "The author's GitHub login is not known: they may have granted it themselves.";
	// GitHub takes upper and lower case for the same login.
	if (authors.some((author) => author.toLowerCase() === waiver.who.toLowerCase()))
		return "An author of the experiment granted it: nobody may waive checks of their own experiment.";
	return null;
}

/** A check that fails without a figure has measured nothing. */
function isMeasured({ outcome, actual }: Check): boolean {
	return outcome !== "fail" || actual !== null;
}

/** The checks that a verdict let by, as registry and promotion remember them; nothing where there are none. */
export function waivedOf({ checks }: Verdict): { waived?: VerdictWaivedCheck[] } {
	const waived = checks.flatMap(({ metric, slice, bound, outcome, waived }) => {
		if (!waived || (outcome !== "fail" && outcome !== "inconclusive")) return [];
		const { who, reason, until } = waived;
		return [{ metric, slice, bound, outcome, who, reason, until }];
	});
	return waived.length > 0 ? { waived } : {};
}

/** `with 1 waived check`; empty where nothing was waived. */
export function waivedWords(count: number): string {
	return count === 0 ? "" : ` with ${counted(count, "waived check")}`;
}
