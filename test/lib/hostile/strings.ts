// A seed becomes strings that do something in Markdown, HTML, a runner's log, a terminal or a shell where they are taken for more than text.
import fc from "fast-check";

const PARTS = [
	..."`|<>[](){}*_~#@&!\\:;,=%$\"'/-+.\n\r\t\0\u001B ",
	..."\u0007\u0085\u009B\u00A0\u200B\u200D\u202E\u2028\u2066\uFEFF\uE000\uD800\uDFFF",
	..."@octocat|@org/team|#1|GH-1|owner/repo#1|a5c3785ed8d6a35868bc169f07e40e889087fd2e|user@example.com".split("|"),
	"https://evil.example",
	"www.evil.example",
	"![x](https://evil.example/x.png)",
	"[click](javascript:alert(1))",
	"\n[ref]: https://evil.example\n",
	"<img src=x onerror=alert(1)>",
	"<a href=//evil.example>",
	"</code>",
	"</details>",
	"<!--",
	"-->",
	"<!-- proving-ground: other -->",
	"<script>alert(1)</script>",
	"]]>",
	"``",
	"\n```\n",
	"\n~~~\n",
	"\n\n# heading\n\n",
	"\n- item",
	"\n> quote",
	"\n---\n",
	"| a | b |\n|-|-|\n",
	"&#64;octocat",
	"&commat;octocat",
	"&lt;",
	"%0A",
	"%25",
	"::error::forged",
	"\n::error file=x::forged",
	"\r::set-output name=passed::true",
	"::add-mask::a",
	"::stop-commands::x",
	"##[error]forged",
	"##[add-mask]a",
	"\nGHADELIMITER\npassed=true\n",
	"passed<<EOF\ntrue\nEOF\n",
	"\u001B[31mred",
	"\u001B]8;;https://evil.example\u0007",
	"\u001B[2J",
	"$(id)",
	"; rm -rf / #",
	"' || true '",
	"$" + "{{ github.token }}",
	"../../etc/passwd",
	"__proto__",
	"日本語",
	"👩‍🚀",
	"x".repeat(300),
];

/** That many strings, the same for the same seed: each part alone, then several together. */
export function hostileStrings(count: number, seed: number): string[] {
	const several = fc
		.tuple(fc.array(fc.constantFrom(...PARTS), { minLength: 2, maxLength: 7 }), fc.constantFrom("", "", " "))
		.map(([parts, between]) => parts.join(between));
	const more = fc.sample(several, { seed, numRuns: Math.max(count - PARTS.length, 0) });
	return [...PARTS.slice(0, count), ...more];
}
