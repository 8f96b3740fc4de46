// What the stages have to say becomes what GitHub shows: made once, then changed in place, and left alone where nothing changed.
import { checks } from "./checks.ts";
import { comments } from "./comments.ts";
import { commits } from "./commits.ts";
import { connect, type GitHubOptions } from "./connect.ts";
import { labels } from "./labels.ts";
import type { GitHub } from "./objects.ts";
import { pulls } from "./pulls.ts";
import { workflows } from "./workflows.ts";

/** Opens GitHub. */
export async function openGitHub(options: GitHubOptions): Promise<GitHub> {
	const client = await connect(options);
	return {
		author: options.author,
		...comments(client),
		...checks(client),
		...labels(client),
		...pulls(client),
		...workflows(client),
		...commits(client),
	};
}
