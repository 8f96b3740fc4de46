import { createRequire as createRequireOfBundle } from "node:module"; const require = createRequireOfBundle(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;
import{a}from"./chunk-Z72XIKFX.js";import"./chunk-KJLIUULN.js";import"./chunk-2722GJVD.js";import"./chunk-FI2ZF55K.js";export{a as openGitHub};
