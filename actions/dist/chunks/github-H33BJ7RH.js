import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-JIUKZANX.js";import"./chunk-IL6VNMC6.js";import"./chunk-LYPJ277O.js";import"./chunk-RM3HLZO5.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
