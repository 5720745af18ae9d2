import { expect, test } from "vitest";
import { loadConfig, printConfig } from "../../src/config/index.js";
import { deps, fileWith, lines, load, problemsOf } from "./config-support.js";

const more = (text: string) => lines({ more: text });
const discover = (source: string) => lines({ pools: `pools: { web: { discover: [${source}] } }` });

const problems: [what: string, text: string, problem: string][] = [
  [
    "a source of backends that is none",
    discover("{ interval: 5s }"),
    "longsplice.yaml:3:28: pools.web.discover[0]: expected one of dns, srv and file [LS_CONFIG_CONFLICT]",
  ],
  [
    "a source of backends that is two",
    discover("{ dns: app:80, file: app.yaml }"),
    "longsplice.yaml:3:28: pools.web.discover[0]: expected one of dns, srv and file [LS_CONFIG_CONFLICT]",
  ],
  [
    "an address where a name is looked up",
    discover("{ dns: 10.0.0.1:80 }"),
    'longsplice.yaml:3:35: pools.web.discover[0].dns: "10.0.0.1:80" is not a name with a port, expected name:port; an address that does not change belongs to backends [LS_CONFIG_ADDRESS]',
  ],
  [
    "SRV records with a port",
    discover("{ srv: _http._tcp.app:80 }"),
    'longsplice.yaml:3:35: pools.web.discover[0].srv: "_http._tcp.app:80" is not the name of SRV records, expected for example _http._tcp.example.com; the port is in the records [LS_CONFIG_VALUE]',
  ],
  [
    "a DNS server by name",
    more("resolver: dns.test"),
    'longsplice.yaml:4:11: resolver[0]: "dns.test" is not the address of a DNS server, expected an IP address, with or without a port [LS_CONFIG_ADDRESS]',
  ],
];

test.each(problems)("%s is refused", async (_, text, problem) => {
  expect(await problemsOf(text)).toEqual([problem]);
});

test("sources are completed, and print as what loads to the same", async () => {
  const entries = [
    "{ dns: APP.test:80, weight: 2, labels: { zone: a } }",
    "{ srv: _HTTP._tcp.app.test, interval: 1m }",
    "{ file: list.yaml }",
  ];
  const file = fileWith(
    lines({
      pools: `pools: { web: { discover: [${entries.join(", ")}] } }`,
      more: "resolver: [10.0.0.1, '[fd00::1]:5353']",
    }),
  );
  const { config } = await loadConfig(file, deps);
  expect(config.pools.get("web")?.discover).toEqual([
    { dns: "app.test:80", interval: 2000, weight: 2, labels: { zone: "a" } },
    { srv: "_http._tcp.app.test", interval: 60_000, weight: 1, labels: {} },
    { file: file.replace("longsplice.yaml", "list.yaml"), interval: 2000, weight: 1, labels: {} },
  ]);
  expect(config.resolver).toEqual(["10.0.0.1:53", "[fd00::1]:5353"]);
  expect((await load(printConfig(config))).config).toEqual(config);
});
