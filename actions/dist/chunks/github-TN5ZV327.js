import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-PLKX73LY.js";import"./chunk-FOSQPG3U.js";import"./chunk-7TTT5WBC.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
