// Check runs as GitHub has them: annotations pile up over updates, and a run belongs to the app whose token made it.
import { type Answer, type Ask, paginate, placeOf, type Routes, refuse, repo, type Upstream } from "./route.ts";

export type Annotation = Record<string, unknown>;

interface CheckRun {
	id: number;
	output: { annotations_count: number; [key: string]: unknown };
	[key: string]: unknown;
}

/** A run's annotations and the app that made it, by the run's id. */
export type CheckState = Map<number, { annotations: Annotation[]; app: string }>;

export function checkRoutes(state: CheckState): Routes {
	function shown(run: CheckRun): CheckRun {
		const { annotations = [], app } = state.get(run.id) ?? {};
		const output = { ...run.output, annotations_count: annotations.length };
		return { ...run, output, app: app ? { slug: app, name: app } : null };
	}

	async function write(ask: Ask, upstream: Upstream): Promise<Answer> {
		// "Write permission for the REST API to interact with checks is only available to GitHub Apps."
		// https://docs.github.com/en/rest/guides/using-the-rest-api-to-interact-with-checks
		if (!ask.login.endsWith("[bot]")) return refuse(403, "You must authenticate via a GitHub App.");
		const output = ask.body["output"] as { annotations?: Annotation[]; [key: string]: unknown } | undefined;
		const annotations = output?.annotations ?? [];
		// "The Checks API limits the number of annotations to a maximum of 50 per API request."
		// https://docs.github.com/en/rest/checks/runs#create-a-check-run
		if (annotations.length > 50)
			return refuse(422, "Invalid request.\n\nNo more than 50 items are allowed; annotations.");
		const { annotations: _, ...rest } = output ?? {};
		// "Providing conclusion will automatically set the status parameter to completed."
		const status = ask.body["conclusion"] ? { status: "completed" } : {};
		const body = { ...ask.body, ...status, ...(output ? { output: rest } : {}) };
		const answer = await upstream(ask.method, ask.path, body);
		if (answer.status >= 300) return answer;
		const run = answer.body as CheckRun;
		const before = state.get(run.id) ?? { annotations: [], app: ask.login.replace("[bot]", "") };
		// "Each time you update the check run, annotations are appended"; emulate keeps only the last ones.
		state.set(run.id, { ...before, annotations: [...before.annotations, ...annotations] });
		return { ...answer, body: shown(run) };
	}

	return {
		[`POST ${repo}/check-runs`]: write,
		[`PATCH ${repo}/check-runs/{check_run_id}`]: write,

		async [`GET ${repo}/check-runs/{check_run_id}`](ask, upstream) {
			const answer = await upstream("GET", ask.path);
			return answer.status === 200 ? { ...answer, body: shown(answer.body as CheckRun) } : answer;
		},

		async [`GET ${repo}/commits/{ref}/check-runs`](ask, upstream) {
			// emulate finds a commit by branch or by its whole id, and gives all runs on one page.
			const answer = await upstream("GET", ask.path);
			if (answer.status !== 200) return answer;
			const { check_runs: runs } = answer.body as { check_runs: CheckRun[] };
			return paginate(ask, runs.map(shown), (page) => ({ total_count: runs.length, check_runs: page }));
		},

		// A plain list: https://docs.github.com/en/rest/checks/runs#list-check-run-annotations
		async [`GET ${repo}/check-runs/{check_run_id}/annotations`](ask, upstream) {
			const id = Number(ask.params["check_run_id"]);
			const answer = await upstream("GET", `${placeOf(ask)}/check-runs/${id}`);
			return answer.status === 200 ? paginate(ask, state.get(id)?.annotations ?? []) : answer;
		},
	};
}
