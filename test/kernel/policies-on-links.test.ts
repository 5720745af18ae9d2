/** Every policy in front of links: who is asked again and again, and whose choice is kept by the kernel. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtinPolicies } from "../../policies/index.js";
import { PolicyRegistry } from "../../src/policy/registry.js";
import { readResponse } from "../support/message.js";
import { MortalOrigin } from "../support/mortal-origin.js";
import { RunningProxy } from "../support/proxy.js";
import type { Wire } from "../support/wire.js";

// The test file has a network namespace of its own.
const backends = [
  { name: "A", port: 9001, labels: { zone: "near", version: "v1", content: "image, other" } },
  { name: "B", port: 9002, labels: { zone: "far", version: "v1", content: "text, other" } },
  { name: "C", port: 9003, labels: { zone: "near", version: "v2", content: "text, other" } },
];

interface Row {
  /** Of the pool, and the beginning of its paths. */
  readonly name: string;
  /** If it is not the name. */
  readonly policy?: string;
  readonly options?: object;
  /** It only narrows, so another one chooses among what it leaves. */
  readonly narrows?: true;
  /** What it chooses by, where its choice is kept; `seen`: user space sees each request, or each response. */
  readonly by: "load" | "client" | "target" | "seen";
}

const zones = { near: { networks: ["127.0.0.0/8"] }, far: {} };
const shares = { v1: 1, v2: 1 };
const sticky = { shares, sticky: true };
const bound = { boundedLoad: 1.25 };
const unread = { accept: false, learn: false };

const rows: readonly Row[] = [
  { name: "round-robin", by: "load" },
  { name: "least-connections", by: "load" },
  { name: "power-of-two", by: "load" },
  { name: "least-load", by: "load" },
  { name: "inverse-load", by: "load" },
  { name: "peak-ewma", by: "load" },
  { name: "least-time", by: "load" },
  { name: "weighted-split", by: "load", narrows: true, options: { shares } },
  { name: "weighted-split-sticky", policy: "weighted-split", by: "client", narrows: true, options: sticky },
  { name: "priority", by: "load", narrows: true },
  { name: "max-load", by: "client" },
  { name: "nearest", by: "client", narrows: true, options: { zones } },
  { name: "source-hash", by: "client" },
  { name: "source-hash-bound", policy: "source-hash", by: "seen", options: bound },
  { name: "content-type", by: "seen", narrows: true },
  { name: "content-type-unread", policy: "content-type", by: "target", narrows: true, options: unread },
  { name: "uri-hash", by: "target" },
  { name: "uri-hash-bound", policy: "uri-hash", by: "seen", options: bound },
  { name: "maglev", by: "target" },
  { name: "maglev-client", policy: "maglev", by: "client", options: { key: "client" } },
  { name: "ring-hash", by: "target" },
  { name: "ring-hash-header", policy: "ring-hash", by: "seen", options: { key: { header: "x-user" } } },
  { name: "lard", by: "target" },
  { name: "lard-replicated", by: "target" },
  { name: "hybrid", by: "seen" },
  { name: "hot-replication", by: "seen" },
  { name: "header-hash", by: "seen", options: { header: "x-user" } },
  { name: "cookie-sticky", by: "seen", options: { secret: "a secret of this test" } },
];

function specsOf({ name, policy = name, options, narrows }: Row) {
  const chooser = narrows ? [{ name: "round-robin", options: {} }] : [];
  return [{ name: policy, options: options ?? {} }, ...chooser];
}

/** Each target some times in a row, and then all of them in turns. */
const ORDER = [0, 0, 0, 1, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2];
/** The first request of a connection is served without a link, and the second one makes it. */
const BEFORE_LINKED = 2;

it("there is a row for every policy", () => {
  const tested = rows.map(({ name, policy = name }) => policy);
  expect(builtinPolicies.filter(({ name }) => !tested.includes(name))).toEqual([]);
});

describe("requests of one connection", () => {
  for (const { name, port } of backends) MortalOrigin.use(name, port);
  const pool = (row: Row) => ({
    policy: specsOf(row),
    backends: backends.map(({ port, labels }) => ({ address: `127.0.0.1:${port}`, labels })),
  });
  const proxy = new RunningProxy(() => ({
    warmUp: false,
    config: {
      engine: "packet",
      routes: rows.map(({ name }) => ({ match: { path: `/${name}/` }, pool: name })),
      pools: Object.fromEntries(rows.map((row) => [row.name, pool(row)])),
    },
  }));
  beforeAll(async () => {
    await proxy.start();
  });
  afterAll(() => proxy.stop());

  const passed = async () => (await proxy.metrics()).sum("longsplice_packet_total", { event: "judged" });

  /** The backend that answers; the status if that is not 200. */
  async function ask(wire: Wire, target: string): Promise<string> {
    await wire.send(`GET ${target} HTTP/1.1\r\nhost: test\r\nx-user: somebody\r\n\r\n`);
    const { status, body } = await readResponse(wire);
    if (status !== 200) return String(status);
    const [backend, ...asked] = body.toString().split(" ");
    expect(asked).toEqual(["GET", target]);
    return backend!;
  }

  it.each(rows)("$name: they pass in the kernel if its choice holds for them, and only then", async (row) => {
    const { name, by } = row;
    const traits = new PolicyRegistry(builtinPolicies).traitsOf(specsOf(row));
    const passes = traits.choosesBy !== "request" && !traits.readsResponses && !traits.changesResponses;
    expect(passes).toBe(by !== "seen");

    const before = await passed();
    const wire = await proxy.connectCold();
    const answers: string[] = [];
    for (const target of ORDER) answers.push(await ask(wire, `/${name}/${target}.html`));
    const inKernel = (await passed()) - before;

    expect(["A", "B", "C"]).toEqual(expect.arrayContaining(answers));
    // What follows a narrowing policy may choose another one when it is asked again.
    if (by === "target" && !row.narrows) {
      const first = [0, 1, 2].map((target) => answers[ORDER.indexOf(target)]);
      expect(answers).toEqual(ORDER.map((target) => first[target]));
    }
    if (by === "load" || by === "client") {
      expect(new Set(answers.slice(BEFORE_LINKED - 1)).size).toBe(1);
      expect(inKernel).toBe(ORDER.length - BEFORE_LINKED);
    } else if (by === "target") {
      // Those that come after a request for the same target, at least; never the first one for a target.
      expect(inKernel).toBeGreaterThanOrEqual(4);
      expect(inKernel).toBeLessThanOrEqual(ORDER.length - BEFORE_LINKED - 2);
    } else {
      expect(inKernel).toBe(0);
    }
  });
});
