import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{l as a}from"./chunk-X5I2UF2P.js";import"./chunk-Q2HAM3RC.js";export{a as openGitHub};
