// A number becomes words.

/** A number with its noun: 1 check, 2 checks. */
export function counted(count: number, one: string, many = `${one}s`): string {
	return `${count} ${count === 1 ? one : many}`;
}
