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

forEachEngine("backends that come and go under load", (engine) => {
  const names = ["first", "second", "third"];

  it.each(["srv", "file"])("fail not one request (%s)", async (kind) => {
    const origins = await Promise.all(names.map((name) => OriginProcess.start(name)));
    const dns = await startDns();
    dns.hosts.set("host.test", { addresses: ["127.0.0.1"], ttl: 0 });
    const file = fileWith("[]", "backends.yaml");
    const appoint = (...chosen: number[]) => {
      const addresses = chosen.map((index) => origins[index]!.address);
      const ports = addresses.map((address) => Number(address.split(":")[1]));
      const record = (port: number) => ({ priority: 1, weight: 1, port, target: "host.test" });
      dns.services.set("_http._tcp.app.test", ports.map(record));
      writeFileSync(file, JSON.stringify(addresses.map((address) => ({ address }))));
    };
    appoint(0, 1);
    const source = kind === "srv" ? { srv: "_http._tcp.app.test" } : { file };
    const config = { workers: 2, resolver: dns.address, ...poolOf(source) };
    const proxy = await startProxy({ engine, config });
    const load = new SteadyLoad(proxy.port, 16);
    for (let round = 0; round < 9; round++) {
      await delay(250);
      appoint((round + 1) % 3, (round + 2) % 3);
    }
    await eventually(
      "many changes",
      () => proxy.logs.filter(({ msg }) => msg === "backends changed").length > 5,
    );
    appoint(2);
    await eventually("one backend left", async () => (await members(proxy)).length === 1);
    await delay(500);
    const before = load.outcomes.length;
    await delay(500);
    await load.stop();

    const servedBy = (outcomes: typeof load.outcomes) =>
      [...new Set(outcomes.map(({ origin }) => origin))].sort();
    expect(load.failures("refused", "unanswered", "begun", "wrong")).toEqual([]);
    expect(servedBy(load.outcomes)).toEqual([...names].sort());
    expect(servedBy(load.outcomes.slice(before + 16))).toEqual(["third"]);
    await expectEngineWorked(proxy, engine);
    await proxy.stop();
  });
});
