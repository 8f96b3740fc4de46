import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-K4SQAKJE.js";import"./chunk-UK53B2OK.js";import"./chunk-U7GZGMVN.js";import"./chunk-RM3HLZO5.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
