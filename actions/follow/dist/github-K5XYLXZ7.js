import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{p as a}from"./chunk-UJFKJ7EW.js";import"./chunk-Q2HAM3RC.js";export{a as openGitHub};
