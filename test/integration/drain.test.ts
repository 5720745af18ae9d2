import { expect, it } from "vitest";
import { forEachEngine } from "../support/engines.js";
import { OriginProcess } from "../support/origin-process.js";
import { startProxy } from "../support/proxy.js";
import { SteadyLoad } from "../support/steady-load.js";
import { delay, eventually, within } from "../support/wait.js";

forEachEngine("SIGTERM under load", (engine) => {
  it("fails none of the requests that were accepted, and exits 0", async () => {
    const origins = await Promise.all(["first", "second"].map((name) => OriginProcess.start(name)));
    const proxy = await startProxy({
      engine,
      backends: origins.map(({ address }) => address),
      config: { workers: 2, timeouts: { drain: "30s" } },
    });
    const load = new SteadyLoad(proxy.port, 32);
    await delay(1_000);
    await eventually("many requests", () => load.outcomes.length > 300);
    const start = performance.now();
    proxy.signal("SIGTERM");
    expect(await within(proxy.exited, 45_000, "the proxy's exit")).toBe(0);
    // It does not wait for the drain time.
    expect(performance.now() - start).toBeLessThan(20_000);
    await load.stop();

    // A response that had begun was accepted, and so was every request that reached an origin.
    expect(load.outcomes.length).toBeGreaterThan(200);
    expect(load.failures("begun", "wrong")).toEqual([]);
    const reached = new Set((await Promise.all(origins.map((origin) => origin.seen()))).flat());
    expect(load.failures("unanswered").filter(({ number }) => reached.has(number))).toEqual([]);
    // Every client met the closed listener in the end, and none of them earlier.
    expect(load.failures("refused")).toHaveLength(32);
  });
});
