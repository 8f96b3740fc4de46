import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{d as J,g as j}from"./chunks/chunk-AL4WTLJ3.js";import"./chunks/chunk-677CTJGN.js";import{b as g,g as q}from"./chunks/chunk-RB23PKML.js";import"./chunks/chunk-U6T5RWVD.js";import{$ as _,C as $,D as b,E as N,H as S,I as v,K as A,L as M,O as R,U as T,V as F,a as h,b as u,c as w,d as i,g as O,n as c,o as y,p as I,t as k,y as P}from"./chunks/chunk-QF24ZH5L.js";import{b as f,c as d}from"./chunks/chunk-ZLED6NLK.js";import{J as l,N as x}from"./chunks/chunk-LMDEXHQ3.js";import"./chunks/chunk-RINDXORK.js";import"./chunks/chunk-CIUR6GGT.js";import{a as m}from"./chunks/chunk-FI2ZF55K.js";var L=1e6;function B({plans:n,refused:o}){let s=c(n.map(({plan:e})=>e)),a=[...n.length>1?[C(n,s)]:[],...o.map(({file:e,problems:r})=>j(P(e),r)),...n.map(({plan:e})=>J({plan:e,approval:d(f(e)),together:s}))],t="";for(let[e,r]of a.entries()){if(Buffer.byteLength(t)+Buffer.byteLength(r)>L)return`${t}

…and ${a.length-e} more experiments, each with its own check run.
`;t+=`${r}

`}return t||`No experiment was added or changed.
`}m(B,"summarisePlans");var U=256;function C(n,o){let s=n.map(({plan:t})=>[l(t.experiment.name),l(`${d(f(t))}…`),l(t.machine.name),g(c([t]))]),a=x({head:["run","plan","machine","takes"],align:"llll",rows:s,rest:"plan.json"},U);return`### All ${o.runs} runs of this pull request

Together they take ${g(o)}. One approval of the environment ${l(q)}, if it has required reviewers, starts all of them.

${a}`}m(C,"renderTogether");await S(async()=>{let n=await R({fromReports:M("from-reports")}),o=await F(n,w("experiments"),u("since")),s=await T(_("pull-request")),a=m((p,E)=>O(E??`Making the dataset ${p}`),"onImport"),t={...await A(),image:u("image"),known:s,onImport:a},e=await $(n,o,t);await h.addRaw(B(e)).write(),v(e.plans),i("plans",JSON.stringify(e.plans.map(({path:p})=>p))),i("count",e.plans.length);let r=await y(e.plans.map(({plan:p})=>p));i("experiments",JSON.stringify(r)),i("runs",JSON.stringify(I(r))),i("refused",k(e.refused)),N(e,u("approved"),u("shown")),b(e)});
