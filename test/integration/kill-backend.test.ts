import { expect, it } from "vitest";
import { forEachEngine } from "../support/engines.js";
import { expectEngineWorked } from "../support/fixtures.js";
import { OriginProcess } from "../support/origin-process.js";
import { startProxy } from "../support/proxy.js";
import { SteadyLoad } from "../support/steady-load.js";
import { delay, eventually } from "../support/wait.js";

forEachEngine("kill -9 of one of three backends under load", (engine) => {
  it("fails no idempotent request whose response had not begun", async () => {
    const names = ["first", "second", "third"];
    const origins = await Promise.all(names.map((name) => OriginProcess.start(name)));
    const proxy = await startProxy({
      engine,
      config: {
        workers: 2,
        routes: [{ match: {}, pool: "main" }],
        pools: { main: { policy: "round-robin", backends: origins.map(({ address }) => ({ address })) } },
      },
    });
    const load = new SteadyLoad(proxy.port, 32);
    await delay(1_000);
    await eventually("many requests", () => load.outcomes.length > 300);
    const before = load.outcomes.length;
    origins[1]!.kill();
    await delay(2_000);
    await eventually("as many behind it", () => load.outcomes.length > before + 300);
    const after = load.outcomes.length;
    await load.stop();

    // The load was real: all three served before, the other two go on.
    const servedBy = (outcomes: typeof load.outcomes) => new Set(outcomes.map(({ origin }) => origin));
    expect([...servedBy(load.outcomes.slice(0, before))].sort()).toEqual([...names].sort());
    expect(after - before).toBeGreaterThan(200);
    expect(servedBy(load.outcomes.slice(-100))).toEqual(new Set(["first", "third"]));

    expect(load.failures("refused", "unanswered", "wrong")).toEqual([]);
    // One running response per client is the most that a single death can cut.
    expect(load.failures("begun").length).toBeLessThanOrEqual(32);
    await expectEngineWorked(proxy, engine);
    await proxy.stop();
  });
});
