// An event becomes a workflow's run, and runs that nobody waits for any more are cancelled.
import { InvalidInput } from "../errors.ts";
import { type Client, call, orNull, repeatable } from "./connect.ts";
import type { GitHub } from "./objects.ts";
import { readPages } from "./requests.ts";

export function workflows({
	octokit,
	place,
	limits,
}: Client): Pick<GitHub, "hasReviewers" | "dispatchWorkflow" | "emit" | "cancelRuns" | "rerun"> {
	return {
		async hasReviewers(environment) {
			const asked = { ...place, environment_name: environment };
			const answer = await call(`read the environment ${environment}`, () =>
				orNull(octokit.rest.repos.getEnvironment(asked)),
			);
			return (answer?.data.protection_rules ?? []).some(
				(rule) => rule.type === "required_reviewers" && "reviewers" in rule && (rule.reviewers ?? []).length > 0,
			);
		},

		async rerun(workflowFile, headSha) {
			const { data } = await call("list workflow runs", () =>
				octokit.rest.actions.listWorkflowRuns({
					...place,
					workflow_id: workflowFile,
					head_sha: headSha,
					per_page: 100,
				}),
			);
			const [last] = data.workflow_runs.filter(({ head_sha }) => head_sha === headSha).sort((a, b) => b.id - a.id);
			// GitHub refuses to run again what still runs.
			if (last?.status !== "completed") return false;
			await call("run a workflow again", () => octokit.rest.actions.reRunWorkflow({ ...place, run_id: last.id }));
			return true;
		},

		async dispatchWorkflow(file, ref, inputs) {
			const event = { ...place, workflow_id: file, ref, inputs };
			await call(`start the workflow ${file}`, () =>
				octokit.rest.actions.createWorkflowDispatch({ ...event, ...repeatable }),
			);
		},

		async emit(type, payload) {
			const event = { ...place, event_type: type, client_payload: payload };
			await call(`emit ${type}`, () => octokit.rest.repos.createDispatchEvent({ ...event, ...repeatable }));
		},

		async cancelRuns(workflowFile, { branch, headSha }) {
			if (branch === undefined && headSha === undefined)
				throw new InvalidInput("Name a branch or a commit whose runs to cancel.");
			const asked = {
				...(branch === undefined ? {} : { branch }),
				...(headSha === undefined ? {} : { head_sha: headSha }),
			};
			const runs = await call("list workflow runs", () =>
				readPages(
					octokit.paginate.iterator(octokit.rest.actions.listWorkflowRuns, {
						...place,
						...asked,
						workflow_id: workflowFile,
						per_page: 100,
					}),
					limits,
				),
			);
			const repository = `${place.owner}/${place.repo}`.toLowerCase();
			const isOurs = ({ full_name }: { full_name: string }) => full_name.toLowerCase() === repository;
			const running = runs.filter(
				(run) =>
					run.status !== "completed" &&
					(branch === undefined || run.head_branch === branch) &&
					(headSha === undefined || run.head_sha === headSha) &&
					// A fork may have a branch of the same name.
					(headSha !== undefined || !run.head_repository || isOurs(run.head_repository)) &&
					// Whoever asks may be such a run.
					String(run.id) !== process.env["GITHUB_RUN_ID"],
			);
			let cancelled = 0;
			for (const { id } of running) if (await call("cancel a run", () => cancel(id))) cancelled += 1;
			return cancelled;
		},
	};

	/** False where the run has ended by itself. */
	async function cancel(id: number): Promise<boolean> {
		try {
			await octokit.rest.actions.cancelWorkflowRun({ ...place, run_id: id, ...repeatable });
			return true;
		} catch (error) {
			if ((error as { status?: number }).status === 409) return false;
			throw error;
		}
	}
}
