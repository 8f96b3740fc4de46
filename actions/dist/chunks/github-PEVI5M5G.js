import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-RW66KGHH.js";import"./chunk-XWOXG4TA.js";import"./chunk-3QYKIQ4Y.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
