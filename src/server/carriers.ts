import type { Config, RouteConfig } from "../config/index.js";
import { type Carrier, planRoute } from "../dataplane/planner.js";

/**
 * How each route of a configuration will be carried, in their order.
 * @param packetObstacle why the packet engine cannot be used, if it cannot
 */
export function planCarriers(config: Config, packetObstacle: string | undefined): Carrier[] {
  return config.routes.map((route) => planRoute(factsOf(config, route, packetObstacle)));
}

function factsOf(config: Config, route: RouteConfig, packetObstacle: string | undefined) {
  const pool = config.pools.get(route.pool);
  return {
    ...pool?.traits,
    engine: config.engine,
    forward: route.forward,
    packetObstacle,
    setsRequestHeaders: route.setRequestHeaders.length > 0,
    changesResponses:
      route.setResponseHeaders.length + route.removeResponseHeaders.length > 0 ||
      pool?.traits.changesResponses === true,
    matchesBeyondKernel: route.match.pathRegex !== undefined || Object.keys(route.match.header).length > 0,
    forwarded: config.forwarded !== null,
    readsResponses: pool?.traits.readsResponses === true || pool?.load?.source === "header",
    countsPlaces: (pool?.maxConnections ?? 0) > 0,
    proxyHeader: pool !== undefined && pool.proxyProtocol !== "none",
  };
}
