// How pages look: one column that reads on a phone, in print, in light and in dark.

export const STYLE = `
:root {
	color-scheme: light dark;
	--back: #ffffff; --panel: #f5f7fa; --text: #1a2029; --muted: #5a6573; --line: #d9dfe7; --shadow: rgb(26 32 41 / .28); --link: #1d5fc2;
	--candidate: #1d64d8; --production: #b45f06;
	--good: #0f6a8c; --bad: #b3400b; --pass: #14713d; --fail: #b3261e; --unsure: #7d5a00;
	--up-1: #e0eefb; --up-2: #b9d9f5; --up-3: #8fc1ee; --up-4: #62a6e4;
	--down-1: #fdebdd; --down-2: #fbd3b5; --down-3: #f6b585; --down-4: #ee9252;
	--series-1: #1d64d8; --series-2: #b45f06; --series-3: #14713d; --series-4: #8b3fb8; --series-5: #6b7280;
}
@media (prefers-color-scheme: dark) {
	:root {
		--back: #12161c; --panel: #1b212a; --text: #e6eaf0; --muted: #a3aebc; --line: #333d4a; --shadow: rgb(0 0 0 / .75); --link: #7fb2ff;
		--candidate: #6ea8ff; --production: #f0a04b;
		--good: #6cc4e8; --bad: #ff9d6b; --pass: #67d391; --fail: #ff8d85; --unsure: #e8c35a;
		--up-1: #16304a; --up-2: #1b4468; --up-3: #1f5a8b; --up-4: #2470ae;
		--down-1: #43291a; --down-2: #613619; --down-3: #824417; --down-4: #a35214;
		--series-1: #6ea8ff; --series-2: #f0a04b; --series-3: #67d391; --series-4: #cf9bf0; --series-5: #a3aebc;
	}
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 20px 64px; max-width: 1240px; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 20px 0 8px; }
p { margin: 8px 0; }
a { color: var(--link); }
code, .path { font-family: ui-monospace, "SFMono-Regular", Menlo, monospace; font-size: .86em; overflow-wrap: anywhere; }
abbr[title] { text-decoration: underline dotted; text-underline-offset: 2px; cursor: help; }
small, .note, figcaption, .who, .line { color: var(--muted); }
.note { font-size: .87rem; max-width: 80ch; }
header .why { max-width: 72ch; }
.badge { display: inline-block; padding: 3px 12px; border-radius: 999px; border: 1.5px solid currentColor; font-weight: 650; }
.badge.pass, .pass { color: var(--pass); }
.badge.fail, .fail { color: var(--fail); }
.badge.inconclusive, .inconclusive { color: var(--unsure); }
.badge.open, .no_baseline { color: var(--muted); }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
.tag { margin-left: 6px; padding: 0 6px; border: 1px solid var(--line); border-radius: 999px; font-size: .74rem; font-weight: 400; color: var(--muted); white-space: nowrap; }
nav ul { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 16px 0 0; padding: 0; list-style: none; font-size: .92rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 10px 14px; }
.tile .value { font-size: 1.35rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.tile p { margin: 0; }
.scroll { display: flex; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; margin: 10px 0; }
.scroll.before::before, .scroll.after::after { content: ""; position: sticky; flex: none; width: 18px; pointer-events: none; }
.scroll.before::before { left: 0; margin-right: -18px; background: linear-gradient(to right, var(--shadow), transparent); }
.scroll.after::after { right: 0; margin-left: -18px; background: linear-gradient(to left, var(--shadow), transparent); }
table { flex: 1 0 auto; border-collapse: collapse; width: 100%; font-size: .89rem; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 7px; text-align: left; vertical-align: middle; border-top: 1px solid var(--line); white-space: nowrap; }
thead th { border-top: 0; background: var(--panel); font-weight: 600; }
tbody th { font-weight: 600; }
td.words { white-space: normal; min-width: 26ch; max-width: 44ch; color: var(--text); }
.settings td { white-space: normal; overflow-wrap: anywhere; }
.number { text-align: right; }
.sort { all: unset; cursor: pointer; }
.sort:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.sort::after { content: " ↕"; color: var(--muted); font-weight: 400; }
th[aria-sort=ascending] .sort::after { content: " ↑"; color: inherit; }
th[aria-sort=descending] .sort::after { content: " ↓"; color: inherit; }
.filters { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: center; }
.filters input[type=search], .filters select { font: inherit; padding: 3px 8px; border: 1px solid var(--line); border-radius: 6px; background: var(--back); color: var(--text); }
.filters output { color: var(--muted); }
.bar { display: inline-block; vertical-align: middle; color: var(--muted); }
.bar.better { color: var(--good); } .bar.worse { color: var(--bad); }
.bar .zero { stroke: var(--line); stroke-width: 1.5; }
.bar .allowed { stroke: var(--fail); stroke-width: 1.5; stroke-dasharray: 2 2; }
.bar .noise { fill: currentColor; opacity: .22; }
.bar .range { stroke: currentColor; stroke-width: 2.5; }
.bar .dot, .bar .tip { fill: currentColor; }
.ends { display: block; color: var(--muted); font-size: .78rem; text-align: center; width: 180px; }
.heat-map td { text-align: right; }
.up-1 { background: var(--up-1); } .up-2 { background: var(--up-2); } .up-3 { background: var(--up-3); } .up-4 { background: var(--up-4); }
.down-1 { background: var(--down-1); } .down-2 { background: var(--down-2); } .down-3 { background: var(--down-3); } .down-4 { background: var(--down-4); }
.sure { font-weight: 700; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(270px, 1fr)); gap: 12px 20px; }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); }
.grid.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9rem; }
.chart svg { display: block; max-width: 100%; height: auto; }
.chart text { white-space: pre; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: .87rem; color: var(--muted); }
.key { display: inline-flex; align-items: center; gap: 6px; }
.mark { width: 16px; height: 12px; border: 2px solid; }
.mark.right { border-color: #2bd4a8; } .mark.wrong { border-color: #ff4d4d; } .mark.missed { border-color: #ffc400; border-style: dashed; }
.frames { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 520px), 1fr)); gap: 20px; }
.panes { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 6px; }
.who { margin: 0; font-size: .8rem; }
.pane { display: block; width: 100%; height: auto; background: #000; border-radius: 4px; }
.pane rect { fill: none; stroke-width: 2px; vector-effect: non-scaling-stroke; }
.pane .right { stroke: #2bd4a8; } .pane .wrong { stroke: #ff4d4d; } .pane .missed { stroke: #ffc400; stroke-dasharray: 4 3; }
details { margin: 8px 0; }
details details { margin-left: 16px; }
summary { cursor: pointer; padding: 4px 0; }
dl { margin: 0; }
dl div { display: grid; grid-template-columns: minmax(110px, 170px) 1fr; gap: 12px; padding: 3px 0; border-top: 1px solid var(--line); }
dt { color: var(--muted); } dd { margin: 0; min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 600px) {
	body { padding: 16px 12px 40px; }
	dl div { grid-template-columns: 1fr; gap: 0; }
}
@media screen and (max-width: 480px) {
	.cards, .cards tbody { display: block; }
	.cards thead { display: block; background: var(--panel); }
	.cards thead tr { display: flex; flex-wrap: wrap; padding: 2px 0; }
	.cards thead th:not(:has(.sort)) { display: none; }
	.cards tbody tr:not([hidden]) { display: flex; flex-direction: column; padding: 6px 0; border-top: 1px solid var(--line); }
	.cards tbody th, .cards tbody td { display: flow-root; max-width: none; padding: 2px 7px; border: 0; white-space: normal; text-align: left; overflow-wrap: anywhere; }
	.cards tbody td { padding-left: 117px; }
	.cards tbody td::before { content: attr(data-label); float: left; width: 104px; margin-left: -110px; color: var(--muted); font-weight: 400; overflow-wrap: normal; }
	.cards tbody th, .cards tbody .outcome { order: -1; }
	.cards .ends { text-align: left; }
}
@media print {
	body { max-width: none; padding: 0; font-size: 11px; }
	nav, .filters { display: none; }
	.scroll { display: block; overflow: visible; border: 0; }
	.scroll::before, .scroll::after { display: none; }
	figure, tr { break-inside: avoid; }
	td.words, th, td { white-space: normal; }
	* { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
