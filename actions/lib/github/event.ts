// The event that started the workflow, as the runner hands it over; apart, so that nobody waits for it who doesn't ask.
export { context } from "@actions/github";
