import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as I,d as k}from"./chunks/chunk-TGWECYYP.js";import"./chunks/chunk-V3IQPOML.js";import"./chunks/chunk-KM5CFBAX.js";import{F as d,J as g,K as w,L as h,O,Q as y,S as P,W as x,X as b,a as m,b as a,ba as A,c as u,d as r,m as f}from"./chunks/chunk-U4VWVWZO.js";import{b as l,c}from"./chunks/chunk-FSCRMSHD.js";import"./chunks/chunk-U7GZGMVN.js";import"./chunks/chunk-LPOIWMFV.js";import"./chunks/chunk-RM3HLZO5.js";import{a as p}from"./chunks/chunk-FI2ZF55K.js";var F=1e6;function v({plans:o,refused:i}){let s=[...i.map(({file:e,problems:t})=>k(d(e),t)),...o.map(({plan:e})=>I({plan:e,approval:c(l(e))}))],n="";for(let[e,t]of s.entries()){if(Buffer.byteLength(n)+Buffer.byteLength(t)>F)return`${n}

…and ${s.length-e} more experiments, each with its own check run.
`;n+=`${t}

`}return n||`No experiment was added or changed.
`}p(v,"summarisePlans");await O(async()=>{let o=await P({fromReports:y("from-reports")}),i=await b(o,u("experiments"),a("since")),s=await x(A("pull-request")),n={image:a("image"),known:s},e=await g(o,i,n);await m.addRaw(v(e)).write(),r("plans",JSON.stringify(e.plans.map(({path:t})=>t))),r("count",e.plans.length),r("experiments",JSON.stringify(await f(e.plans.map(({plan:t})=>t)))),r("refused",JSON.stringify(e.refused)),h(e,a("approved")),w(e)});
