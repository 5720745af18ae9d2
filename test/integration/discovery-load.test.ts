import { writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { members, poolOf, startDns } from "../support/discovered.js";
import { forEachEngine } from "../support/engines.js";
import { expectEngineWorked } from "../support/fixtures.js";
import { OriginProcess } from "../support/origin-process.js";
import { startProxy } from "../support/proxy.js";
import { SteadyLoad } from "../support/steady-load.js";
import { delay, eventually } from "../support/wait.js";
import { fileWith } from "../unit/config-support.js";

const CLIENTS = 16;

forEachEngine("backends that come and go under load", (engine) => {
  const names = ["first", "second", "third"];

  it.each(["dns", "srv", "file"] as const)(
    "fail not one request, and end no connection (%s)",
    async (kind) => {
      const first = await OriginProcess.start("first");
      // The addresses of a name in DNS have one port.
      const port = kind === "dns" ? first.port : 0;
      const second = await OriginProcess.start("second", "127.0.0.2", port);
      const origins = [first, second, await OriginProcess.start("third", "127.0.0.3", port)];
      const dns = await startDns();
      for (const { name, host } of origins) dns.hosts.set(`${name}.test`, { addresses: [host], ttl: 0 });
      const file = fileWith("[]", "backends.yaml");
      const appoint = (...indexes: number[]) => {
        const chosen = indexes.map((index) => origins[index]!);
        dns.hosts.set("app.test", { addresses: chosen.map(({ host }) => host), ttl: 0 });
        const records = chosen.map(({ name, port }) => ({
          priority: 1,
          weight: 1,
          port,
          target: `${name}.test`,
        }));
        dns.services.set("_http._tcp.app.test", records);
        writeFileSync(file, JSON.stringify(chosen.map(({ address }) => ({ address }))));
      };
      appoint(0, 1);
      const sources = {
        dns: { dns: `app.test:${first.port}` },
        srv: { srv: "_http._tcp.app.test" },
        file: { file },
      };
      const config = { workers: 2, resolver: dns.address, ...poolOf(sources[kind]) };
      const proxy = await startProxy({ engine, config });
      const load = new SteadyLoad(proxy.port, CLIENTS);
      const changes = () => proxy.logs.filter(({ msg }) => msg === "backends changed").length;
      // A busy machine does not look at each of them.
      for (let round = 0; round < 9 || (changes() <= 5 && round < 200); round++) {
        await delay(250);
        appoint((round + 1) % 3, (round + 2) % 3);
      }
      expect(changes()).toBeGreaterThan(5);
      appoint(2);
      await eventually("one backend left", async () => (await members(proxy)).length === 1);
      const servedBy = (outcomes: typeof load.outcomes) =>
        [...new Set(outcomes.map(({ origin }) => origin))].sort();
      // Links return when their worker has looked, a few times a second.
      await eventually("requests to it alone", () => {
        const last = load.outcomes.slice(-3 * CLIENTS);
        return last.length === 3 * CLIENTS && servedBy(last).join() === "third";
      });
      await delay(500);
      const before = load.outcomes.length;
      await eventually("more requests", () => load.outcomes.length > before + 4 * CLIENTS);
      await load.stop();

      expect(load.failures("refused", "unanswered", "begun", "wrong")).toEqual([]);
      expect(load.connections).toBe(CLIENTS);
      expect(servedBy(load.outcomes)).toEqual([...names].sort());
      expect(servedBy(load.outcomes.slice(before + CLIENTS))).toEqual(["third"]);
      await expectEngineWorked(proxy, engine);
      await proxy.stop();
    },
  );
});
