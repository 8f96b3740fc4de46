// What is wrong with a dataset's manifests becomes the problems that are told: the first of them, and how many there are.
import { InvalidFile, type Problem } from "../errors.ts";
import { counted } from "../text/counted.ts";

/** Nobody reads more. */
const MOST = 20;

/** Problems of all manifests of a dataset, in the order in which they are read. */
export class Faults {
	private readonly told: Problem[] = [];
	private last: Problem | null = null;
	private count = 0;

	add(file: string, line: number, message: string): void {
		this.count += 1;
		this.last = { file, line, column: 1, message };
		if (this.count <= MOST) this.told.push(this.last);
	}

	/** Throws InvalidFile with the first problems, and the number of the others on the line of the last. */
	refuse(): void {
		if (this.last === null) return;
		const more = this.count - this.told.length;
		const message = `and ${counted(more, "more problem")} in the manifests, the last of them here`;
		throw new InvalidFile(more === 0 ? this.told : [...this.told, { ...this.last, message }]);
	}
}
