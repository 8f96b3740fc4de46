import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-76S5C2O3.js";import"./chunk-DEH6H44I.js";import"./chunk-U64YDCDE.js";export{a as openGitHub};
