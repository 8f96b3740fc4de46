// Gives each job its own address of the API, so that the server knows which job asks.
const { GITHUB_API_URL: url = "", GITHUB_RUN_ID, GITHUB_JOB } = process.env;
if (url && GITHUB_JOB && !url.includes("/_run/"))
	process.env.GITHUB_API_URL = `${url}/_run/${GITHUB_RUN_ID}/${GITHUB_JOB}`;
