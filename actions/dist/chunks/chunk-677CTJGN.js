import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{J as o,ba as a,ea as f}from"./chunk-LMDEXHQ3.js";import{h as d}from"./chunk-RINDXORK.js";import{a as c}from"./chunk-FI2ZF55K.js";import{readFile as v}from"node:fs/promises";import g from"node:path";var l=12,m="<!-- waived checks, by the gate -->",u="<!-- end of waived checks -->";function V(t){let{file:n="",idle:e=[]}=t.waivers??{},i=e.map(({who:r,line:s,why:p,...w})=>`- ${f(w,o)}, granted by ${o(r)} (line ${s}): ${o(p)}`);return[$(`Waived checks (${o(n)})`,h(t)),$(`Waivers without effect (${o(n)})`,i)].filter(Boolean).join(`

`)}c(V,"waiversSection");function E(t,n){let e=t.lastIndexOf(m),i=e>=0&&t.trimEnd().endsWith(u)?t.slice(0,e):t,r=h(n);return r.length===0?e>=0?`${i.trimEnd()}
`:i:`${i.trimEnd()}

${m}

## Waived checks

These checks did not pass. Somebody other than the experiment's authors waived them for a limited time:

${r.join(`
`)}

${u}
`}c(E,"waivedCard");async function W(t,n){let e=g.join(t,"model_card.md"),i=await v(e,"utf8").catch(s=>{if(s.code==="ENOENT")return null;throw s});if(i===null)return;let r=E(i,n);r!==i&&await d(e,r)}c(W,"writeWaived");function h({checks:t}){return t.flatMap(n=>{if(!n.waived)return[];let{who:e,until:i,reason:r,line:s}=n.waived;return`- ${a(n)}, ${n.outcome}: waived by ${o(e)} until ${o(i)} (line ${s}): ${o(r)}`})}c(h,"waivedLines");function $(t,n){if(n.length===0)return"";let e=n.length-l,i=e>0?`
- …and ${e} more, in verdict.json`:"";return`**${t}**

${n.slice(0,l).join(`
`)}${i}`}c($,"titled");export{V as a,W as b};
