/** What the tests of backends that come and go share. */
import { onTestFinished } from "vitest";
import { DnsServer } from "./dns-server.js";
import type { RunningProxy } from "./proxy.js";

/** A DNS server for the running test. */
export async function startDns(): Promise<DnsServer> {
  const dns = await new DnsServer().start();
  onTestFinished(() => dns.stop());
  return dns;
}

/** The addresses of the backends that the proxy serves by. */
export async function members(proxy: RunningProxy): Promise<string[]> {
  const { pools } = (await proxy.status()) as { pools: { backends: { address: string }[] }[] };
  return pools.flatMap(({ backends }) => backends.map(({ address }) => address));
}

/** The keys of a configuration with one pool, which has this source and looks often. */
export const poolOf = (source: object) => ({
  routes: [{ match: {}, pool: "main" }],
  pools: { main: { discover: [{ interval: "100ms", ...source }] } },
});
