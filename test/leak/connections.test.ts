import { expect, it, onTestFinished } from "vitest";
import { request } from "../support/build.js";
import { forEachEngine } from "../support/engines.js";
import { openFds, rssBytes } from "../support/process-info.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";
import { ChurnOrigin, churn } from "./churn.js";

const TOTAL = 100_000;
/** By then V8's heap has found its size, which would hide what native code leaks. */
const WARM_UP = 50_000;
const AT_ONCE = 96;

/** 160 bytes for each connection after the warm-up; V8 alone moves by less than 2 MB. */
const GROWTH_BYTES = 8 * 1024 * 1024;

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
async function held(proxy: RunningProxy, origin: ChurnOrigin): Promise<{ fds: number; rss: number }> {
  proxy.disconnect();
  origin.disconnect();
  await eventually(
    "the end of everything that was under way",
    async () => Object.values(await underWay(proxy)).every((count) => count === 0),
    10_000,
  );
  // The admin connections of the polling itself end a little later.
  let fds = openFds(proxy.pid);
  for (let lowest = 0; lowest < 10; lowest++) {
    await delay(50);
    fds = Math.min(fds, openFds(proxy.pid));
  }
  return { fds, rss: rssBytes(proxy.pid) };
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

    await takeTheOnlyPlace(proxy);
    await churn(proxy.port, WARM_UP, AT_ONCE);
    const before = await held(proxy, origin);

    await takeTheOnlyPlace(proxy);
    await churn(proxy.port, TOTAL - WARM_UP, AT_ONCE);
    const metrics = await proxy.metrics();
    const after = await held(proxy, origin);

    expect(metrics.sum("longsplice_connections_total")).toBeGreaterThanOrEqual(TOTAL);
    for (const code of ["200", "400", "404", "502", "101", "499"]) {
      expect(metrics.sum("longsplice_requests_total", { code }), `requests with ${code}`).toBeGreaterThan(
        1_000,
      );
    }
    expect(after.fds).toBe(before.fds);
    expect(after.rss - before.rss).toBeLessThan(GROWTH_BYTES);
    await proxy.stop();
  });
});
