import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{d as F,g as _}from"./chunks/chunk-XVZU6MFS.js";import"./chunks/chunk-SURBTWTM.js";import{b as d,g as T}from"./chunks/chunk-AYNBY2LO.js";import"./chunks/chunk-BWLMAVKC.js";import{C as P,D as b,E as k,H as N,J as S,K as $,N as v,T as A,U as M,_ as R,a as h,b as p,c as g,d as i,n as l,o as O,p as x,t as y,y as I}from"./chunks/chunk-FMTCQSTF.js";import{b as c,c as f}from"./chunks/chunk-VMSBIPOR.js";import{H as m,L as w}from"./chunks/chunk-K6S6JQVS.js";import"./chunks/chunk-ICHTIPUW.js";import"./chunks/chunk-CIUR6GGT.js";import{a as u}from"./chunks/chunk-FI2ZF55K.js";var J=1e6;function q({plans:n,refused:o}){let s=l(n.map(({plan:t})=>t)),a=[...n.length>1?[B(n,s)]:[],...o.map(({file:t,problems:r})=>_(I(t),r)),...n.map(({plan:t})=>F({plan:t,approval:f(c(t)),together:s}))],e="";for(let[t,r]of a.entries()){if(Buffer.byteLength(e)+Buffer.byteLength(r)>J)return`${e}

…and ${a.length-t} more experiments, each with its own check run.
`;e+=`${r}

`}return e||`No experiment was added or changed.
`}u(q,"summarisePlans");var j=256;function B(n,o){let s=n.map(({plan:e})=>[m(e.experiment.name),m(`${f(c(e))}…`),m(e.machine.name),d(l([e]))]),a=w({head:["run","plan","machine","takes"],align:"llll",rows:s,rest:"plan.json"},j);return`### All ${o.runs} runs of this pull request

Together they take ${d(o)}. One approval of the environment ${m(T)}, if it has required reviewers, starts all of them.

${a}`}u(B,"renderTogether");await N(async()=>{let n=await v({fromReports:$("from-reports")}),o=await M(n,g("experiments"),p("since")),s=await A(R("pull-request")),a={...await S(),image:p("image"),known:s},e=await P(n,o,a);await h.addRaw(q(e)).write(),i("plans",JSON.stringify(e.plans.map(({path:r})=>r))),i("count",e.plans.length);let t=await O(e.plans.map(({plan:r})=>r));i("experiments",JSON.stringify(t)),i("runs",JSON.stringify(x(t))),i("refused",y(e.refused)),k(e,p("approved"),p("shown")),b(e)});
