// Gives out the token that the test's server knows the app by.
import { appendFileSync } from "node:fs";

console.log("::add-mask::app-token");
appendFileSync(process.env.GITHUB_OUTPUT, "token=app-token\napp-slug=proving-ground\n");
