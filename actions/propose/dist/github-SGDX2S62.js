import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{k as a}from"./chunk-TD6B7DZ6.js";import"./chunk-Q2HAM3RC.js";export{a as openGitHub};
