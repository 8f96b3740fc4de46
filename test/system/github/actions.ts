// Dispatches, workflow runs, deployments, environments, statuses and permissions of collaborators: what emulate lacks or has differently.
import { parse } from "yaml";
import {
	type Answer,
	type Ask,
	notFound,
	paginate,
	placeOf,
	type Routes,
	refuse,
	repo,
	type Upstream,
} from "./route.ts";

/** A dispatch that GitHub would start workflows for; a test runs them. */
export type Dispatch =
	| { kind: "repository_dispatch"; by: string; event_type: string; client_payload: Record<string, unknown> }
	| { kind: "workflow_dispatch"; by: string; workflow: string; ref: string; inputs: Record<string, string> };

export interface WorkflowRun {
	id: number;
	name: string;
	/** .github/workflows/experiment.yml */
	path: string;
	event: string;
	head_branch: string;
	head_sha: string;
	status: "queued" | "in_progress" | "completed";
	conclusion: string | null;
	run_number: number;
	run_attempt: number;
	created_at: string;
}

export interface ActionsState {
	dispatches: Dispatch[];
	runs: WorkflowRun[];
	/** Called when a run is cancelled. */
	cancelled: Map<number, () => void>;
	deployments: { id: number; sha: string; environment: string; [key: string]: unknown }[];
	deploymentStatuses: Map<number, object[]>;
	environments: { name: string; [key: string]: unknown }[];
	statuses: { sha: string; state: string; context: string; [key: string]: unknown }[];
}

/** The environment of the guide, as GitHub shows it: https://docs.github.com/en/rest/deployments/environments#get-an-environment */
export const TRAINING = {
	name: "training",
	protection_rules: [
		{
			id: 1,
			type: "required_reviewers",
			prevent_self_review: false,
			reviewers: [{ type: "User", reviewer: { login: "bob" } }],
		},
	],
};

export function actionsRoutes(state: ActionsState): Routes {
	return {
		...dispatchRoutes(state),
		...runRoutes(state),
		...deploymentRoutes(state),
		...statusRoutes(state),
		[`GET ${repo}/collaborators/{username}/permission`]: permission,
	};
}

function dispatchRoutes(state: ActionsState): Routes {
	return {
		// https://docs.github.com/en/rest/repos/repos#create-a-repository-dispatch-event
		[`POST ${repo}/dispatches`](ask) {
			const { event_type, client_payload = {} } = ask.body as { event_type: string; client_payload?: object };
			if (!event_type) return refuse(422, 'Invalid request.\n\n"event_type" wasn\'t supplied.');
			// "The maximum number of top-level properties in client_payload is 10."
			if (Object.keys(client_payload).length > 10)
				return refuse(422, "No more than 10 properties are allowed; client_payload has more.");
			state.dispatches.push({
				kind: "repository_dispatch",
				by: ask.login,
				event_type,
				client_payload: { ...client_payload },
			});
			return { status: 204 };
		},

		[`POST ${repo}/actions/workflows/{workflow_id}/dispatches`]: (ask, upstream) =>
			dispatchWorkflow(state, ask, upstream),
	};
}

function runRoutes(state: ActionsState): Routes {
	const run = ({ params }: Ask) => state.runs.find(({ id }) => id === Number(params["run_id"]));

	function listRuns(ask: Ask, runs: WorkflowRun[]): Answer {
		const filters = { branch: "head_branch", event: "event", head_sha: "head_sha" } as const;
		const status = ask.query.get("status");
		const found = runs
			.filter((run) => Object.entries(filters).every(([key, field]) => [null, run[field]].includes(ask.query.get(key))))
			// "Can be one of" a status or a conclusion.
			.filter((run) => !status || run.status === status || run.conclusion === status)
			.sort((a, b) => b.id - a.id);
		return paginate(ask, found, (page) => ({ total_count: found.length, workflow_runs: page }));
	}

	return {
		[`GET ${repo}/actions/runs`]: (ask) => listRuns(ask, state.runs),
		[`GET ${repo}/actions/workflows/{workflow_id}/runs`]: (ask) =>
			listRuns(
				ask,
				state.runs.filter(({ path }) => path.endsWith(`/${ask.params["workflow_id"]}`)),
			),
		[`GET ${repo}/actions/runs/{run_id}`](ask) {
			const found = run(ask);
			return found ? { status: 200, body: found } : notFound();
		},
		// 202, or 409 where it has ended: https://docs.github.com/en/rest/actions/workflow-runs#cancel-a-workflow-run
		[`POST ${repo}/actions/runs/{run_id}/cancel`](ask) {
			const found = run(ask);
			if (!found) return notFound();
			if (found.status === "completed") return refuse(409, "Cannot cancel a workflow run that is completed.");
			Object.assign(found, { status: "completed", conclusion: "cancelled" });
			state.cancelled.get(found.id)?.();
			return { status: 202, body: {} };
		},
		// https://docs.github.com/en/rest/actions/workflow-runs#re-run-a-workflow
		[`POST ${repo}/actions/runs/{run_id}/rerun`]: (ask) => rerun(run(ask)),
		[`POST ${repo}/actions/runs/{run_id}/rerun-failed-jobs`]: (ask) => rerun(run(ask)),
	};
}

function deploymentRoutes(state: ActionsState): Routes {
	return {
		// https://docs.github.com/en/rest/deployments/deployments#list-deployments
		[`GET ${repo}/deployments`]: (ask) =>
			paginate(
				ask,
				state.deployments
					.filter(({ sha }) => [null, sha].includes(ask.query.get("sha")))
					.filter(({ environment }) => [null, environment].includes(ask.query.get("environment"))),
			),
		[`POST ${repo}/deployments`](ask) {
			const deployment = { ...ask.body, id: state.deployments.length + 1, sha: String(ask.body["ref"]) };
			state.deployments.unshift({ environment: "production", ...deployment });
			return { status: 201, body: state.deployments[0] };
		},
		[`GET ${repo}/deployments/{deployment_id}`](ask) {
			const found = state.deployments.find(({ id }) => id === Number(ask.params["deployment_id"]));
			return found ? { status: 200, body: found } : notFound();
		},
		[`GET ${repo}/deployments/{deployment_id}/statuses`]: (ask) =>
			paginate(ask, state.deploymentStatuses.get(Number(ask.params["deployment_id"])) ?? []),
		[`POST ${repo}/deployments/{deployment_id}/statuses`](ask) {
			const id = Number(ask.params["deployment_id"]);
			state.deploymentStatuses.set(id, [ask.body, ...(state.deploymentStatuses.get(id) ?? [])]);
			return { status: 201, body: ask.body };
		},
		// https://docs.github.com/en/rest/deployments/environments
		[`GET ${repo}/environments`]: ({ query: _ }) => ({
			status: 200,
			body: { total_count: state.environments.length, environments: state.environments },
		}),
		[`GET ${repo}/environments/{environment_name}`](ask) {
			const found = state.environments.find(({ name }) => name === ask.params["environment_name"]);
			return found ? { status: 200, body: found } : notFound();
		},
	};
}

function statusRoutes(state: ActionsState): Routes {
	return {
		// https://docs.github.com/en/rest/commits/statuses
		[`POST ${repo}/statuses/{sha}`](ask) {
			const status = { context: "default", state: "pending", ...ask.body, sha: ask.params["sha"]! };
			state.statuses.unshift(status);
			return { status: 201, body: status };
		},
		[`GET ${repo}/commits/{ref}/status`](ask) {
			const ours = state.statuses.filter(({ sha }) => sha === ask.params["ref"]);
			const latest = ours.filter(({ context }, i) => ours.findIndex((other) => other.context === context) === i);
			const bad = latest.some((status) => ["failure", "error"].includes(status.state));
			const good = latest.length > 0 && latest.every((status) => status.state === "success");
			const combined = bad ? "failure" : good ? "success" : "pending";
			return { status: 200, body: { state: combined, statuses: latest, total_count: latest.length } };
		},
	};
}

function rerun(run: WorkflowRun | undefined): Answer {
	if (!run) return notFound();
	if (run.status !== "completed") return refuse(403, "This workflow is already running");
	Object.assign(run, { status: "queued", conclusion: null, run_attempt: run.run_attempt + 1 });
	return { status: 201, body: {} };
}

// https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event: the workflow as it is at `ref` must take the
// event and the inputs; emulate knows no workflow files.
async function dispatchWorkflow(state: ActionsState, ask: Ask, upstream: Upstream): Promise<Answer> {
	const { ref, inputs = {} } = ask.body as { ref: string; inputs?: Record<string, string> };
	const workflow = ask.params["workflow_id"]!;
	const branch = ref?.replace(/^refs\/heads\//, "");
	const file = await upstream("GET", `${placeOf(ask)}/contents/.github/workflows/${workflow}?ref=${branch}`);
	const at = await upstream("GET", `${placeOf(ask)}/git/ref/heads/${branch}`);
	if (at.status !== 200) return refuse(422, `No ref found for: ${ref}`);
	if (file.status !== 200) return notFound();
	const text = Buffer.from((file.body as { content: string }).content, "base64").toString("utf8");
	const triggers = (parse(text) as { on: unknown }).on;
	const named =
		typeof triggers === "string" ? [triggers] : Array.isArray(triggers) ? triggers : Object.keys(triggers as object);
	if (!named.includes("workflow_dispatch")) return refuse(422, "Workflow does not have 'workflow_dispatch' trigger");
	const taken = (
		triggers as { workflow_dispatch?: { inputs?: Record<string, { required?: boolean; default?: unknown }> } }
	).workflow_dispatch?.inputs;
	const unexpected = Object.keys(inputs).filter((name) => !Object.hasOwn(taken ?? {}, name));
	if (unexpected.length > 0) return refuse(422, `Unexpected inputs provided: ${JSON.stringify(unexpected)}`);
	for (const [name, { required, default: value }] of Object.entries(taken ?? {}))
		if (required && value === undefined && !(name in inputs))
			return refuse(422, `Required input '${name}' not provided`);
	state.dispatches.push({ kind: "workflow_dispatch", by: ask.login, workflow, ref: branch, inputs: { ...inputs } });
	return { status: 204 };
}

// "The permissions: admin, write, read, none" and finer in role_name; everybody may read a public repository.
// https://docs.github.com/en/rest/collaborators/collaborators#get-repository-permissions-for-a-user
async function permission(ask: Ask, upstream: Upstream): Promise<Answer> {
	const user = await upstream("GET", `/users/${encodeURIComponent(ask.params["username"]!)}`);
	if (user.status !== 200) return notFound();
	const answer = await upstream("GET", ask.path);
	if (answer.status === 404) return { status: 200, body: { permission: "read", role_name: "read", user: user.body } };
	if (answer.status !== 200) return answer;
	const { role_name } = answer.body as { role_name: string };
	const coarse =
		{ admin: "admin", maintain: "write", write: "write", triage: "read", read: "read" }[role_name] ?? "none";
	return { ...answer, body: { ...(answer.body as object), permission: coarse } };
}
