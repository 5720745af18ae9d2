import type { Config } from "../config/index.js";
import { table } from "./table.js";

/** Why every route is carried the same way for now. */
const ONLY_WAY = "cheaper ways are not in this version";

/** How each route will be carried, and why not more cheaply. */
export function renderPlan(config: Config): string {
  const rows = config.routes.map((route, index) => [
    String(index),
    route.label,
    route.pool,
    "exchange",
    "copy",
    route.forward === "auto" && config.engine === "auto" ? ONLY_WAY : whyAsked(route.forward, config.engine),
  ]);
  return table([["#", "ROUTE", "POOL", "FORWARD", "ENGINE", "WHY"], ...rows]);
}

function whyAsked(forward: string, engine: string): string {
  const asked = [...(forward === "auto" ? [] : ["forward"]), ...(engine === "auto" ? [] : ["engine"])];
  return `${asked.join(" and ")} as configured; ${ONLY_WAY}`;
}
