import { expect, test } from "vitest";
import { lines, problemsOf } from "./config-support.js";

/** Name, text of the file, and the printed problems without the file's name. */
const cases: [name: string, text: string, printed: string[]][] = [
  [
    "a key in two lines",
    lines({ more: "? time\n\n  outs\n: {}" }),
    ['4:3: "time\\nouts": unknown key "time\\nouts", did you mean "timeouts"? [LS_CONFIG_UNKNOWN_KEY]'],
  ],
  [
    "a key with characters that nobody sees",
    lines({ more: 'workers: 1\n"a.\\e\\x85\\u202e\\U000e0001": 1' }),
    [
      '5:1: "a.\\u001b\\u0085\\u202e\\udb40\\udc01": unknown key "a.\\u001b\\u0085\\u202e\\udb40\\udc01", expected one of listeners, routes, pools, policies, admin, timeouts, limits, resolver, forwarded, workers, engine, pipeFrom, sockmapFrom, sockmapTo, interfaces, forward, accessLog, logLevel [LS_CONFIG_UNKNOWN_KEY]',
    ],
  ],
  [
    "a key without characters",
    lines({ more: 'timeouts: { "": 1 }' }),
    [
      '4:13: timeouts."": unknown key "", expected one of header, connect, queue, response, idle, stream, drain [LS_CONFIG_UNKNOWN_KEY]',
    ],
  ],
  [
    "a key longer than a line",
    lines({ more: `${"x".repeat(100)}: 1` }),
    [
      `4:1: "${"x".repeat(55)}...": unknown key "${"x".repeat(55)}...", expected one of listeners, routes, pools, policies, admin, timeouts, limits, resolver, forwarded, workers, engine, pipeFrom, sockmapFrom, sockmapTo, interfaces, forward, accessLog, logLevel [LS_CONFIG_UNKNOWN_KEY]`,
    ],
  ],
  [
    "a pool that is none of those with odd names",
    'listeners: [{ address: ":80" }]\nroutes: [{ pool: web }]\npools: { "a\\nb": { backends: [{ address: ":1" }] } }',
    [
      '2:18: routes[0].pool: unknown pool "web", expected "a\\nb" [LS_CONFIG_UNKNOWN_POOL]',
      '3:10: pools."a\\nb": "a\\nb" is not a pool name, expected letters, digits, hyphens, dots and underscores, at most 128 [LS_CONFIG_VALUE]',
    ],
  ],
];

test.each(cases)("%s is shown in one readable line", async (_name, text, printed) => {
  expect(await problemsOf(text)).toEqual(printed.map((line) => `longsplice.yaml:${line}`));
});
