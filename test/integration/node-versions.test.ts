/**
 * The addon is built once and must load in every supported Node.js major: it uses Node-API, which is stable, and the
 * llhttp and libuv inside of the node binary, about which we make assumptions that only a run can confirm.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import versions from "../../scripts/node-versions.json" with { type: "json" };

const root = fileURLToPath(new URL("../..", import.meta.url));
const bin = join(root, "bin/longsplice.js");
const major = (version: string) => version.split(".")[0];

/** A node of that major: the one that runs this test if it fits, so that one download less is needed. */
function nodeBinary(version: string): string {
  if (major(version) === major(process.versions.node)) return process.execPath;
  return execFileSync(join(root, "scripts/fetch-node"), [version], { encoding: "utf8" }).trim();
}

/** Waits for the proxy's ready line; its first listener as host:port. */
async function listenerOf(proxy: ChildProcess): Promise<string> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: proxy.stdout! })) {
    const { msg, listeners } = JSON.parse(line) as { msg?: string; listeners?: string[] };
    if (msg === "ready" && listeners?.[0] !== undefined) return listeners[0];
    lines.push(line);
  }
  throw new Error(`the proxy ended before it was ready\n${lines.join("\n")}`);
}

describe.each(versions)("Node.js %s", (version) => {
  let node: string;
  let origin: Server;
  let folder: string;

  beforeAll(async () => {
    node = nodeBinary(version);
    folder = mkdtempSync(join(tmpdir(), "longsplice-node-"));
    origin = createServer((request, response) => response.end(`served ${request.url}`));
    await once(origin.listen(0, "127.0.0.1"), "listening");
  }, 300_000);

  afterAll(() => {
    origin.close();
    rmSync(folder, { recursive: true });
  });

  test("doctor finds the addon usable", () => {
    const report = JSON.parse(execFileSync(node, [bin, "doctor", "--json"], { encoding: "utf8" }));
    expect(report).toMatchObject({ addon: { ok: true } });
    expect(major(String(report.node).replace(/^v/, ""))).toBe(major(version));
  });

  test("proxies a request that a TypeScript policy of the user has routed, and drains", async () => {
    const { port } = origin.address() as AddressInfo;
    const config = join(folder, "longsplice.yaml");
    writeFileSync(
      config,
      JSON.stringify({
        listeners: [{ address: "127.0.0.1:0" }],
        routes: [{ match: {}, pool: "tenants" }],
        pools: {
          tenants: {
            policy: { name: "shard-by-tenant", options: { fallback: "shared" } },
            backends: [
              { address: `127.0.0.1:${port}`, labels: { shard: "acme" } },
              { address: "127.0.0.1:1", labels: { shard: "shared" } },
            ],
          },
        },
        policies: join(root, "examples/policies/shard-by-tenant.ts"),
        workers: 1,
      }),
    );
    const proxy = spawn(node, [bin, "run", "-c", config], { stdio: ["ignore", "pipe", "inherit"] });
    const exited = once(proxy, "exit");
    onTestFinished(() => void proxy.kill("SIGKILL"));

    const listener = await listenerOf(proxy);
    const response = await fetch(`http://${listener}/a?b`, { headers: { "x-tenant": "acme" } });
    expect(await response.text()).toBe("served /a?b");
    expect(response.status).toBe(200);

    proxy.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  });
});
