// What a process wrote becomes what a runner makes of it: the commands in its log, and the values in its files.

export interface Commanded {
	command: string;
	properties: Record<string, string>;
	message: string;
}

/** The commands of a log, as actions/runner finds them (src/Runner.Common/ActionCommand.cs): `::` at a line's start but for space, `##[` anywhere. */
export function commandsOf(log: string): Commanded[] {
	// .NET reads lines that end in \r, \n or both.
	return log.split(/\r\n|\r|\n/).flatMap((line): Commanded[] => {
		const current = /^\s*::([^\s:]+)(?: ([^:]*(?::(?!:)[^:]*)*))?::(.*)$/su.exec(line);
		if (current) {
			const [, command = "", list = "", message = ""] = current;
			const properties = list.split(",").filter(Boolean);
			const named = properties.map((one) => [one.slice(0, one.indexOf("=")), decode(one.slice(one.indexOf("=") + 1))]);
			return [{ command, properties: Object.fromEntries(named), message: decode(message) }];
		}
		if (/^\s*::/.test(line)) return [{ command: "::", properties: {}, message: line }];
		return line.includes("##[") ? [{ command: "##[", properties: {}, message: line }] : [];
	});
}

function decode(text: string): string {
	return text
		.replaceAll("%0D", "\r")
		.replaceAll("%0A", "\n")
		.replaceAll("%3A", ":")
		.replaceAll("%2C", ",")
		.replaceAll("%25", "%");
}

/** The names and values of GITHUB_OUTPUT: name=value, or name<<end, lines, end. */
export function outputsOf(text: string): [string, string][] {
	const found: [string, string][] = [];
	const lines = text.split("\n");
	for (let n = 0; n < lines.length; n += 1) {
		const line = lines[n]!;
		const [, name, end] = /^([^=]*?)<<(.*)$/s.exec(line) ?? [];
		if (name !== undefined) {
			const until = lines.indexOf(end!, n + 1);
			found.push([name, lines.slice(n + 1, until).join("\n")]);
			n = until;
		} else if (line.includes("=")) found.push([line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]);
	}
	return found;
}
