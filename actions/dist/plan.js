import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as A,d as v}from"./chunks/chunk-WYDTSXUO.js";import"./chunks/chunk-V3IQPOML.js";import"./chunks/chunk-KM5CFBAX.js";import{$ as k,E as g,I as w,J as h,K as O,N as b,P as y,Q as P,U as x,V as I,a as c,b as n,c as u,d as o,l as d}from"./chunks/chunk-HNQLS224.js";import{b as l,c as f}from"./chunks/chunk-FSCRMSHD.js";import"./chunks/chunk-U7GZGMVN.js";import"./chunks/chunk-LPOIWMFV.js";import"./chunks/chunk-RM3HLZO5.js";import{a as m}from"./chunks/chunk-FI2ZF55K.js";var M=1e6;function F({plans:s,refused:a}){let p=[...a.map(({file:t,problems:e})=>v(g(t),e)),...s.map(({plan:t})=>A({plan:t,approval:f(l(t))}))],r="";for(let[t,e]of p.entries()){if(Buffer.byteLength(r)+Buffer.byteLength(e)>M)return`${r}

…and ${p.length-t} more experiments, each with its own check run.
`;r+=`${e}

`}return r||`No experiment was added or changed.
`}m(F,"summarisePlans");await b(async()=>{let s=n("base"),a=await P({fromReports:y("from-reports"),reports:s}),p=await I(a,u("experiments"),n("since")),r=await x(k("pull-request")),t={base:s,image:n("image"),known:r},e=await w(a,p,t);await c.addRaw(F(e)).write(),o("plans",JSON.stringify(e.plans.map(({path:i})=>i))),o("count",e.plans.length),o("experiments",JSON.stringify(await d(e.plans.map(({plan:i})=>i)))),o("refused",JSON.stringify(e.refused)),O(e,n("approved")),h(e)});
