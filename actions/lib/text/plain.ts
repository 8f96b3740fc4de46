// Untrusted text becomes plain text: it says what it says, steers no terminal and commands no runner.

/** A character that can't be seen or that steers (controls, reading direction, half surrogates, private use) as its number. */
export function nameInvisible(character: string): string {
	if (!/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/u.test(character)) return character;
	return `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** Text as one line, of at most so many characters. */
export function plainLine(text: string, most = Number.POSITIVE_INFINITY): string {
	const characters = [...text.replaceAll(/[\r\n\t]+/g, " ").trim()];
	const shown = characters.length > most ? [...characters.slice(0, most - 1), "…"] : characters;
	return disarm(shown.map(nameInvisible).join(""));
}

/** Text with its own lines, each of them plain. */
export function plainText(text: string): string {
	return text
		.split(/\r\n|[\r\n]/)
		.map((line) =>
			disarm([...line].map((character) => (character === "\t" ? "\t" : nameInvisible(character))).join("")),
		)
		.join("\n");
}

/** A runner takes a line of the log that begins with :: for a command, whatever space is before it, and ##[ wherever it stands. */
function disarm(line: string): string {
	return line.replace(/^(\s*):(?=:)/, "$1: ").replaceAll("##[", "## [");
}
