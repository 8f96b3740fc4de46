import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-WFXNTDB2.js";import"./chunk-KW57V5KM.js";import"./chunk-7TTT5WBC.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
