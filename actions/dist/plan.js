import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as d,d as R,g as T}from"./chunks/chunk-MC2ZE22O.js";import"./chunks/chunk-YS6DBEFI.js";import"./chunks/chunk-T56AHQ7R.js";import{A as b,B as k,E as I,G as S,H as $,K as A,P as v,Q as F,W as M,a as g,b as a,c as h,d as p,n as u,o as O,q as x,v as y,z as P}from"./chunks/chunk-N6OIMXDW.js";import{b as c,c as f}from"./chunks/chunk-E3CRB3J6.js";import{H as m,L as w}from"./chunks/chunk-GCSU6NNO.js";import"./chunks/chunk-7TTT5WBC.js";import"./chunks/chunk-CIUR6GGT.js";import{a as l}from"./chunks/chunk-FI2ZF55K.js";var N=1e6;function _({plans:n,refused:r}){let o=u(n.map(({plan:t})=>t)),s=[...n.length>1?[B(n,o)]:[],...r.map(({file:t,problems:i})=>T(y(t),i)),...n.map(({plan:t})=>R({plan:t,approval:f(c(t)),together:o}))],e="";for(let[t,i]of s.entries()){if(Buffer.byteLength(e)+Buffer.byteLength(i)>N)return`${e}

…and ${s.length-t} more experiments, each with its own check run.
`;e+=`${i}

`}return e||`No experiment was added or changed.
`}l(_,"summarisePlans");var j=256;function B(n,r){let o=n.map(({plan:e})=>[m(e.experiment.name),m(`${f(c(e))}…`),m(e.machine.name),d(u([e]))]),s=w({head:["run","plan","machine","takes"],align:"llll",rows:o,rest:"plan.json"},j);return`### One approval starts all ${r.runs} runs

Together they take ${d(r)}.

${s}`}l(B,"renderTogether");await I(async()=>{let n=await A({fromReports:$("from-reports")}),r=await F(n,h("experiments"),a("since")),o=await v(M("pull-request")),s={...await S(),image:a("image"),known:o},e=await P(n,r,s);await g.addRaw(_(e)).write(),p("plans",JSON.stringify(e.plans.map(({path:t})=>t))),p("count",e.plans.length),p("experiments",JSON.stringify(await O(e.plans.map(({plan:t})=>t)))),p("refused",x(e.refused)),k(e,a("approved"),a("shown")),b(e)});
