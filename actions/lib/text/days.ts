// A text becomes a day of the calendar, and a day the one so many days later; all of them in UTC.

const DAY_MS = 24 * 60 * 60 * 1000;

// Years of four digits that both languages count with; what has no offset is in UTC.
const CAPTURED =
	/^([12]\d{3}-\d{2}-\d{2})(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?)(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?)?$/;

/** Whether a text of the form YYYY-MM-DD names a day that some calendar has. */
export function isDay(text: string): boolean {
	const date = new Date(`${text}T00:00:00Z`);
	// Where a month has no such day, the date is of the next month.
	return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
}

/** The day of a manifest's `captured`, which is a day or a time; null for anything else. */
export function dayOf(captured: unknown): string | null {
	const [, day = "", time, offset = "Z"] = (typeof captured === "string" && CAPTURED.exec(captured)) || [];
	if (!isDay(day)) return null;
	return time === undefined ? day : utcDay(new Date(`${day}T${time}${offset}`));
}

/** The day of a moment. */
export function utcDay(moment: Date): string {
	return moment.toISOString().slice(0, "YYYY-MM-DD".length);
}

/** The day so many days later, or earlier. */
export function addDays(day: string, days: number): string {
	return utcDay(new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS));
}
