// A text becomes the one comment of a pull request that bears its marker.
import { ServiceError } from "../errors.ts";
import { type Client, call, converge, orNull, repeatable, same } from "./connect.ts";
import type { GitHub } from "./objects.ts";
import { readPages } from "./requests.ts";

interface Comment {
	id: number;
	body: string;
}

export function comments(client: Client): Pick<GitHub, "upsertComment" | "commentsOf" | "remarksOn" | "react"> {
	const { octokit, place, author, limits, forAll } = client;

	/** All comments, over all pages. */
	function list(pullRequest: number) {
		const asked = { ...place, issue_number: pullRequest, per_page: 100 };
		return call("list comments", () =>
			readPages(octokit.paginate.iterator(octokit.rest.issues.listComments, asked), limits),
		);
	}

	/** Our comments with the marker, oldest first. */
	async function ours(pullRequest: number, marker: string): Promise<Comment[]> {
		const found = await list(pullRequest);
		// Anyone may write the marker: it must stand at the very start, and the author must be us.
		return found
			.filter((comment) => comment.user?.login === author && (comment.body ?? "").startsWith(marker))
			.map(({ id, body }) => ({ id, body: body ?? "" }))
			.sort((a, b) => a.id - b.id);
	}

	/** All of ours after one was made, by us or by a run that raced. */
	async function create(pullRequest: number, marker: string, body: string): Promise<Comment[]> {
		const look = async () => {
			const found = await ours(pullRequest, marker);
			return found.length > 0 ? found : null;
		};
		const make = () => octokit.rest.issues.createComment({ ...place, issue_number: pullRequest, body }).then(() => []);
		const found = await converge<Comment[]>(client, "create comment", make, look);
		return found.length > 0 ? found : ours(pullRequest, marker);
	}

	return {
		async upsertComment(pullRequest, marker, text, keep = () => false) {
			const body = forAll(text);
			const before = await ours(pullRequest, marker);
			const made = before.length === 0;
			const [oldest, ...twins] = made ? await create(pullRequest, marker, body) : before;
			if (!oldest)
				throw new ServiceError(
					"GitHub",
					`Another login than ${author} wrote the comment on pull request ${pullRequest}: set the input author to that login.`,
				);
			// Two runs that raced have each made one: both keep the oldest.
			for (const { id } of twins)
				await call("delete comment", () => orNull(octokit.rest.issues.deleteComment({ ...place, comment_id: id })));
			if (same(oldest.body, body) || keep(oldest.body))
				return made ? "created" : twins.length > 0 ? "updated" : "unchanged";
			await call("update comment", () => octokit.rest.issues.updateComment({ ...place, comment_id: oldest.id, body }));
			return "updated";
		},

		commentsOf: async (pullRequest, prefix) => (await ours(pullRequest, prefix)).map(({ body }) => body),

		async remarksOn(pullRequest) {
			const found = await list(pullRequest);
			// Everybody who may write can edit what another has said.
			const isUntouched = (comment: { created_at: string; updated_at: string }) =>
				comment.created_at === comment.updated_at;
			return found
				.filter((comment) => isUntouched(comment) && comment.user?.type !== "Bot")
				.map(({ user, body }) => ({ login: user?.login ?? "ghost", body: body ?? "" }))
				.filter(({ login }) => login !== author && !login.endsWith("[bot]"));
		},

		async react(commentId, content) {
			const reaction = { ...place, comment_id: commentId, content };
			// The same reaction again is the one that is there.
			await call("react to a comment", () =>
				octokit.rest.reactions.createForIssueComment({ ...reaction, ...repeatable }),
			);
		},
	};
}
