import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-G5VRDDL6.js";import"./chunk-EWFANY5E.js";import"./chunk-VEXO62GE.js";import"./chunk-RM3HLZO5.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
