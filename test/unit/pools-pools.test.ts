import { describe, expect, it, vi } from "vitest";
import { LOAD_CAPACITY } from "../../src/policy/load-layout.js";
import { formatAddress } from "../../src/pools/index.js";
import type { Probe } from "../../src/pools/probe.js";
import {
  CHECK,
  down,
  events,
  health,
  pool,
  pools,
  start,
  startWith,
  table,
  usePools,
} from "./pools-support.js";

const slots = () => Object.fromEntries(pools.backends().map((backend) => [backend.address, backend.slot]));

usePools();

describe("addresses", () => {
  it("have one spelling", () => {
    start();
    expect(formatAddress({ kind: "tcp", host: "127.0.0.1", port: 80 })).toBe("127.0.0.1:80");
    expect(formatAddress({ kind: "tcp", host: "::1", port: 80 })).toBe("[::1]:80");
    expect(formatAddress({ kind: "unix", path: "/run/x" })).toBe("unix:/run/x");
  });
});

describe("pools", () => {
  it("write each backend into the load table and show it with live figures", () => {
    const spec = pool("a", [1], { maxConnections: 9 });
    start({
      ...spec,
      backends: spec.backends.map((backend) => ({ ...backend, weight: 4, labels: { zone: "eu" } })),
    });
    const slot = 0;
    expect(
      ["weight", "maxConnections", "eligible", "health"].map((cell) => table.read(slot, cell as "weight")),
    ).toEqual([4, 9, 1, 0]);
    table.write(slot, "active", 3);
    table.write(slot, "requests", -1);
    expect(pools.backends()).toEqual([
      {
        pool: "a",
        address: "10.0.0.1:1",
        slot,
        health: "unknown",
        reason: "",
        eligible: true,
        weight: 4,
        weightPercent: 100,
        labels: { zone: "eu" },
        active: 3,
        requests: 2 ** 32 - 1,
        errors: 0,
        connections: 0,
        ewmaMicros: 0,
        ejections: { failures: 0, success_rate: 0, latency: 0 },
      },
    ]);
    expect(pools.backendsOf("a")).toEqual([
      { slot, address: "10.0.0.1:1", weight: 4, labels: { zone: "eu" } },
    ]);
    expect(pools.backendsOf("b")).toEqual([]);
  });

  it("keep one address in two pools apart", () => {
    start(pool("a", [1]), pool("b", [1]));
    expect(pools.backends().map((backend) => backend.slot)).toEqual([0, 1]);
  });

  it("take a backend out when its checks fail and back when they pass, and say so", async () => {
    start(pool("a", [1, 2], { health: CHECK }));
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(1500);
    expect(health()).toEqual({ "10.0.0.1:1": "healthy", "10.0.0.1:2": "unhealthy" });
    expect([table.read(1, "eligible"), table.read(1, "health")]).toEqual([0, 2]);
    down.clear();
    await vi.advanceTimersByTimeAsync(1000);
    expect([table.read(1, "eligible"), table.read(1, "health")]).toEqual([1, 1]);
    expect(events.filter((event) => event.address === "10.0.0.1:2")).toEqual([
      { pool: "a", address: "10.0.0.1:2", from: "unknown", to: "unhealthy", reason: "refused" },
      { pool: "a", address: "10.0.0.1:2", from: "unhealthy", to: "healthy", reason: "status 200" },
    ]);
  });

  it("drain and enable a backend by order, and know which ones there are", () => {
    start(pool("a", [1]));
    expect(pools.drain("a", "10.0.0.1:1")).toMatchObject({ health: "draining", eligible: false });
    expect([table.read(0, "eligible"), table.read(0, "health")]).toEqual([0, 3]);
    pools.drain("a", "10.0.0.1:1");
    expect(pools.enable("a", "10.0.0.1:1")).toMatchObject({ health: "unknown", eligible: true });
    expect(events.map(({ from, to, reason }) => [from, to, reason])).toEqual([
      ["unknown", "draining", "ordered"],
      ["draining", "unknown", "ordered"],
    ]);
    expect(pools.drain("a", "10.0.0.1:9")).toBeUndefined();
    expect(pools.enable("z", "10.0.0.1:1")).toBeUndefined();
  });

  it("stop checking when closed", async () => {
    start(pool("a", [1], { health: CHECK }));
    pools.close();
    pools.close();
    expect(vi.getTimerCount()).toBe(0);
    expect(table.read(0, "eligible")).toBe(0);
    expect(pools.backends()).toEqual([]);
  });
});

describe("a reload", () => {
  it("keeps slots, figures, health and orders of the backends that stay", async () => {
    start(pool("a", [1, 2, 3], { health: CHECK }));
    down.add("10.0.0.1:2");
    await vi.advanceTimersByTimeAsync(1500);
    pools.drain("a", "10.0.0.1:3");
    table.write(0, "active", 5);
    events.length = 0;
    pools.apply([pool("a", [3, 2, 1], { health: CHECK, maxConnections: 7 })]);
    expect(slots()).toEqual({ "10.0.0.1:1": 0, "10.0.0.1:2": 1, "10.0.0.1:3": 2 });
    expect(health()).toEqual({
      "10.0.0.1:1": "healthy",
      "10.0.0.1:2": "unhealthy",
      "10.0.0.1:3": "draining",
    });
    expect(pools.backends().at(-1)).toMatchObject({ address: "10.0.0.1:1", active: 5 });
    expect(table.read(0, "maxConnections")).toBe(7);
    expect(events).toEqual([]);
  });

  it("goes on with the same checks, and replaces those that changed", async () => {
    const asked: string[] = [];
    const recording: Probe = async (_address, check) => {
      asked.push(check.path ?? "");
      return { passed: true, detail: "" };
    };
    startWith(recording, pool("a", [1], { health: CHECK }));
    await vi.advanceTimersByTimeAsync(950);
    pools.apply([pool("a", [1], { health: { ...CHECK } })]);
    await vi.advanceTimersByTimeAsync(50);
    // A check of its own accord would have come right after the reload.
    expect(asked).toEqual(["/"]);
    pools.apply([pool("a", [1], { health: { ...CHECK, path: "/new" } })]);
    await vi.advanceTimersByTimeAsync(1100);
    expect(asked).toEqual(["/", "/new", "/new"]);
  });

  it("forgets the health of a backend that nobody checks any more", async () => {
    start(pool("a", [1], { health: CHECK }));
    down.add("10.0.0.1:1");
    await vi.advanceTimersByTimeAsync(1500);
    pools.apply([pool("a", [1])]);
    expect(health()).toEqual({ "10.0.0.1:1": "unknown" });
    expect(table.read(0, "eligible")).toBe(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("leaves a backend that is gone to workers that have not switched, and its slot from others, until the next reload", () => {
    start(pool("a", [1, 2]));
    pools.apply([pool("a", [2, 3])]);
    expect(table.read(0, "eligible")).toBe(1);
    expect(slots()).toEqual({ "10.0.0.1:2": 1, "10.0.0.1:3": 2 });
    pools.apply([pool("a", [2, 3])]);
    expect(table.read(0, "eligible")).toBe(0);
    pools.apply([pool("a", [2, 3, 4])]);
    expect(slots()["10.0.0.1:4"]).toBe(0);
  });

  it("that is taken back changes nothing", () => {
    start(pool("a", [1, 2]));
    pools.drain("a", "10.0.0.1:1");
    pools.apply([pool("a", [2])]);
    pools.apply([pool("a", [1, 2])], { restore: true });
    expect(slots()).toEqual({ "10.0.0.1:1": 0, "10.0.0.1:2": 1 });
    expect(health()["10.0.0.1:1"]).toBe("draining");
    expect(table.read(0, "eligible")).toBe(0);
  });

  it("takes a backend that comes back for a new one, in its row", async () => {
    const both = pool("a", [1, 2], { health: CHECK, slowStart: 10_000 });
    start(both);
    down.add("10.0.0.1:1");
    await vi.advanceTimersByTimeAsync(1500);
    expect(health()["10.0.0.1:1"]).toBe("unhealthy");
    table.write(0, "active", 3);
    table.write(0, "longestRun", 9);
    pools.apply([pool("a", [2], { health: CHECK, slowStart: 10_000 })]);
    down.clear();
    pools.apply([both]);
    const back = { slot: 0, health: "unknown", eligible: true, weightPercent: 10, active: 3 };
    expect(pools.backends()[0]).toMatchObject(back);
    expect([table.read(0, "eligible"), table.read(0, "longestRun")]).toEqual([1, 0]);
    await vi.advanceTimersByTimeAsync(1500);
    expect(health()["10.0.0.1:1"]).toBe("healthy");
  });

  it("that does not fit changes nothing", () => {
    start(pool("a", [1, 2], { health: CHECK }));
    const ports = Array.from({ length: LOAD_CAPACITY + 1 }, (_, i) => i + 1);
    expect(() => pools.apply([pool("b", ports)])).toThrow(
      expect.objectContaining({ code: "LS_POOL_CAPACITY" }),
    );
    expect(slots()).toEqual({ "10.0.0.1:1": 0, "10.0.0.1:2": 1 });
    expect(vi.getTimerCount()).toBe(2);
    pools.apply([pool("a", [1, 2, 3])]);
    expect(pools.backends().map((backend) => backend.eligible)).toEqual([true, true, true]);
  });
});
