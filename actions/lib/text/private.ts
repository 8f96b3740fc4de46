// A text that anybody may read becomes one without what concerns nobody: people's addresses, keys, and where things lie on a runner.

/** Keys by the forms that their services give them. */
const KEYS = [
	/\bgh[a-z]_\w{16,}/g,
	/\bgithub_pat_\w{16,}/g,
	/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g,
	/\b(?:hf|glpat|npm|pypi|sk)[_-][\w-]{20,}/g,
	/\bxox[a-z]-[\w-]{10,}/g,
	/\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+/g,
	/(?<=\b(?:bearer|basic) )[\w.+/=-]{24,}/gi,
];
/** A name and a password before the host of an address. */
const CREDENTIALS = /(?<=\b[a-z][a-z0-9+.-]{0,15}:\/\/)[^\s/@]{1,256}@/gi;
/** Addresses of people; GitHub's own tell no more than the login, and a host that git reaches by ssh is nobody. */
const MAIL =
	/(?<![\w.%+-])(?!git@)[\w.%+-]{1,64}@(?!users\.noreply\.github\.com\b)(?:[\w-]{1,63}\.){1,8}[a-z]{2,24}\b/gi;
/** A path from the root of a machine, of which the end tells enough. */
const PATH = /(?<![\w/.*~…<)\]}%+@-])\/(?:[^\s"'`ˋ()[\]<>|∣,:;/]+\/)+[^\s"'`ˋ()[\]<>|∣,:;/]*/g;

/** The text as everybody may read it: what is taken out leaves a mark. The same again changes nothing. */
export function withoutPrivate(text: string): string {
	const cleared = KEYS.reduce((shown, key) => shown.replaceAll(key, "(key)"), text);
	return cleared.replaceAll(CREDENTIALS, "").replaceAll(MAIL, "(e-mail address)").replaceAll(PATH, endOf);
}

/** The last two names of a path. */
function endOf(path: string): string {
	return `…/${path.split("/").filter(Boolean).slice(-2).join("/")}`;
}
