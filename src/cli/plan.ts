import type { Config } from "../config/index.js";
import { planRoute } from "../dataplane/planner.js";
import { table } from "./table.js";

/** How each route will be carried, and why not otherwise. */
export function renderPlan(config: Config): string {
  const rows = config.routes.map(({ label, pool, forward: asked }, index) => {
    const { forward, engine, why } = planRoute({ engine: config.engine, forward: asked });
    return [String(index), label, pool, forward, engine, why];
  });
  return table([["#", "ROUTE", "POOL", "FORWARD", "ENGINE", "WHY"], ...rows]);
}
