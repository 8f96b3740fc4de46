import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as d,d as M,g as N}from"./chunks/chunk-OWAOPNRI.js";import"./chunks/chunk-6MMO4G6Q.js";import"./chunks/chunk-L6SOBCM4.js";import{A as b,D as I,F as S,G as k,I as $,M as A,N as v,T as F,a as g,b as a,c as h,d as i,n as u,o as O,u as y,y as x,z as P}from"./chunks/chunk-FB67Q4KN.js";import{b as c,c as f}from"./chunks/chunk-TMBF2NBF.js";import{G as m,K as w}from"./chunks/chunk-HM7UNT2Z.js";import"./chunks/chunk-7TTT5WBC.js";import"./chunks/chunk-CIUR6GGT.js";import{a as l}from"./chunks/chunk-FI2ZF55K.js";var _=1e6;function T({plans:n,refused:r}){let o=u(n.map(({plan:t})=>t)),s=[...n.length>1?[J(n,o)]:[],...r.map(({file:t,problems:p})=>N(y(t),p)),...n.map(({plan:t})=>M({plan:t,approval:f(c(t)),together:o}))],e="";for(let[t,p]of s.entries()){if(Buffer.byteLength(e)+Buffer.byteLength(p)>_)return`${e}

…and ${s.length-t} more experiments, each with its own check run.
`;e+=`${p}

`}return e||`No experiment was added or changed.
`}l(T,"summarisePlans");var R=256;function J(n,r){let o=n.map(({plan:e})=>[m(e.experiment.name),m(`${f(c(e))}…`),m(e.machine.name),d(u([e]))]),s=w({head:["run","plan","machine","takes"],align:"llll",rows:o,rest:"plan.json"},R);return`### One approval starts all ${r.runs} runs

Together they take ${d(r)}.

${s}`}l(J,"renderTogether");await I(async()=>{let n=await $({fromReports:k("from-reports")}),r=await v(n,h("experiments"),a("since")),o=await A(F("pull-request")),s={...await S(),image:a("image"),known:o},e=await x(n,r,s);await g.addRaw(T(e)).write(),i("plans",JSON.stringify(e.plans.map(({path:t})=>t))),i("count",e.plans.length),i("experiments",JSON.stringify(await O(e.plans.map(({plan:t})=>t)))),i("refused",JSON.stringify(e.refused)),b(e,a("approved"),a("shown")),P(e)});
