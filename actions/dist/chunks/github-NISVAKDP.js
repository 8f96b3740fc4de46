import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-MYMWBI45.js";import"./chunk-YUXXAAX6.js";import"./chunk-RINDXORK.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
