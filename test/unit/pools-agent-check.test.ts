import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { agentCheckLine } from "../../src/agent/agent-check-line.js";
import {
  adviceOf,
  askAgentCheck,
  type BackendOrders,
  NO_ORDERS,
  parseAgentCheck,
  steady,
} from "../../src/pools/agent-check.js";

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

describe("a line of the agent-check protocol", () => {
  it.each<[string, Partial<BackendOrders> | undefined]>([
    ["75%", { weight: 0.75 }],
    ["0%", { weight: 0 }],
    ["150%", { weight: 1 }],
    ["999999999%", { weight: 1 }],
    ["up 75%", { weight: 0.75 }],
    ["READY, Up\t50% maxconn:30", { weight: 0.5, maxConnections: 30 }],
    ["down", { down: "down" }],
    ["fail", { down: "fail" }],
    ["stopped # for the night, # 2 hours", { down: "stopped: for the night, # 2 hours" }],
    ["down#", { down: "down" }],
    ["drain", { drained: true }],
    ["maint", { drained: true }],
    ["drain 10%", { drained: true, weight: 0.1 }],
    ["down up", {}],
    ["75% of all", { weight: 0.75 }],
    ["maxconn:0", { maxConnections: 0 }],
    ["75", undefined],
    ["-5%", undefined],
    ["7.5%", undefined],
    ["maxconn: 3", undefined],
    ["maxconn:99999999999", undefined],
    ["hello world", undefined],
    ["# up", undefined],
    ["HTTP/1.1 400 Bad Request", undefined],
    ["", undefined],
  ])("%s", (line, change) => {
    expect(parseAgentCheck(line, NO_ORDERS)).toEqual(change && { ...NO_ORDERS, ...change });
  });

  it("leaves what it does not say as it was", () => {
    const before = { weight: 0.5, drained: true, down: "down", maxConnections: 3 };
    expect(parseAgentCheck("up", before)).toEqual({ ...before, down: null });
    expect(parseAgentCheck("ready", before)).toEqual({ ...before, drained: false });
    expect(parseAgentCheck("100%", before)).toEqual({ ...before, weight: 1 });
  });

  it("may be anything", () => {
    fc.assert(
      fc.property(fc.string(), (line) => {
        const { weight, maxConnections } = parseAgentCheck(line, NO_ORDERS) ?? NO_ORDERS;
        expect(weight).toBeGreaterThanOrEqual(0);
        expect(weight).toBeLessThanOrEqual(1);
        expect(maxConnections).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it.each([
    [{}, "up 100%\n"],
    [{ cpu: 0.25, io: 0.1, memory: 0.99 }, "up 75%\n"],
    [{ cpu: 0.1, io: 0.6 }, "up 40%\n"],
    [{ cpu: 1.2 }, "up 1%\n"],
  ])("of our own agent: %j is %j", (figures, line) => {
    expect(agentCheckLine(figures)).toBe(line);
    expect(parseAgentCheck(line, NO_ORDERS)).toBeDefined();
  });
});

describe("orders", () => {
  const orders = (change: Partial<BackendOrders>): BackendOrders => ({ ...NO_ORDERS, ...change });

  it("change a weight only by something that is worth it", () => {
    let before = NO_ORDERS;
    const seen = [0.5, 0.53, 0.48, 0.56, 0.99, 1, 0.97, 0.02, 0].map((weight) => {
      before = steady(orders({ weight }), before);
      return before.weight;
    });
    expect(seen).toEqual([0.5, 0.5, 0.5, 0.56, 0.99, 1, 1, 0.02, 0]);
  });

  it.each([
    [{}, "up", "agent: up"],
    [{ down: "down: disk" }, "down", "agent: down: disk"],
    [{ down: "down", drained: true }, "drain", "agent: drain"],
  ])("%j are the state %s", (change, state, reason) => {
    expect(adviceOf(orders(change), false)).toEqual({ weight: 1, state, reason });
  });

  it("limit requests only in pools that count them", () => {
    expect(adviceOf(orders({ maxConnections: 3 }), true)).toMatchObject({ maxConnections: 3 });
    expect(adviceOf(orders({ maxConnections: 3 }), false)).not.toHaveProperty("maxConnections");
  });
});

describe("asking an agent", () => {
  async function agent(serve: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      serve(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    cleanups.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    return (server.address() as AddressInfo).port;
  }
  const ask = (port: number, ms = 2000) => askAgentCheck("127.0.0.1", port, AbortSignal.timeout(ms));

  it.each([
    ["up 75%\n", "up 75%"],
    ["\r\n up 75%\r\ndown\n", "up 75%"],
    ["up 75%", "up 75%"],
  ])("takes the first line of %j", async (text, line) => {
    expect(await ask(await agent((socket) => socket.end(text)))).toBe(line);
  });

  it("does not wait for the end of the connection", async () => {
    expect(await ask(await agent((socket) => socket.write("drain\n")))).toBe("drain");
  });

  it.each([
    ["ends", `up 75% # ${"x".repeat(5000)}\n`],
    ["does not end", `up 75% # ${"x".repeat(5000)}`],
    ["begins late", `${" ".repeat(1020)}up 75%\n`],
  ])("refuses a line that is too long and %s", async (_, text) => {
    await expect(ask(await agent((socket) => socket.write(text)))).rejects.toThrow("at most 1024 bytes");
  });

  it("takes a line in pieces", async () => {
    const port = await agent((socket) => {
      socket.write("up 7");
      setTimeout(() => socket.end("5%\n"), 20);
    });
    expect(await ask(port)).toBe("up 75%");
  });

  it("fails when there is no line, no agent, or no answer in time", async () => {
    await expect(ask(await agent((socket) => socket.end()))).rejects.toThrow("sent nothing");
    await expect(ask(await agent((socket) => socket.resetAndDestroy()))).rejects.toThrow();
    await expect(ask(await agent(() => {}), 50)).rejects.toThrow(/abort/i);
    const port = await agent(() => {});
    for (const cleanup of cleanups.splice(0)) await cleanup();
    await expect(ask(port)).rejects.toThrow("ECONNREFUSED");
  });
});
