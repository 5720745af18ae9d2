import type { Config } from "../config/index.js";
import { planCarriers } from "../server/carriers.js";
import { table } from "./table.js";

/**
 * How each route will be carried, and why not for less.
 * @param packetObstacle why the packet engine cannot be used here, if it cannot
 */
export function renderPlan(config: Config, packetObstacle: string | undefined): string {
  const carriers = planCarriers(config, packetObstacle);
  const rows = carriers.map(({ forward, engine, why }, index) => {
    const { label, pool } = config.routes[index] as Config["routes"][number];
    return [String(index), label, pool, forward, engine, why];
  });
  return table([["#", "ROUTE", "POOL", "FORWARD", "ENGINE", "WHY NOT FOR LESS"], ...rows]);
}
