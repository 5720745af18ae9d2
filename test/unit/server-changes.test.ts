/** Changes of what a server serves, with workers that only say whether they can follow. */
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Config } from "../../src/config/index.js";
import type { Log } from "../../src/observe/index.js";
import { LoadTable } from "../../src/pools/index.js";
import type { WorkerPlan } from "../../src/server/messages.js";
import { Server } from "../../src/server/server.js";
import { PATIENCE_MS } from "../support/wait.js";
import { fileWith, lines, load } from "./config-support.js";

const fakes = vi.hoisted(() => ({
  start: async (_: unknown): Promise<void> => {},
  /** How workers answer a plan. */
  follow: async (_: unknown): Promise<void> => {},
  /** Addresses that cannot be resolved. */
  unresolved: new Set<string>(),
}));
vi.mock("../../src/server/worker-pool.js", () => ({
  WorkerPool: class {
    alive = 1;
    start = fakes.start;
    stop = async () => {};
    apply = (plan: unknown) => fakes.follow(plan);
  },
}));
vi.mock("../../src/server/listener-set.js", () => ({
  ListenerSet: { open: async () => ({ addresses: [], close: async () => {} }) },
}));
vi.mock("../../src/server/resolve.js", () => ({
  resolveAddress: async ({ host, port }: { host: string; port: number }) => {
    if (fakes.unresolved.has(host)) throw new Error(`${host} cannot be resolved`);
    return { host, port, path: "" };
  },
}));

let logged: string[];
let plans: WorkerPlan[];
let server: Server;

const configWith = async (pools: string): Promise<Config> =>
  (await load(lines({ pools: `pools: ${pools}`, more: "workers: 1\nengine: copy" }))).config;

async function start(pools: string): Promise<Server> {
  const note = (_: unknown, message: string) => void logged.push(message);
  const logger = { info: note, warn: note, error: note, debug: note };
  const log = { logger, ready: () => {} } as unknown as Log;
  const options = { configFile: null, log, onFatal: () => {} };
  server = await Server.start(await configWith(pools), options);
  return server;
}

const addresses = (plan: WorkerPlan | undefined) => plan?.pools[0]?.backends.map(({ name }) => name);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  logged = [];
  plans = [];
  fakes.unresolved.clear();
  fakes.start = async () => {};
  fakes.follow = async (plan) => void plans.push(plan as WorkerPlan);
});
afterEach(async () => {
  await server.close();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const ONE = "{ web: { backends: [{ address: 10.0.0.1:80 }] } }";
const CHECKED =
  "{ web: { backends: [{ address: 10.0.0.2:80 }], health: { path: / }, load: { source: header }, outliers: {} } }";

describe("a change of members that fails", () => {
  const source = () => {
    const file = fileWith("- { address: 10.0.0.1:80 }", "list.yaml");
    return { file, pools: `{ web: { discover: [{ file: "${file}" }] } }` };
  };
  const failing = async () => {
    const { file, pools } = source();
    await start(pools);
    fakes.unresolved.add("10.0.0.2");
    writeFileSync(file, "- { address: 10.0.0.2:80 }");
    await vi.advanceTimersByTimeAsync(2200);
    await vi.waitFor(() => expect(logged.at(-1)).toMatch(/could not be changed/), PATIENCE_MS);
  };

  it("is tried again, although the source has no other news", async () => {
    await failing();
    expect(plans).toEqual([]);
    fakes.unresolved.clear();
    await vi.advanceTimersByTimeAsync(5000);
    await vi.waitFor(() => expect(logged.at(-1)).toBe("backends changed"), PATIENCE_MS);
    expect(plans.map(addresses)).toEqual([["10.0.0.2:80"]]);
  });

  it("is not tried again after the end", async () => {
    await failing();
    await server.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("members that their pool cannot have", () => {
  const good = "- { address: 10.0.0.1:80 }";
  const other = "- { address: 10.0.0.9:80 }";
  const wrong = {
    "a label that its policy does not take": "- { address: 10.0.0.2:80, labels: { priority: x } }",
    "more than fit": Array.from({ length: 5000 }, (_, i) => `- { address: 10.0.0.2:${i + 1} }`).join("\n"),
  };
  const pools = (a: string, b: string) => `{
    web: { policy: [priority, lard], discover: [{ file: "${a}" }] }, other: { discover: [{ file: "${b}" }] } }`;
  const members = (plan: WorkerPlan | undefined) =>
    plan?.pools.map(({ backends }) => backends.map(({ name }) => name));

  it.each(Object.entries(wrong))("stay out, and other pools follow theirs: %s", async (_, text) => {
    const [a, b] = [fileWith(good, "a.yaml"), fileWith(good, "b.yaml")];
    await start(pools(a, b));
    writeFileSync(a, text);
    await vi.advanceTimersByTimeAsync(2200);
    await vi.waitFor(() => expect(logged.at(-1)).toMatch(/^discovery failed/), PATIENCE_MS);
    writeFileSync(b, other);
    await vi.advanceTimersByTimeAsync(2200);
    await vi.waitFor(() => expect(logged.at(-1)).toBe("backends changed"), PATIENCE_MS);
    await server.reload(await configWith(pools(a, b)));
    expect(plans.map(members)).toEqual([
      [["10.0.0.1:80"], ["10.0.0.9:80"]],
      [["10.0.0.1:80"], ["10.0.0.9:80"]],
    ]);
  });

  it.each(Object.entries(wrong))("keep nothing from starting: %s", async (_, text) => {
    fakes.start = async (plan) => void plans.push(plan as WorkerPlan);
    await start(pools(fileWith(text, "a.yaml"), fileWith(good, "b.yaml")));
    expect(plans.map(members)).toEqual([[[], ["10.0.0.1:80"]]]);
    expect(logged).toContainEqual(expect.stringMatching(/^discovery failed/));
  });
});

describe("a reload that is refused", () => {
  it("gives back what it had taken for its pools", async () => {
    await start(ONE);
    fakes.follow = async (plan) => {
      if (plans.push(plan as WorkerPlan) === 1) throw new Error("no");
    };
    const release = vi.spyOn(LoadTable.prototype, "release");
    const both = ONE.replace(/}$/, ", new: { backends: [{ address: 10.0.0.3:80 }] } }");
    await expect(server.reload(await configWith(both))).rejects.toThrow("no");
    expect(release.mock.calls).toEqual([["new its retries"]]);
    expect(plans.map(({ pools }) => pools.length)).toEqual([2, 1]);
  });
});

describe("what the instances of a policy share", () => {
  const withPolicy = (policy: string) => ONE.replace("{ b", `{ policy: ${policy}, b`);
  const shared = (plan: WorkerPlan | undefined) =>
    plan?.pools[0]?.specs.find(({ name }) => name === "lard")?.shared;

  it("is what it was after a refused reload that had none, and after one that has it too", async () => {
    fakes.start = async (plan) => void plans.push(plan as WorkerPlan);
    await start(withPolicy("lard"));
    fakes.follow = async (plan) => {
      if (plans.push(plan as WorkerPlan) === 2) throw new Error("no");
    };
    await expect(server.reload(await configWith(withPolicy("round-robin")))).rejects.toThrow("no");
    await server.reload(await configWith(withPolicy("lard")));
    const [first, refused, back, next] = plans.map(shared);
    expect(first).toBeInstanceOf(SharedArrayBuffer);
    expect(refused).toBeUndefined();
    expect(back).toBe(first);
    expect(next).toBe(first);
  });
});

describe("a reload during which all ends", () => {
  it.each(["follows", "refuses"])("goes no further once the worker %s", async (answer) => {
    await start(ONE);
    const asked = new Promise<() => void>((resolve) => {
      fakes.follow = () =>
        new Promise((fulfil, reject) =>
          resolve(answer === "follows" ? fulfil : () => reject(new Error("no"))),
        );
    });
    const reload = server.reload(await configWith(CHECKED)).catch((error) => error.message);
    const answerNow = await asked;
    await server.close();
    answerNow();
    expect(await reload).toBe("a worker could not take over the new configuration: the process is ending");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("changes nothing if it had not begun to", async () => {
    await start(ONE);
    const reload = server.reload(await configWith(CHECKED)).catch((error) => error.message);
    await server.close();
    expect(await reload).toMatch("the process is ending");
    expect([plans, vi.getTimerCount()]).toEqual([[], 0]);
  });
});
