// Bytes that should be UTF-8 become the sentence for what they are instead.

/** What is said of a file that an editor or a shell wrote as UTF-16. */
export const UTF_16 = "the file is UTF-16 (PowerShell writes that); save it as UTF-8";
/** What is said of a line with bytes of another encoding. */
export const NO_UTF_8 = "found bytes that are not UTF-8 (they may be Latin-1); save the file as UTF-8";

/** Whether bytes begin as UTF-16 does, with its mark or with half of an ASCII character that is zero. */
export function isUtf16(bytes: Uint8Array): boolean {
	const [first, second] = bytes;
	const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
	return isMarked || (bytes.length > 1 && (first === 0 || second === 0));
}

/** Bytes without the byte order mark that UTF-8 may begin with. */
export function withoutMark(bytes: Buffer): Buffer {
	return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
