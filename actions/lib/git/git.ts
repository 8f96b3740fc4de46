// A command of git on one repository becomes what it prints, with a token for its origin alone.
import { ServiceError } from "../errors.ts";
import { networkEnvironment, runCommand } from "../process.ts";

/** How git reaches the repository's origin. */
export interface Origin {
	/** Sent to the origin alone, where it is an address; empty sends none. */
	token: string;
	/** The server that the token is for, such as https://github.com. */
	server: string;
}

/** A git of one repository: gives what the command prints; throws ServiceError where it fails. */
export type Git = (...args: string[]) => Promise<string>;

/** Opens git on a repository. */
export function openGit(root: string, origin: Origin = { token: "", server: "" }): Git {
	return async (...args) => {
		const env = {
			PATH: process.env["PATH"] ?? "",
			HOME: process.env["HOME"] ?? "",
			GIT_TERMINAL_PROMPT: "0",
			LC_ALL: "C",
			...networkEnvironment(),
			...credentials(origin),
		};
		const ended = await runCommand("git", ["-C", root, ...args], { env });
		if (ended.code !== 0)
			throw new ServiceError("git", `git ${args[0]} ended with ${ended.code}: ${ended.errors.trim().split("\n")[0]}`);
		return ended.output;
	};
}

/** The token as a header of git's requests to that server alone: in no argument and in no file. */
function credentials({ token, server }: Origin): Record<string, string> {
	if (token === "") return {};
	const basic = Buffer.from(`x-access-token:${token}`).toString("base64");
	return {
		GIT_CONFIG_COUNT: "1",
		GIT_CONFIG_KEY_0: `http.${server}/.extraheader`,
		GIT_CONFIG_VALUE_0: `AUTHORIZATION: basic ${basic}`,
	};
}
