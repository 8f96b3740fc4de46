// A git of one repository
import { afterEach, expect, test, vi } from "vitest";
import { openGit } from "../../../actions/lib/git/git.ts";

afterEach(() => vi.unstubAllEnvs());

test("sees the runner's proxy and certificate authority, and none of its secrets", async () => {
	vi.stubEnv("HTTPS_PROXY", "http://proxy.acme:3128");
	vi.stubEnv("no_proxy", "localhost");
	vi.stubEnv("SSL_CERT_FILE", "/etc/acme/ca.pem");
	vi.stubEnv("INPUT_TOKEN", "a-secret-token");
	const seen = await openGit(import.meta.dirname)("-c", "alias.environment=!env", "environment");
	expect(seen).toContain("HTTPS_PROXY=http://proxy.acme:3128\n");
	expect(seen).toContain("no_proxy=localhost\n");
	expect(seen).toContain("SSL_CERT_FILE=/etc/acme/ca.pem\n");
	expect(seen).not.toContain("a-secret-token");
});
