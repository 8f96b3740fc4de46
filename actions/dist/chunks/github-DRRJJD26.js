import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-VS3LPJJS.js";import"./chunk-WL2R6HP2.js";import"./chunk-ALWDCCVE.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
