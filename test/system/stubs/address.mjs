// Gives each job its own address of the API, so that the server knows which job asks; waits where GitHub would not start the job yet.
const { GITHUB_API_URL: url = "", GITHUB_RUN_ID, GITHUB_JOB, TEST_GROUP: group, TEST_ENVIRONMENT } = process.env;
if (url && GITHUB_JOB && !url.includes("/_run/")) {
	process.env.GITHUB_API_URL = `${url}/_run/${GITHUB_RUN_ID}/${GITHUB_JOB}`;
	if (group || TEST_ENVIRONMENT)
		await fetch(`${process.env.GITHUB_API_URL}/_start`, {
			method: "POST",
			body: JSON.stringify({ group, environment: TEST_ENVIRONMENT }),
		});
}
