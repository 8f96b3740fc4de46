import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as d,d as M,g as N}from"./chunks/chunk-5ADRVA3F.js";import"./chunks/chunk-ZLFVIUSQ.js";import"./chunks/chunk-ERZYISBR.js";import{A as b,D as S,F as k,G as I,I as $,M as A,N as v,T as F,a as g,b as p,c as h,d as a,n as u,o as O,u as y,y as x,z as P}from"./chunks/chunk-SNUOZMC2.js";import{b as c,c as f}from"./chunks/chunk-YRPW5OBN.js";import{G as m,K as w}from"./chunks/chunk-73U7TYNC.js";import"./chunks/chunk-VHJ4EXXA.js";import"./chunks/chunk-CIUR6GGT.js";import{a as l}from"./chunks/chunk-FI2ZF55K.js";var _=1e6;function T({plans:n,refused:r}){let o=u(n.map(({plan:t})=>t)),s=[...n.length>1?[J(n,o)]:[],...r.map(({file:t,problems:i})=>N(y(t),i)),...n.map(({plan:t})=>M({plan:t,approval:f(c(t)),together:o}))],e="";for(let[t,i]of s.entries()){if(Buffer.byteLength(e)+Buffer.byteLength(i)>_)return`${e}

…and ${s.length-t} more experiments, each with its own check run.
`;e+=`${i}

`}return e||`No experiment was added or changed.
`}l(T,"summarisePlans");var R=256;function J(n,r){let o=n.map(({plan:e})=>[m(e.experiment.name),m(`${f(c(e))}…`),m(e.machine.name),d(u([e]))]),s=w({head:["run","plan","machine","takes"],align:"llll",rows:o,rest:"plan.json"},R);return`### One approval starts all ${r.runs} runs

Together they take ${d(r)}.

${s}`}l(J,"renderTogether");await S(async()=>{let n=await $({fromReports:I("from-reports")}),r=await v(n,h("experiments"),p("since")),o=await A(F("pull-request")),s={...await k(),image:p("image"),known:o},e=await x(n,r,s);await g.addRaw(T(e)).write(),a("plans",JSON.stringify(e.plans.map(({path:t})=>t))),a("count",e.plans.length),a("experiments",JSON.stringify(await O(e.plans.map(({plan:t})=>t)))),a("refused",JSON.stringify(e.refused)),b(e,p("approved")),P(e)});
