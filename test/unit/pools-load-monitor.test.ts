import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  type Advice,
  type LoadEvent,
  LoadMonitor,
  LoadReports,
  LoadTable,
  type PoolSpec,
  Pools,
} from "../../src/pools/index.js";
import type { LoadSink, LoadSource, MonitoredPool } from "../../src/pools/load-monitor.js";
import { PATIENCE_MS } from "../support/wait.js";
import { pool as plainPool } from "./pools-support.js";

const HEADER: LoadSource = { source: "header", port: 9902, interval: 2000, timeout: 1000, expires: 1000 };
const A = "10.0.0.1:1";

const pool = (
  ports: readonly number[],
  change: Partial<PoolSpec & MonitoredPool> = {},
): PoolSpec & MonitoredPool => ({ ...plainPool("a", ports), load: HEADER, ...change });

let table: LoadTable;
let reports: LoadReports;
let pools: Pools;
let monitor: LoadMonitor;
let events: LoadEvent[];

const apply = (...specs: (PoolSpec & MonitoredPool)[]) => {
  pools.apply(specs);
  monitor.apply(specs);
};

beforeEach(() => {
  vi.useFakeTimers();
  table = new LoadTable();
  reports = new LoadReports(table.cells);
  events = [];
  pools = new Pools(table, []);
  monitor = new LoadMonitor(pools, reports, (event) => events.push(event));
});
afterEach(() => {
  monitor.close();
  pools.close();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe("what a backend reported", () => {
  it("holds while it goes on reporting, and is forgotten once it has not for long enough", () => {
    apply(pool([1, 2]));
    for (let i = 0; i < 5; i++) {
      reports.write(0, { cpu: 0.5 });
      reports.write(1, { cpu: 0.25 });
      vi.advanceTimersByTime(900);
    }
    expect([reports.read(0), reports.read(1)]).toEqual([{ cpu: 0.5 }, { cpu: 0.25 }]);
    expect(events).toEqual([]);
    for (let i = 0; i < 5; i++) {
      reports.write(1, { cpu: 0.25 });
      vi.advanceTimersByTime(250);
    }
    expect([reports.read(0), reports.read(1)]).toEqual([{}, { cpu: 0.25 }]);
    expect(events).toEqual([{ pool: "a", address: A, source: "header", silent: true }]);
  });

  it("is told once when it goes and once when it is back", () => {
    apply(pool([1]));
    vi.advanceTimersByTime(10_000);
    expect(events.map(({ silent }) => silent)).toEqual([true]);
    reports.write(0, { queue: 1 });
    vi.advanceTimersByTime(500);
    expect(events.map(({ silent }) => silent)).toEqual([true, false]);
    expect(reports.read(0)).toEqual({ queue: 1 });
    vi.advanceTimersByTime(10_000);
    expect(events.map(({ silent }) => silent)).toEqual([true, false, true]);
  });

  it("is forgotten when nobody watches the backend any more, or in another way", () => {
    apply(pool([1, 2, 3]));
    for (const slot of [0, 1, 2]) reports.write(slot, { cpu: 0.5 });
    apply(pool([1, 2]));
    expect([0, 1, 2].map((slot) => reports.read(slot))).toEqual([{ cpu: 0.5 }, { cpu: 0.5 }, {}]);
    apply(pool([1, 2], { load: { ...HEADER, source: "agent" } }));
    expect(reports.read(0)).toEqual({});
    reports.write(0, { cpu: 0.5 });
    apply(pool([1, 2], { load: null }));
    expect(reports.read(0)).toEqual({});
  });
});

describe("a reload that changes only how long reports hold", () => {
  it("keeps them, and counts their age from when they came", () => {
    apply(pool([1]));
    vi.advanceTimersByTime(900);
    reports.write(0, { cpu: 0.5 });
    vi.advanceTimersByTime(100);
    apply(pool([1], { load: { ...HEADER, expires: 2000 } }));
    expect(reports.read(0)).toEqual({ cpu: 0.5 });
    vi.advanceTimersByTime(1500);
    expect([reports.read(0), events]).toEqual([{ cpu: 0.5 }, []]);
    vi.advanceTimersByTime(500);
    expect(reports.read(0)).toEqual({});
  });
});

describe("an agent of HAProxy's protocol", () => {
  const CHECK: LoadSource = { source: "agent-check", port: 1, interval: 100, timeout: 50, expires: 1000 };
  const advised: [string, Advice][] = [];
  const watch = (...specs: (PoolSpec & MonitoredPool)[]) => {
    pools.apply(specs);
    const sink: LoadSink = {
      slotOf: (name, address) => pools.slotOf(name, address),
      advise: (_, address, advice) => advised.push([address, advice]),
    };
    monitor = new LoadMonitor(sink, reports, () => {});
    monitor.apply(specs);
    return monitor;
  };
  beforeEach(() => advised.splice(0));
  const silence: [string, Advice] = [A, { reason: "agent: silent" }];

  it("is obeyed no longer once it is silent, and when nobody asks it any more", () => {
    const spec = pool([1], { load: CHECK });
    watch(spec);
    // Nothing holds that was said before.
    expect(advised).toEqual([silence]);
    reports.heard(0);
    vi.advanceTimersByTime(1000);
    expect(advised).toEqual([silence]);
    vi.advanceTimersByTime(500);
    expect(advised).toEqual([silence, silence]);
    monitor.apply([{ ...spec, load: null }]);
    expect(advised).toEqual([silence, silence, silence]);
  });

  it("goes on to be obeyed over a reload that changes nothing for it", () => {
    const spec = pool([1], { load: CHECK });
    watch(spec).apply([pool([1, 2], { load: { ...CHECK } })]);
    expect(advised).toEqual([silence]);
    monitor.apply([pool([1], { load: { ...CHECK, port: 2 } })]);
    expect(advised).toEqual([silence, silence, silence]);
  });

  it("is obeyed over a reload that changes how it is asked, as the limits now are", async () => {
    vi.useRealTimers();
    const agent = createServer((socket) => socket.end("drain 50% maxconn:3\n")).listen(0, "127.0.0.1");
    onTestFinished(() => void agent.close());
    await once(agent, "listening");
    const { port } = agent.address() as AddressInfo;
    const load = { ...CHECK, port, timeout: 1000 };
    const backends = [
      { address: { kind: "tcp", host: "127.0.0.1", port: 1 }, weight: 1, labels: {} },
    ] as const;
    watch(pool([], { load, backends }));
    await vi.waitFor(
      () => expect(advised.at(-1)?.[1]).toMatchObject({ weight: 0.5, state: "drain" }),
      PATIENCE_MS,
    );
    advised.splice(0);
    const change = { load: { ...load, interval: 60_000 }, maxConnections: 9 };
    monitor.apply([pool([], { ...change, backends })]);
    const orders = { weight: 0.5, state: "drain", maxConnections: 3, reason: "agent: drain" };
    expect(advised).toEqual([["127.0.0.1:1", orders]]);
    monitor.close();
    vi.useFakeTimers();
  });
});
