import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-XDQ3MWGG.js";import"./chunk-FVJOGQE3.js";import"./chunk-TC2VJEFE.js";import"./chunk-RM3HLZO5.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
