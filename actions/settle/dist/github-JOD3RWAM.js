import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{b as a}from"./chunk-YWAIT2YR.js";import"./chunk-JKIBTBV3.js";import"./chunk-U64YDCDE.js";export{a as openGitHub};
