import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{c as a,d as b}from"./chunk-PESGVM3H.js";import"./chunk-MOAZGALA.js";import"./chunk-AQYLGFNP.js";import"./chunk-U64YDCDE.js";export{a as context,b as getOctokit};
