/** Where the load of backends comes from: real agents, responses, and HAProxy's protocol in both directions. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { AgentProcess } from "../support/agent-process.js";
import { request } from "../support/build.js";
import { NodeOrigin } from "../support/node-origin.js";
import { type RunningProxy, startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";

const SILENT = "load of a backend is not known any more";
const BACK = "load of a backend is known again";

interface ShownBackend {
  address: string;
  health: string;
  weightPercent: number;
  load: Record<string, number>;
}

async function backendsOf(proxy: RunningProxy): Promise<ShownBackend[]> {
  const { pools } = (await proxy.status()) as { pools: { backends: ShownBackend[] }[] };
  return pools[0]!.backends;
}

/** An origin of the running test. */
async function origin(...handler: ConstructorParameters<typeof NodeOrigin>): Promise<NodeOrigin> {
  const started = await new NodeOrigin(...handler).start();
  onTestFinished(() => started.stop());
  return started;
}

/** A proxy with one pool. */
const proxyWith = (pool: object, more: object = {}): Promise<RunningProxy> =>
  startProxy({ config: { routes: [{ match: {}, pool: "main" }], pools: { main: pool }, ...more } });

describe("an agent beside a backend", () => {
  it("answers without any configuration with what the kernel says", async () => {
    const agent = await AgentProcess.start();
    const ask = async (path: string, method = "GET") =>
      fetch(`http://127.0.0.1:${agent.port}${path}`, { method });
    const report = await eventually("a whole report", async () => {
      const answer = (await (await ask("/")).json()) as Record<string, unknown>;
      return "cpu_utilization" in answer ? answer : undefined;
    });
    expect(report).toEqual({
      cpu_utilization: expect.any(Number),
      mem_utilization: expect.any(Number),
      named_metrics: {
        io: expect.any(Number),
        tcp_connections: expect.any(Number),
        active_sockets: expect.any(Number),
        queue: expect.any(Number),
      },
    });
    expect(report.mem_utilization).toBeGreaterThan(0);
    expect(report.mem_utilization).toBeLessThan(1);
    expect([(await ask("/x")).status, (await ask("/", "POST")).status]).toEqual([404, 405]);
    expect(await agent.stop()).toBe(0);
  });

  it("counts a connection that nobody reads from", async () => {
    const agent = await AgentProcess.start();
    const named = async () => {
      const answer = await fetch(`http://127.0.0.1:${agent.port}/`);
      return ((await answer.json()) as { named_metrics: Record<string, number> }).named_metrics;
    };
    const server = net.createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
    await eventually("listening", () => server.listening);
    const client = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
    onTestFinished(() => void [client.destroy(), server.close()]);
    client.write("not read");
    await eventually("an active socket", async () => (await named()).active_sockets! > 0);
    expect((await named()).tcp_connections).toBeGreaterThanOrEqual(2);
  });

  it("is asked by the proxy, and what it said is forgotten when it is gone", async () => {
    const backend = await origin((_, response) => response.end("fine"));
    const agent = await AgentProcess.start();
    const load = { source: "agent", port: agent.port, interval: "50ms", expires: "3s" };
    const proxy = await proxyWith({ backends: [{ address: backend.address }], load });
    const shown = async () => (await backendsOf(proxy))[0]!.load;
    const figures = ["activeSockets", "cpu", "io", "memory", "queue", "tcpConnections"];
    await eventually("all figures", async () => Object.keys(await shown()).length === figures.length);
    expect(Object.keys(await shown()).sort()).toEqual(figures);
    const series = async (figure: string) =>
      (await proxy.metrics()).sum("longsplice_backend_load", {
        pool: "main",
        backend: backend.address,
        figure,
      });
    expect(await series("memory")).toBeGreaterThan(0);
    expect(proxy.logs.filter(({ msg }) => msg === SILENT)).toEqual([]);

    const { port } = agent;
    await agent.stop();
    await eventually("no figures", async () => Object.keys(await shown()).length === 0);
    expect(await series("memory")).toBe(0);
    // Requests go on: the backend is treated by what the proxy knows of it itself.
    expect((await proxy.exchange(request("GET / HTTP/1.1"))).status).toBe(200);
    await delay(1_500);
    const silent = proxy.logs.filter(({ msg }) => msg === SILENT);
    expect(silent).toEqual([
      expect.objectContaining({
        level: "warn",
        pool: "main",
        address: backend.address,
        source: "agent",
        reason: expect.stringContaining("ECONNREFUSED"),
      }),
    ]);

    await AgentProcess.start(port);
    await eventually("figures again", async () => Object.keys(await shown()).length > 0);
    await proxy.logged(BACK);
    await proxy.stop();
  });
});

/** Sends each request to the backend with the least processor time in use; those that say nothing come last. */
const IDLEST = `export default {
  name: "idlest", apiVersion: 1, choosesBy: "load", needs: { headers: [] },
  options: { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } },
  create: () => ({
    select(_, candidates) {
      const load = (i) => { const cpu = candidates.reported(i, "cpu"); return cpu < 0 ? 1e9 : cpu; };
      let best = 0;
      for (let i = 1; i < candidates.length; i++) if (load(i) < load(best)) best = i;
      candidates.keep(best);
    },
  }),
};`;

describe("a load in responses", () => {
  it("is read, kept from clients, chosen by in all workers, and forgotten", async () => {
    const folder = mkdtempSync(join(tmpdir(), "longsplice-plugins-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    writeFileSync(join(folder, "idlest.mjs"), IDLEST);
    const cpu = { first: 0.9, second: 0.2 };
    const origins = await Promise.all(
      (["first", "second"] as const).map((name) =>
        origin((_, response) => {
          response.setHeader(
            "Endpoint-Load-Metrics",
            `TEXT cpu_utilization=${cpu[name]}, named_metrics.queue=3`,
          );
          response.end(name);
        }),
      ),
    );
    const proxy = await proxyWith(
      {
        policy: "idlest",
        backends: origins.map(({ address }) => ({ address })),
        load: { source: "header", expires: "4s" },
      },
      { workers: 2, policies: join(folder, "idlest.mjs") },
    );
    const { routes } = (await proxy.status()) as { routes: { forward: string }[] };
    expect(routes.map(({ forward }) => forward)).toEqual(["exchange"]);
    const ask = async () => {
      const answer = await proxy.exchange(request("GET / HTTP/1.1"));
      expect(answer.fields.get("endpoint-load-metrics")).toBeUndefined();
      return answer.body.toString();
    };
    const asked = async (times: number) => {
      const names = [];
      for (let i = 0; i < times; i++) names.push(await ask());
      return names;
    };
    // Nothing is known of either, then of the first alone, which is better than nothing.
    expect(new Set(await asked(10))).toEqual(new Set(["first"]));
    expect((await backendsOf(proxy)).map(({ load }) => load)).toEqual([{ cpu: 0.9, queue: 3 }, {}]);
    // Once it is too old, the first choice is free again; the second gets its turn when the first one is away.
    await eventually(
      "the figures are gone",
      async () => (await backendsOf(proxy))[0]!.load.cpu === undefined,
    );
    const drain = (action: string) =>
      fetch(`${proxy.adminUrl}/api/v1/backends/main/${origins[0]!.address}/${action}`, { method: "POST" });
    await drain("drain");
    expect(await ask()).toBe("second");
    await drain("enable");
    await eventually("the report of the second", async () => (await backendsOf(proxy))[1]!.load.cpu === 0.2);
    expect(new Set(await asked(10))).toEqual(new Set(["second"]));
    cpu.second = 0.95;
    await asked(2);
    expect((await backendsOf(proxy))[1]!.load).toEqual({ cpu: 0.95, queue: 3 });
    await proxy.stop();
  });
});

describe("HAProxy's agent-check protocol", () => {
  it("sets weight and state of a backend, until the agent is gone", async () => {
    let line = "up 50%\n";
    const agent = net.createServer((socket) => socket.on("error", () => {}).end(line)).listen(0, "127.0.0.1");
    await eventually("listening", () => agent.listening);
    const backend = await origin((_, response) => response.end("fine"));
    const { port } = agent.address() as net.AddressInfo;
    const load = { source: "agent-check", port, interval: "30ms", expires: "3s" };
    const proxy = await proxyWith({ backends: [{ address: backend.address, weight: 4 }], load });
    const status = async () => (await proxy.exchange(request("GET / HTTP/1.1"))).status;
    const becomes = async (said: string, health: string, percent: number) => {
      line = said;
      await eventually(`${said.trim()}: ${health}, ${percent}%`, async () => {
        const [shown] = await backendsOf(proxy);
        return shown!.health === health && shown!.weightPercent === percent;
      });
    };
    await becomes("up 50%\n", "unknown", 50);
    expect(await status()).toBe(200);
    await becomes("drain\n", "draining", 50);
    expect(await status()).toBe(503);
    await becomes("ready 25%\n", "unknown", 25);
    await becomes("down # out of disk\n", "unhealthy", 25);
    expect(await status()).toBe(503);
    const change = () => proxy.logs.findLast(({ msg }) => msg === "backend health changed");
    await expect.poll(change).toMatchObject({ to: "unhealthy", reason: "agent: down: out of disk" });
    // Garbage says nothing: what held goes on to hold until it is too old.
    await becomes("<html>\n", "unknown", 100);
    expect(await status()).toBe(200);
    await expect
      .poll(() => proxy.logs.findLast(({ msg }) => msg === SILENT)?.reason)
      .toMatch(/not a word of the agent-check protocol/);
    await becomes("up 75%\n", "unknown", 75);
    agent.close();
    await becomes("", "unknown", 100);
    await proxy.stop();
  });

  it("is spoken by our agent as HAProxy wants it", async () => {
    const agent = await AgentProcess.start();
    const folder = mkdtempSync(join(tmpdir(), "longsplice-haproxy-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const backend = await origin((_, response) => response.end("fine"));
    const socket = join(folder, "stats.sock");
    const check = `agent-check agent-port ${agent.agentCheckPort} agent-inter 100ms`;
    writeFileSync(
      join(folder, "haproxy.cfg"),
      `global
    stats socket ${socket} mode 600 level admin
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
backend judged
    server origin ${backend.address} weight 100 ${check}
`,
    );
    const judge = spawn("/usr/sbin/haproxy", ["-db", "-f", join(folder, "haproxy.cfg")], { stdio: "ignore" });
    onTestFinished(() => void judge.kill("SIGKILL"));
    const row = async () => {
      const answer = await new Promise<string>((resolve) => {
        let text = "";
        net
          .connect(socket)
          .on("data", (bytes) => (text += bytes))
          .on("error", () => resolve(""))
          .on("close", () => resolve(text))
          .end("show stat\n");
      });
      const [names = [], ...rows] = answer.split("\n").map((each) => each.replace("# ", "").split(","));
      const values = rows.find(([pool, server]) => pool === "judged" && server === "origin");
      return Object.fromEntries(names.map((name, i) => [name, values?.[i] ?? ""]));
    };
    const judged = await eventually("a passed agent check", async () => {
      const shown = await row();
      return shown.agent_status === "L7OK" ? shown : undefined;
    });
    expect(Number(judged.weight)).toBeGreaterThanOrEqual(1);
    expect(Number(judged.weight)).toBeLessThanOrEqual(100);
    expect(judged.status).toMatch(/UP|no check/);
    // The agent's word, and not the configuration's: with all processors busy little weight is left.
    const busy = Array.from({ length: 8 }, () => spawn(process.execPath, ["-e", "for (;;);"]));
    onTestFinished(() => void busy.map((each) => each.kill("SIGKILL")));
    await eventually("a small weight", async () => Number((await row()).weight) <= 20, 45_000);
  });
});
