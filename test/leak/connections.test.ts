import { expect, it, onTestFinished, vi } from "vitest";
import { request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { eventually } from "../support/wait.js";
import { atRest, type Held, NODE_OPTIONS, usualGrowth } from "./at-rest.js";
import { ChurnOrigin, churn } from "./churn.js";

vi.stubEnv("NODE_OPTIONS", NODE_OPTIONS);

/** By then everything has its full size. */
const WARM_UP = 40_000;
/** Three times; see {@link usualGrowth}. */
const PART = 20_000;
const TOTAL = WARM_UP + 3 * PART;
const AT_ONCE = 96;

/** 48 bytes for each connection of a part. */
const GROWTH_BYTES = 48 * PART;

const route = (path: string, pool: string) => ({ match: { path }, pool });

function configuration(origin: string) {
  const pool = { backends: [{ address: origin }] };
  return {
    routes: [
      ...["/ok", "/hang", "/die", "/cut", "/upgrade"].map((path) => route(path, "main")),
      route("/refused", "refused"),
      route("/queued", "narrow"),
    ],
    // Nothing listens on port 1 of loopback.
    pools: {
      main: pool,
      refused: { backends: [{ address: "127.0.0.1:1" }] },
      narrow: { ...pool, maxConnections: 1 },
    },
    timeouts: { connect: "60s", drain: "1s" },
  };
}

interface LoadStatus {
  pools: { name: string; backends: { active: number; connections: number }[] }[];
}

/** Everything that is under way, in the counters of the workers and in the load table; all 0 when nothing is. */
async function underWay(proxy: RunningProxy) {
  const { pools } = (await proxy.status()) as unknown as LoadStatus;
  const backends = pools.flatMap((pool) => pool.backends);
  return {
    downstream: (await proxy.metrics()).sum("longsplice_connections_active"),
    exchanges: backends.reduce((sum, { active }) => sum + active, 0),
    upstream: backends.reduce((sum, { connections }) => sum + connections, 0),
  };
}

/** Closes what may stay open, waits until nothing is under way, and reads what the process holds. */
async function held(proxy: RunningProxy, origin: ChurnOrigin): Promise<Held> {
  proxy.disconnect();
  origin.disconnect();
  await eventually(
    "the end of everything that was under way",
    async () => Object.values(await underWay(proxy)).every((count) => count === 0),
    60_000,
  );
  return atRest(proxy.pid);
}

/** Takes the only place of the pool "narrow", so that every further request to it has to wait. */
async function takeTheOnlyPlace(proxy: RunningProxy): Promise<void> {
  const holder = await proxy.connect();
  await holder.send(request("GET /queued HTTP/1.1"));
  await eventually("the taken place", async () => (await underWay(proxy)).exchanges === 1);
}

forEachEngine("100,000 connections", (engine) => {
  it("leave no descriptor, no memory and no count behind", async () => {
    const origin = await new ChurnOrigin().start();
    onTestFinished(() => origin.stop());
    const proxy = await startProxy({ engine, config: configuration(origin.address) });

    /** What is held behind that many connections more. */
    const live = async (count: number): Promise<Held> => {
      await takeTheOnlyPlace(proxy);
      await churn(proxy.port, count, AT_ONCE);
      return held(proxy, origin);
    };
    const before = await live(WARM_UP);
    const behind = [await live(PART), await live(PART), await live(PART)];

    const metrics = await proxy.metrics();
    expect(metrics.sum("longsplice_connections_total")).toBeGreaterThanOrEqual(TOTAL);
    for (const code of ["200", "400", "404", "502", "101", "499"]) {
      expect(metrics.sum("longsplice_requests_total", { code }), `requests with ${code}`).toBeGreaterThan(
        1_000,
      );
    }
    expect(behind.map(({ fds }) => fds)).toEqual(Array(3).fill(before.fds));
    expect(usualGrowth([before, ...behind])).toBeLessThan(GROWTH_BYTES);
    await proxy.stop();
  });
});
