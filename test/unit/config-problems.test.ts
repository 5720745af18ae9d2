import { describe, expect, test } from "vitest";
import { builtinPolicies } from "../../policies/index.js";
import { lines, problemsOf } from "./config-support.js";

/** What a route, a match, a pool, a backend with these entries look like, as the line of the file that they are in. */
const route = (entries: string) => lines({ routes: `routes: [{ pool: web, ${entries} }]` });
const match = (entries: string) => lines({ routes: `routes: [{ pool: web, match: { ${entries} } }]` });
const pool = (entries: string) =>
  lines({ pools: `pools: { web: { backends: [{ address: ":9001" }], ${entries} } }` });
const backend = (entries: string) => lines({ pools: `pools: { web: { backends: [{ ${entries} }] } }` });
const more = (text: string) => lines({ more: text });

/** Name, text of the file, and the printed problem without the file's name. */
type Case = readonly [name: string, text: string, printed: string];

const texts: Case[] = [
  [
    "a bracket that is never closed",
    "listeners: [\nroutes: 1\n",
    "2:1: not valid YAML: Flow sequence in block collection must be sufficiently indented and end with a ] [LS_CONFIG_SYNTAX]",
  ],
  [
    "a tab as indentation",
    more("admin:\n\taddress: :9901\n"),
    "5:1: not valid YAML: Tabs are not allowed as indentation [LS_CONFIG_SYNTAX]",
  ],
  [
    "a second document",
    more("---\na: 1\n"),
    "4:1: not valid YAML: Source contains multiple documents; please use YAML.parseAllDocuments() [LS_CONFIG_SYNTAX]",
  ],
  [
    "an unknown tag",
    more("admin: !!foo 1"),
    "4:8: not valid YAML: Unresolved tag: tag:yaml.org,2002:foo [LS_CONFIG_SYNTAX]",
  ],
  ["an alias of nothing", more("admin: *x"), '4:8: "*x" has no anchor before it [LS_CONFIG_SYNTAX]'],
  ["an alias of itself", more("admin: &x { token: *x }"), '4:20: "*x" contains itself [LS_CONFIG_SYNTAX]'],
  [
    "a mapping as key",
    more("? { a: 1 }\n: 2"),
    "4:3: a key is a list, mapping or alias, expected a word [LS_CONFIG_TYPE]",
  ],
  [
    "a key twice",
    more("workers: 1\nworkers: 2"),
    '5:1: the key "workers" is already there above [LS_CONFIG_DUPLICATE_KEY]',
  ],
  [
    "a key with a meaning in JavaScript",
    more("__proto__: {}"),
    '4:1: unknown key "__proto__", it is never a key [LS_CONFIG_UNKNOWN_KEY]',
  ],
];

const keysAndTypes: Case[] = [
  ["a list instead of a mapping", "- a\n- b\n", "1:1: expected a mapping, got a list [LS_CONFIG_TYPE]"],
  [
    "an unknown key at the top",
    more("timeout: {}"),
    '4:1: timeout: unknown key "timeout", did you mean "timeouts"? [LS_CONFIG_UNKNOWN_KEY]',
  ],
  [
    "an unknown key without a near one",
    more("admin: { address: :1, zzz: 1 }"),
    '4:23: admin.zzz: unknown key "zzz", expected one of address, token [LS_CONFIG_UNKNOWN_KEY]',
  ],
  [
    "an unknown key in a match",
    match("hots: a"),
    '2:32: routes[0].match.hots: unknown key "hots", did you mean "host"? [LS_CONFIG_UNKNOWN_KEY]',
  ],
  [
    "a misspelt key that is required",
    lines({ listeners: "listeners: [{ adress: :80 }]" }),
    '1:15: listeners[0].adress: unknown key "adress", did you mean "address"? [LS_CONFIG_UNKNOWN_KEY]',
  ],
  [
    "a missing key at the top",
    lines({ listeners: "" }),
    '2:1: the key "listeners" is missing [LS_CONFIG_MISSING_KEY]',
  ],
  [
    "a missing key further in",
    lines({ routes: "routes: [{}]" }),
    '2:10: routes[0]: the key "pool" is missing [LS_CONFIG_MISSING_KEY]',
  ],
  [
    "text instead of a mapping",
    more("limits: none"),
    '4:9: limits: expected a mapping, got the text "none" [LS_CONFIG_TYPE]',
  ],
  [
    "nothing instead of a mapping",
    more("limits:\nengine: auto"),
    "4:8: limits: expected a mapping, got nothing [LS_CONFIG_TYPE]",
  ],
  [
    "a number instead of text",
    match("header: { x: 3 }"),
    '2:45: routes[0].match.header.x: expected text, got the number 3; to mean text, write "3" [LS_CONFIG_TYPE]',
  ],
  [
    "text instead of a number",
    more('workers: "2"'),
    '4:10: workers: expected a whole number, got the text "2" [LS_CONFIG_TYPE]',
  ],
  [
    "a mapping instead of a list",
    lines({ listeners: "listeners: {}" }),
    "1:12: listeners: expected a list, got a mapping [LS_CONFIG_TYPE]",
  ],
  [
    "an empty list",
    lines({ listeners: "listeners: []" }),
    "1:12: listeners: the list is empty, expected at least one entry [LS_CONFIG_VALUE]",
  ],
  [
    "a pool without backends",
    lines({ pools: "pools: { web: { backends: [] } }" }),
    "3:27: pools.web.backends: no backends, expected at least one entry here or under discover [LS_CONFIG_VALUE]",
  ],
  [
    "an unknown word",
    more("accessLog: jsno"),
    '4:12: accessLog: unknown word "jsno", did you mean "json"? [LS_CONFIG_VALUE]',
  ],
  [
    "a truth value instead of a word",
    more("accessLog: false"),
    "4:12: accessLog: expected one of off, json, combined, got false [LS_CONFIG_TYPE]",
  ],
];

const values: Case[] = [
  [
    "a number below its range",
    more("workers: 0"),
    "4:10: workers: 0 is too small, expected at least 1 [LS_CONFIG_VALUE]",
  ],
  [
    "a number above its range",
    more("workers: 65"),
    "4:10: workers: 65 is too large, expected at most 64 [LS_CONFIG_VALUE]",
  ],
  [
    "a bad address",
    lines({ listeners: "listeners: [{ address: 8080 }, { address: localhost }]" }),
    '1:24: listeners[0].address: expected text, got the number 8080; to mean text, write "8080" [LS_CONFIG_TYPE]\n' +
      '1:43: listeners[1].address: "localhost" is not an address: the port is missing; expected host:port, [v6]:port, :port or unix:/path [LS_CONFIG_ADDRESS]',
  ],
  [
    "a backend without a port",
    backend("address: a:0"),
    '3:39: pools.web.backends[0].address: "a:0": a backend has a port from 1 to 65535 [LS_CONFIG_ADDRESS]',
  ],
  [
    "a duration without a unit",
    more("timeouts: { idle: 10 }"),
    "4:19: timeouts.idle: 10 is not a duration, expected a number with a unit (ms, s, m, h, d), for example 10s [LS_CONFIG_VALUE]",
  ],
  [
    "a duration out of range",
    more("timeouts: { idle: 0s }"),
    '4:19: timeouts.idle: "0s" is not possible here, expected whole milliseconds from 1ms to 24d [LS_CONFIG_VALUE]',
  ],
  [
    "a bad size",
    more("limits: { headerBytes: 16Kb/s }"),
    '4:24: limits.headerBytes: "16Kb/s" is not a size, expected a number of bytes or one with a unit (B, KB, MB, GB, KiB, MiB, GiB) [LS_CONFIG_VALUE]',
  ],
  [
    "a host pattern with a star inside",
    match('host: "a.*.com"'),
    '2:38: routes[0].match.host: "a.*.com" has * in another place than the beginning, expected a host or *.suffix [LS_CONFIG_VALUE]',
  ],
  [
    "a path without a slash",
    match("path: api"),
    '2:38: routes[0].match.path: "api" does not begin with /, expected a path such as /api/ or /status [LS_CONFIG_VALUE]',
  ],
  [
    "a method in small letters",
    match("method: [GET, post]"),
    '2:46: routes[0].match.method[1]: "post" is not an HTTP method, did you mean "POST"? [LS_CONFIG_VALUE]',
  ],
  [
    "a bad method without a list",
    match("method: GTE"),
    '2:40: routes[0].match.method[0]: "GTE" is not an HTTP method, did you mean "GET"? [LS_CONFIG_VALUE]',
  ],
  [
    "a bad regular expression",
    match('pathRegex: "("'),
    '2:43: routes[0].match.pathRegex: "(" is not a regular expression (RE2): missing ) [LS_CONFIG_REGEX]',
  ],
  [
    "a pool name with a space",
    lines({ routes: "routes: [{ pool: a b }]", pools: "pools: { a b: { backends: [{ address: :1 }] } }" }),
    '3:10: pools."a b": "a b" is not a pool name, expected letters, digits, hyphens, dots and underscores, at most 128 [LS_CONFIG_VALUE]',
  ],
  [
    "a short token",
    more("admin: { address: :1, token: abc }"),
    "4:30: admin.token: a token has 8 to 512 letters, digits or - . _ ~ + / [LS_CONFIG_VALUE]",
  ],
];

const headers: Case[] = [
  [
    "a header name that is none",
    route('setRequestHeaders: { "a b": x }'),
    '2:44: routes[0].setRequestHeaders."a b": "a b" is not a header name, expected letters, digits and hyphens [LS_CONFIG_HEADER]',
  ],
  [
    "a header of the proxy",
    route("setResponseHeaders: { Connection: x }"),
    '2:45: routes[0].setResponseHeaders.Connection: "Connection" belongs to the proxy, it can be neither set nor removed [LS_CONFIG_HEADER]',
  ],
  [
    "removing a header of the proxy",
    route("removeRequestHeaders: content-length"),
    '2:45: routes[0].removeRequestHeaders[0]: "content-length" belongs to the proxy, it can be neither set nor removed [LS_CONFIG_HEADER]',
  ],
  [
    "removing the host",
    route("removeRequestHeaders: [a, Host]"),
    '2:49: routes[0].removeRequestHeaders[1]: every request needs "host": it can be set, but not removed [LS_CONFIG_HEADER]',
  ],
  [
    "a line break in a header value",
    route('setRequestHeaders: { a: "x\\r\\ny: z" }'),
    '2:47: routes[0].setRequestHeaders.a: "x\\r\\ny: z" cannot be a header value, expected text without control characters [LS_CONFIG_HEADER]',
  ],
  [
    "a NUL in a header value",
    route('setResponseHeaders: { a: "x\\0" }'),
    '2:48: routes[0].setResponseHeaders.a: "x\\u0000" cannot be a header value, expected text without control characters [LS_CONFIG_HEADER]',
  ],
  [
    "an unknown variable",
    route('setRequestHeaders: { a: "{client.ip}" }'),
    "2:47: routes[0].setRequestHeaders.a: {client.ip} is not a variable, expected one of {client.address}, {client.port}, {request.id}, {host}, {backend.address} [LS_CONFIG_TEMPLATE]",
  ],
  [
    "a misspelt variable",
    route('setRequestHeaders: { a: "{clientaddress}" }'),
    "2:47: routes[0].setRequestHeaders.a: {clientaddress} is not a variable, did you mean {client.address}? [LS_CONFIG_TEMPLATE]",
  ],
  [
    "a header in two spellings",
    route("setRequestHeaders: { a: x, A: y }"),
    '2:50: routes[0].setRequestHeaders.A: the header "A" is already there above, in another spelling [LS_CONFIG_DUPLICATE_KEY]',
  ],
];

const relations: Case[] = [
  [
    "a listener twice",
    lines({ listeners: 'listeners: [{ address: "[::1]:80" }, { address: "[0:0::1]:80" }]' }),
    '1:49: listeners[1].address: "[0:0::1]:80" is already the address of listeners[0] [LS_CONFIG_DUPLICATE]',
  ],
  [
    "the admin server on a listener",
    more("admin: { address: :8080 }"),
    '4:19: admin.address: ":8080" is already the address of listeners[0] [LS_CONFIG_DUPLICATE]',
  ],
  [
    "a backend twice",
    backend("address: :1 }, { address: 127.0.0.1:1"),
    '3:56: pools.web.backends[1].address: "127.0.0.1:1" is already the address of pools.web.backends[0] [LS_CONFIG_DUPLICATE]',
  ],
  [
    "path and pathRegex",
    match("path: /, pathRegex: x"),
    "2:41: routes[0].match.pathRegex: a match has either path or pathRegex, not both [LS_CONFIG_CONFLICT]",
  ],
  [
    "an unknown pool",
    lines({ routes: "routes: [{ pool: wbe }]" }),
    '2:18: routes[0].pool: unknown pool "wbe", did you mean "web"? [LS_CONFIG_UNKNOWN_POOL]',
  ],
  [
    "an unknown policy",
    pool("policy: roundrobin"),
    '3:59: pools.web.policy[0].name: unknown policy "roundrobin", did you mean "round-robin"? [LS_POLICY_UNKNOWN]',
  ],
  [
    "an unknown policy in a list",
    pool("policy: [uri-hash, { name: x }]"),
    `3:78: pools.web.policy[1].name: unknown policy "x", expected one of ${builtinPolicies.map(({ name }) => name).join(", ")} [LS_POLICY_UNKNOWN]`,
  ],
  [
    "an option that a policy refuses",
    pool("policy: { name: uri-hash, options: { query: 1 } }"),
    "3:95: pools.web.policy[0].options.query: Invalid input: expected boolean, received number [LS_POLICY_OPTIONS]",
  ],
  [
    "health checks of the original destination",
    "listeners: [{ address: 127.0.0.1:8080 }]\nroutes: [{ pool: web }]\npools: { web: { backends: [{ address: original-destination }], health: { path: / } } }",
    "3:64: pools.web.health: the original destination is not one place that could be checked, expected no health checks or other backends [LS_CONFIG_CONFLICT]",
  ],
  [
    "a load of the original destination",
    "listeners: [{ address: 127.0.0.1:8080 }]\nroutes: [{ pool: web }]\npools: { web: { backends: [{ address: original-destination }], load: { source: agent } } }",
    "3:64: pools.web.load: the original destination is not one place that has a load, expected no load source or other backends [LS_CONFIG_CONFLICT]",
  ],
  [
    "a load that expires between two questions",
    pool("load: { source: agent, interval: 5s, expires: 5s }"),
    '3:97: pools.web.load.expires: what is reported would expire between two questions, expected more than "5s" (interval) [LS_CONFIG_CONFLICT]',
  ],
  [
    "a range that is none",
    "listeners: [{ address: 127.0.0.1:8080, proxyProtocol: 10.0.0.0/33 }]\nroutes: [{ pool: web }]\npools: { web: { backends: [{ address: :9001 }] } }",
    '1:55: listeners[0].proxyProtocol[0]: "10.0.0.0/33" is not a range of addresses, expected an address with an optional prefix length, for example 10.0.0.0/8 or 2001:db8::/32 [LS_CONFIG_VALUE]',
  ],
];

describe.each([
  ["texts", texts],
  ["keys and types", keysAndTypes],
  ["values", values],
  ["headers", headers],
  ["relations", relations],
])("wrong %s are printed with line and column:", (_group, cases) => {
  test.each(cases)("%s", async (_name, text, printed) => {
    const found = await problemsOf(text);
    expect(found).toEqual(printed.split("\n").map((line) => `longsplice.yaml:${line}`));
  });
});

test("all problems are printed at once, in the order of the file", async () => {
  const text = lines({
    listeners: "listeners:\n  - adress: :80\n  - address: x",
    routes: "routes:\n  - pool: wbe\n    forward: requests",
    more: "workers: 0\nworkers: none",
  });
  const places = (await problemsOf(text)).map((line) =>
    /:(\d+:\d+): .*\[(\w+)\]/.exec(line)?.slice(1).join(" "),
  );
  expect(places).toEqual([
    "2:5 LS_CONFIG_UNKNOWN_KEY",
    "3:14 LS_CONFIG_ADDRESS",
    "5:11 LS_CONFIG_UNKNOWN_POOL",
    "6:14 LS_CONFIG_VALUE",
    "9:1 LS_CONFIG_DUPLICATE_KEY",
    "9:10 LS_CONFIG_TYPE",
  ]);
});

test("JSON has places too", async () => {
  const text =
    '{\n  "listeners": [{ "address": ":80" }],\n  "routes": [{\n    "pool": "b"\n  }],\n  "pools": {}\n}\n';
  expect(await problemsOf(text, { name: "longsplice.json" })).toEqual([
    'longsplice.json:4:13: routes[0].pool: unknown pool "b", there is none [LS_CONFIG_UNKNOWN_POOL]',
  ]);
});

test("what an alias stands for is blamed where it is written", async () => {
  const text =
    "listeners: [&a { address: x }, { address: :80 }]\nroutes: [{ pool: web }]\npools: { web: { backends: [*a] } }";
  const places = (await problemsOf(text)).map((line) => line.split(" ")[0]);
  expect(places).toEqual(["longsplice.yaml:1:27:", "longsplice.yaml:1:27:"]);
});

test("a value of the command line is blamed on its option", async () => {
  const flags = { workers: "many", engine: "cpoy", admin: "x" };
  expect(await problemsOf(lines(), { flags })).toEqual([
    '--admin: admin.address: "x" is not an address: the port is missing; expected host:port, [v6]:port, :port or unix:/path [LS_CONFIG_ADDRESS]',
    '--workers: workers: expected a whole number, got the text "many" [LS_CONFIG_TYPE]',
    '--engine: engine: unknown word "cpoy", did you mean "copy"? [LS_CONFIG_VALUE]',
  ]);
});

test("a file that is not UTF-8 cannot be read", async () => {
  expect(await problemsOf(Uint8Array.of(0x61, 0xff))).toEqual([
    "longsplice.yaml: cannot be read: The encoded data was not valid for encoding utf-8 [LS_CONFIG_READ]",
  ]);
});

test("an empty file lacks what every configuration has", async () => {
  expect(await problemsOf("# nothing\n")).toEqual([
    "longsplice.yaml:1:1: expected a mapping, got nothing [LS_CONFIG_TYPE]",
  ]);
});

test("a policy file that is not there is blamed on the key that names it", async () => {
  const [problem, ...others] = await problemsOf(lines({ more: "policies: ./none.ts" }));
  expect(problem).toMatch(
    /^longsplice\.yaml:4:11: policies: no such policy file: .*\/none\.ts: no such file \[LS_POLICY_NOT_FOUND\]$/,
  );
  expect(others).toEqual([]);
});
