import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a as o}from"./chunk-JZOFCJPT.js";import"./chunk-FI2ZF55K.js";export{o as context};
