import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{c,d as a}from"./chunk-7KSGIHID.js";import{a as y}from"./chunk-VEXO62GE.js";import{j as r}from"./chunk-GW2WPXOO.js";import{a as d,e as v}from"./chunk-FI2ZF55K.js";var $=v(y(),1);import{readFile as E}from"node:fs/promises";import x from"node:path";var f=12,l="<!-- waived checks, by the gate -->",m="<!-- end of waived checks -->";function W(t){let{file:n="",idle:e=[]}=t.waivers??{},i=e.map(({metric:o,slice:s,who:h,line:p,why:g})=>`- ${a(s)}, ${r(o)}, granted by ${r(h)} (line ${p}): ${r(g)}`);return[u(`Waived checks, by ${r(n)}`,w(t)),u(`Waivers without effect, of ${r(n)}`,i)].filter(Boolean).join(`

`)}d(W,"waiversSection");function b(t,n){let e=t.lastIndexOf(l),i=e>=0&&t.trimEnd().endsWith(m)?t.slice(0,e):t,o=w(n);return o.length===0?e>=0?`${i.trimEnd()}
`:i:`${i.trimEnd()}

${l}

## Waived checks

These checks did not pass. Somebody who is no author of the experiment let them by, for a while and for a reason:

${o.join(`
`)}

${m}
`}d(b,"waivedCard");async function S(t,n){let e=x.join(t,"model_card.md"),i=await E(e,"utf8").catch(s=>{if(s.code==="ENOENT")return null;throw s});if(i===null)return;let o=b(i,n);o!==i&&await(0,$.default)(e,o)}d(S,"writeWaived");function w({checks:t}){return t.flatMap(n=>{if(!n.waived)return[];let{who:e,until:i,reason:o,line:s}=n.waived;return`- ${a(n.slice)}, ${c(n)}, ${n.outcome}: waived by ${r(e)} until ${r(i)} (line ${s}): ${r(o)}`})}d(w,"waivedLines");function u(t,n){if(n.length===0)return"";let e=n.length-f,i=e>0?`
- …and ${e} more, in verdict.json`:"";return`**${t}**

${n.slice(0,f).join(`
`)}${i}`}d(u,"titled");export{W as a,S as b};
