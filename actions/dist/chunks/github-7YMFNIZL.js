import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-ITQOTV72.js";import"./chunk-MXK65VVW.js";import"./chunk-VHJ4EXXA.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
