import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a as g}from"./chunk-U7GZGMVN.js";import{F as d,I as a,m as r}from"./chunk-LPOIWMFV.js";import{a as c,e as v}from"./chunk-FI2ZF55K.js";var $=v(g(),1);import{readFile as E}from"node:fs/promises";import x from"node:path";var f=12,m="<!-- waived checks, by the gate -->",l="<!-- end of waived checks -->";function W(t){let{file:n="",idle:e=[]}=t.waivers??{},i=e.map(({who:o,line:s,why:w,...p})=>`- ${a(p,r)}, granted by ${r(o)} (line ${s}): ${r(w)}`);return[u(`Waived checks (${r(n)})`,h(t)),u(`Waivers without effect (${r(n)})`,i)].filter(Boolean).join(`

`)}c(W,"waiversSection");function y(t,n){let e=t.lastIndexOf(m),i=e>=0&&t.trimEnd().endsWith(l)?t.slice(0,e):t,o=h(n);return o.length===0?e>=0?`${i.trimEnd()}
`:i:`${i.trimEnd()}

${m}

## Waived checks

These checks did not pass. Somebody other than the experiment's authors waived them for a limited time:

${o.join(`
`)}

${l}
`}c(y,"waivedCard");async function b(t,n){let e=x.join(t,"model_card.md"),i=await E(e,"utf8").catch(s=>{if(s.code==="ENOENT")return null;throw s});if(i===null)return;let o=y(i,n);o!==i&&await(0,$.default)(e,o)}c(b,"writeWaived");function h({checks:t}){return t.flatMap(n=>{if(!n.waived)return[];let{who:e,until:i,reason:o,line:s}=n.waived;return`- ${d(n)}, ${n.outcome}: waived by ${r(e)} until ${r(i)} (line ${s}): ${r(o)}`})}c(h,"waivedLines");function u(t,n){if(n.length===0)return"";let e=n.length-f,i=e>0?`
- …and ${e} more, in verdict.json`:"";return`**${t}**

${n.slice(0,f).join(`
`)}${i}`}c(u,"titled");export{W as a,b};
