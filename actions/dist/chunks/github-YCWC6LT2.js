import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-TIFB3TSV.js";import"./chunk-I74AXULD.js";import"./chunk-ICHTIPUW.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
