/** Backends that come and go: names in DNS and files that are looked at again and again. */
export { Discovery } from "./discovery.js";
export { memberFileProblems } from "./member-files.js";
