/** What the access log says of the request that opened a link: the link keeps hardly anything of it. */
import { once } from "node:events";
import { expect, it } from "vitest";
import { packetProgram } from "../support/packet-programs.js";
import { PacketProxy } from "../support/packet-proxy.js";
import { Topology, withPort } from "../support/packet-topology.js";
import { eventually } from "../support/wait.js";

const TARGET = "/5/k?q=1";
/** Enough for the head to take more than one read. */
const COOKIE = "c".repeat(6_000);

/** The line of a request that went through a link. */
async function logged(accessLog: "json" | "combined"): Promise<string> {
  const topology = await Topology.make("local", 4);
  const [backend = ""] = topology.backends;
  const server = topology.backend.start(packetProgram("churn_server"), [backend, "9000"]);
  await once(server.stdout!, "data");
  const proxy = await PacketProxy.start(topology.proxy, {
    listen: topology.listen,
    backends: [withPort(backend, 9000)],
    config: { accessLog },
  });
  const fields = [`cookie: ${COOKIE}`, "Host: Some.Example:80", "Referer: http://from.example/"];
  const args = [...fields, "user-agent: an agent"].flatMap((field) => ["-H", field]);
  // Links begin at the second request of a connection.
  const urls = ["/1/k", TARGET].map((target) => `http://${withPort(topology.target, 8080)}${target}`);
  topology.client.run("curl", ["-sS", ...args, ...urls]);
  expect((await proxy.quietCounters()).links()).toBe(1);
  const line = await eventually("the line", async () => proxy.lines.find((text) => text.includes(TARGET)));
  await proxy.stop();
  return line;
}

it("has all of its fields as JSON", async () => {
  expect(JSON.parse(await logged("json"))).toMatchObject({
    method: "GET",
    target: TARGET,
    host: "some.example",
    protocol: "HTTP/1.1",
    status: 200,
    engine: "packet",
    forward: "connection",
  });
});

it("has referer and user agent in the combined format", async () => {
  expect(await logged("combined")).toMatch(
    /"GET \/5\/k\?q=1 HTTP\/1\.1" 200 \d+ "http:\/\/from\.example\/" "an agent"$/,
  );
});
