/** Servers that live as long as a `describe` block, for tests that only need a fresh connection. */
import { afterAll, afterEach, beforeAll, expect, onTestFinished } from "vitest";
import { type EngineName, linksRequests } from "./engines.js";
import { NginxOrigin } from "./nginx-origin.js";
import { type NodeHandler, NodeOrigin } from "./node-origin.js";
import { type ProxyOptions, RunningProxy } from "./proxy.js";
import { RawOrigin } from "./raw-origin.js";

/** A raw origin that forgets everything after each test; what its script threw fails the test. */
export function useRawOrigin(): RawOrigin {
  const origin = new RawOrigin();
  beforeAll(async () => {
    await origin.start();
  });
  afterEach(() => origin.reset());
  afterAll(() => origin.stop());
  return origin;
}

/**
 * A proxy for all tests of the block. Options are a function because ports are known only after the origins started.
 * At the end it must exit 0 on SIGTERM, and its counters must say that the engine under test moved the bytes.
 */
export function useProxy(
  engine: EngineName,
  options: () => Omit<ProxyOptions, "engine">,
  { linked = true }: Linked = {},
): RunningProxy {
  const proxy = new RunningProxy(() => ({ engine, ...options() }));
  beforeAll(async () => {
    await proxy.start();
  });
  // Runs before the origins' own `afterEach`, which are declared earlier: nothing may be under way when they reset.
  afterEach(() => proxy.disconnect());
  afterAll(async () => {
    try {
      await expectEngineWorked(proxy, engine, { linked });
    } finally {
      await proxy.stop();
    }
  });
  return proxy;
}

interface Linked {
  /** What there is to link: requests, tunnels (by `connection` only), or nothing, and then the tests say why. */
  linked?: boolean | "tunnels";
}

/** What the heads of a few hundred messages can bring along. Whoever moves more has bodies that come by themselves. */
const MUCH = 1_000_000;

/**
 * Fails unless that engine forwarded bytes. Bytes that came together with a head are sent with it by whatever engine, so other
 * engines than `copy` must have been used only where much was forwarded.
 */
export async function expectEngineWorked(
  proxy: RunningProxy,
  engine: EngineName,
  { linked = true }: Linked = {},
): Promise<void> {
  const metrics = await proxy.metrics();
  const links = metrics.sum("longsplice_links_total") + metrics.sum("longsplice_links_active");
  // Passed, and returned to user space.
  const events = ["judged", "returned"];
  const judged = events.reduce(
    (total, event) => total + metrics.sum("longsplice_packet_total", { event }),
    0,
  );
  const tunnels = engine === "packet-connection" && linked;
  if (tunnels || (engine === "packet-request" && linked === true)) expect(links).toBeGreaterThan(0);
  if (linksRequests(engine) && linked === true) expect(judged).toBeGreaterThan(0);
  const moved = (by: string) => metrics.sum("longsplice_forwarded_bytes_total", { engine: by });
  const all = ["copy", "pipe", "sockmap", "packet"].reduce((sum, by) => sum + moved(by), 0);
  expect(all).toBeGreaterThan(0);
  for (const other of ["pipe", "sockmap"]) if (other !== engine) expect(moved(other)).toBe(0);
  // What sockmap is for has a known length.
  const bodies = engine === "pipe" || (engine === "sockmap" && linked !== "tunnels");
  if (bodies && all > MUCH) expect(moved(engine)).toBeGreaterThan(0);
}

/** nginx for all tests of the block. */
export function useNginxOrigin(): NginxOrigin {
  const origin = new NginxOrigin();
  beforeAll(async () => {
    await origin.start();
  });
  afterAll(() => origin.stop());
  return origin;
}

/** node:http for all tests of the block. */
export function useNodeOrigin(handler: NodeHandler): NodeOrigin {
  const origin = new NodeOrigin(handler);
  beforeAll(async () => {
    await origin.start();
  });
  afterEach(() => {
    origin.requests = [];
  });
  afterAll(() => origin.stop());
  return origin;
}

/** A raw origin for the running test. */
export async function startRawOrigin(): Promise<RawOrigin> {
  const origin = await new RawOrigin().start();
  onTestFinished(async () => {
    await origin.reset();
    await origin.stop();
  });
  return origin;
}
