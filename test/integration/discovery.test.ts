import http from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { members, poolOf, startDns } from "../support/discovered.js";
import { startProxy } from "../support/proxy.js";
import { delay, eventually } from "../support/wait.js";

/** Responses that are owed. */
const held: http.ServerResponse[] = [];

/** A server at one of the addresses of this host, which all have the same port. */
async function serverAt(host: string, port: number): Promise<http.Server> {
  const server = http.createServer({ keepAliveTimeout: 60_000 }, ({ url }, response) => {
    if (url === "/slow") held.push(response);
    else response.end(host);
  });
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return server;
}

const connectionsOf = (server: http.Server) =>
  new Promise<number>((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

it("a name in DNS is a backend at each of its addresses, asked again after its TTL; failures change nothing", async () => {
  const first = await serverAt("127.0.0.1", 0);
  const { port } = first.address() as AddressInfo;
  const second = await serverAt("127.0.0.2", port);
  const dns = await startDns();
  dns.hosts.set("app.test", { addresses: ["127.0.0.1", "127.0.0.2", "::1"], ttl: 0 });
  const config = { resolver: [dns.address], ...poolOf({ dns: `app.test:${port}` }) };
  // A link would keep its connection to a backend that is gone until the next request.
  const proxy = await startProxy({ engine: "copy", config });
  const served = async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => await (await fetch(proxy.url)).text()),
    );
    return [...new Set(answers)].sort();
  };
  expect(await members(proxy)).toEqual([`127.0.0.1:${port}`, `127.0.0.2:${port}`]);
  expect(await served()).toEqual(["127.0.0.1", "127.0.0.2"]);
  expect(await connectionsOf(second)).toBeGreaterThan(0);

  dns.hosts.set("app.test", { addresses: ["127.0.0.1"], ttl: 0 });
  await eventually("the second one gone", async () => (await members(proxy)).length === 1);
  await eventually("its idle connections closed", async () => (await connectionsOf(second)) === 0);
  expect(await connectionsOf(first)).toBeGreaterThan(0);
  expect(await served()).toEqual(["127.0.0.1"]);

  // A request under way ends undisturbed, and its connection is not kept for others.
  dns.hosts.set("app.test", { addresses: ["127.0.0.2"], ttl: 0 });
  await eventually("the other one alone", async () => (await members(proxy))[0] === `127.0.0.2:${port}`);
  const slow = fetch(`${proxy.url}/slow`);
  await eventually("the slow request", () => held.length === 1);
  dns.hosts.set("app.test", { addresses: ["127.0.0.1"], ttl: 0 });
  await eventually("the first one again", async () => (await members(proxy))[0] === `127.0.0.1:${port}`);
  held.pop()?.end("slow");
  expect(await (await slow).text()).toBe("slow");
  await eventually("its connection closed", async () => (await connectionsOf(second)) === 0);

  dns.broken = true;
  await proxy.logged("discovery failed: the backends that were known last stay");
  expect(await served()).toEqual(["127.0.0.1"]);
  dns.broken = false;
  dns.hosts.delete("app.test");
  await delay(300);
  expect(await served()).toEqual(["127.0.0.1"]);
  const failed = async () => (await proxy.metrics()).sum("longsplice_discovery_total", { result: "failed" });
  await expect.poll(failed).toBeGreaterThan(1);

  dns.hosts.set("app.test", { addresses: ["127.0.0.1", "127.0.0.2"], ttl: 3600 });
  await eventually("the second one back", async () => (await members(proxy)).length === 2);
  expect(await served()).toEqual(["127.0.0.1", "127.0.0.2"]);
  dns.asked = [];
  await delay(500);
  expect(dns.asked).toEqual([]);
  expect(proxy.logs.filter(({ level }) => level === "error")).toEqual([]);
  await proxy.stop();
});

it("starts without a backend while a name is not known, and answers 503 until it is", async () => {
  const origin = await serverAt("127.0.0.1", 0);
  const { port } = origin.address() as AddressInfo;
  const dns = await startDns();
  const proxy = await startProxy({
    config: { resolver: dns.address, ...poolOf({ dns: `app.test:${port}` }) },
  });
  expect((await fetch(proxy.url)).status).toBe(503);
  dns.hosts.set("app.test", { addresses: ["127.0.0.1"], ttl: 0 });
  await eventually("a backend", async () => (await members(proxy)).length === 1);
  expect((await fetch(proxy.url)).status).toBe(200);
  // Another configuration, the same source: its answer is still known.
  dns.broken = true;
  proxy.reload({ resolver: dns.address, ...poolOf({ dns: `app.test:${port}` }), limits: { queue: 5 } });
  await proxy.logged("configuration reloaded");
  expect((await fetch(proxy.url)).status).toBe(200);
  await proxy.stop();
});

it("names that DNS does not have come from the system", async () => {
  const origin = await serverAt("127.0.0.1", 0);
  const { port } = origin.address() as AddressInfo;
  const proxy = await startProxy({ config: poolOf({ dns: `localhost:${port}` }) });
  expect((await fetch(proxy.url)).status).toBe(200);
  await proxy.stop();
});
