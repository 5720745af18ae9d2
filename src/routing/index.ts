/** Routes: what they are and how they become the native matcher's tables. */
export { type CompileContext, compileRoute } from "./compile.js";
export type { RouteSpec } from "./route.js";
