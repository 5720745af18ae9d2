import { availableParallelism } from "node:os";
import { z } from "zod";
import { LOOPBACK, parseAddress, parseBackendAddress, parseRange } from "./address.js";
import { parseDnsName, parseNameServer, parseServiceName } from "./dns-names.js";
import { parseFactor, parseHealthHost, parseHealthPath, parseStatusRange } from "./health-values.js";
import {
  parseHeaderName,
  parseHostPattern,
  parseMethod,
  parsePathPattern,
  parseRemoveHeaderName,
  parseSetHeaderName,
  parseTemplate,
} from "./http-text.js";
import { interfaceSetting, parseInterface } from "./interfaces.js";
import { InvalidValue } from "./problem.js";
import { show } from "./show.js";
import { parseDuration, parseSize } from "./units.js";

/** The most threads that a configuration may ask for. */
const MAX_WORKERS = 64;
/** The addon counts in 32 bits, and so do the cells of the load table. */
const MAX_COUNT = 2 ** 31 - 1;

/** What a parser threw, as an issue that keeps its code. */
function issueFrom(error: unknown) {
  if (!(error instanceof InvalidValue)) throw error;
  return { code: "custom" as const, message: error.message, params: { code: error.code } };
}

/** A schema whose output a parser makes; what the parser throws becomes an issue. */
function parsed<I, O>(input: z.ZodType<I>, parse: (value: I) => O) {
  return input.transform((value, ctx): O => {
    try {
      return parse(value);
    } catch (error) {
      ctx.issues.push({ ...issueFrom(error), input: value });
      return z.NEVER;
    }
  });
}

const text = <T>(parse: (text: string) => T) => parsed(z.string(), parse);
const duration = (least = 1) => parsed(z.unknown(), (value) => parseDuration(value, least));
const size = (least: number, most: number) => parsed(z.unknown(), (value) => parseSize(value, least, most));
const count = (least: number, most = MAX_COUNT) => z.int().min(least).max(most);

/** A list; a single value stands for a list of one. */
const listOf = <T extends z.ZodType>(item: T, least = 0) =>
  z.preprocess(
    (value) => (Array.isArray(value) || value === undefined ? value : [value]),
    z.array(item).min(least),
  );

/** A mapping with free keys. Keys are checked even where values are wrong, so that all problems are seen at once. */
const mapping = <T extends z.ZodType>(checkKey: (key: string) => unknown, value: T) =>
  z.record(z.string(), value).superRefine(
    (entries, ctx) => {
      for (const key of Object.keys(entries)) {
        try {
          checkKey(key);
        } catch (error) {
          const issue = issueFrom(error);
          ctx.addIssue({ ...issue, path: [key], params: { ...issue.params, part: "key" } });
        }
      }
    },
    { when: ({ value }) => typeof value === "object" && value !== null && !Array.isArray(value) },
  );

const word = (what: string, most: number) => (key: string) => {
  if (/^[A-Za-z0-9][\w.-]*$/.test(key) && key.length <= most) return;
  const expected = `expected letters, digits, hyphens, dots and underscores, at most ${most}`;
  throw new InvalidValue("LS_CONFIG_VALUE", `${show(key)} is not ${what}, ${expected}`);
};

const forwardMode = z.enum(["auto", "exchange", "request", "connection"]);
const setHeaders = mapping(parseSetHeaderName, text(parseTemplate)).default({});
const removeHeaders = listOf(text(parseRemoveHeaderName)).default([]);

const ranges = listOf(text(parseRange)).default([]);

const listener = z.strictObject({
  address: text((value) => parseAddress(value)),
  proxyProtocol: ranges,
});

const forwarded = z.strictObject({
  headers: listOf(z.enum(["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"])).default([
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
  ]),
  trust: ranges,
});

const match = z.strictObject({
  host: text(parseHostPattern).optional(),
  path: text(parsePathPattern).optional(),
  pathRegex: z.string().min(1).optional(),
  method: listOf(text(parseMethod), 1).optional(),
  header: mapping(parseHeaderName, z.string()).default({}),
});

const route = z.strictObject({
  match: match.prefault({}),
  pool: z.string(),
  forward: forwardMode.optional(),
  setRequestHeaders: setHeaders,
  removeRequestHeaders: removeHeaders,
  setResponseHeaders: setHeaders,
  removeResponseHeaders: removeHeaders,
});

const policy = z.preprocess(
  (value) => (typeof value === "string" ? { name: value } : value),
  z.strictObject({ name: z.string(), options: z.unknown().optional() }),
);

/** An entry of `pools.NAME.backends`. */
export const backendSchema = z.strictObject({
  address: text(parseBackendAddress),
  weight: count(0, 65_535).default(1),
  labels: mapping(word("a label", 64), z.string()).default({}),
});

const health = z.strictObject({
  type: z.enum(["http", "tcp"]).default("http"),
  path: text(parseHealthPath).optional(),
  host: text(parseHealthHost).optional(),
  status: listOf(parsed(z.unknown(), parseStatusRange), 1).prefault("200-399"),
  body: z.string().min(1).optional(),
  port: count(1, 65_535).optional(),
  interval: duration(10).prefault("2s"),
  fastInterval: duration(10).prefault("500ms"),
  timeout: duration().prefault("1s"),
  rise: count(1, 1000).default(2),
  fall: count(1, 1000).default(3),
});

const load = z.strictObject({
  source: z.enum(["agent", "header", "agent-check"]),
  port: count(1, 65_535).default(9902),
  interval: duration(10).prefault("2s"),
  timeout: duration().prefault("1s"),
  expires: duration(10).prefault("10s"),
});

const factor = parsed(z.unknown(), parseFactor);

const outliers = z.strictObject({
  consecutiveFailures: count(0, 1000).default(5),
  failuresFrom: count(500, 600).default(500),
  interval: duration(1000).prefault("10s"),
  successRateFactor: factor.prefault(1.9),
  latencyFactor: factor.prefault(0),
  minBackends: count(2, 1000).default(5),
  minRequests: count(1).default(100),
  ejection: duration(100).prefault("30s"),
  maxEjection: duration(100).prefault("5m"),
  panicThreshold: count(0, 100).default(50),
});

const retries = z.strictObject({
  percent: count(0, 100).default(20),
  min: count(0, 1_000_000).default(3),
});

/** Where backends come from that come and go. */
const discover = z
  .strictObject({
    dns: text(parseDnsName).optional(),
    srv: text(parseServiceName).optional(),
    file: z.string().min(1).optional(),
    interval: duration(100).prefault("2s"),
    weight: count(0, 65_535).default(1),
    labels: mapping(word("a label", 64), z.string()).default({}),
  })
  .superRefine(({ dns, srv, file }, ctx) => {
    if ([dns, srv, file].filter((source) => source !== undefined).length === 1) return;
    const message = "expected one of dns, srv and file";
    ctx.addIssue({ code: "custom", message, params: { code: "LS_CONFIG_CONFLICT" } });
  });

/** What may be under `pools.NAME`. */
export const poolKeys = z.strictObject({
  policy: listOf(policy, 1).prefault("round-robin"),
  backends: z.array(backendSchema).default([]),
  discover: z.array(discover).default([]),
  health: health.nullable().default(null),
  load: load.nullable().default(null),
  outliers: outliers.nullable().default(null),
  slowStart: duration(0).prefault("0s"),
  maxConnections: count(0).default(0),
  retries: retries.prefault({}),
  proxyProtocol: z.enum(["none", "v1", "v2"]).default("none"),
});

const pool = poolKeys.superRefine(({ backends, discover }, ctx) => {
  if (backends.length + discover.length > 0) return;
  const message = "no backends, expected at least one entry here or under discover";
  ctx.addIssue({ code: "custom", path: ["backends"], message, params: { code: "LS_CONFIG_VALUE" } });
});

const admin = z.strictObject({
  address: text((value) => parseAddress(value, LOOPBACK)),
  token: z
    .string()
    .regex(/^[\w.~+/-]{8,512}=*$/, "a token has 8 to 512 letters, digits or - . _ ~ + /")
    .optional(),
});

const timeouts = z.strictObject({
  header: duration().prefault("10s"),
  connect: duration().prefault("3s"),
  queue: duration().prefault("3s"),
  response: duration().prefault("60s"),
  idle: duration().prefault("75s"),
  stream: duration().prefault("5m"),
  drain: duration(0).prefault("30s"),
});

const limits = z.strictObject({
  headerBytes: size(256, 2 ** 20).prefault("16KiB"),
  headers: count(1, 10_000).default(100),
  connections: count(0).default(0),
  queue: count(0).default(1024),
});

/**
 * A configuration file: what may be in it, what each value may be, and what stands for what is left out. The only place where
 * this is written down; docs/configuration.md explains it, and a test compares the two. What spans several values (a route's
 * pool must exist) is in rules.ts.
 */
export const configSchema = z.strictObject({
  listeners: z.array(listener).min(1),
  routes: z.array(route).min(1),
  pools: mapping(word("a pool name", 128), pool),
  policies: listOf(z.string().min(1)).default([]),
  admin: admin.nullable().default(null),
  timeouts: timeouts.prefault({}),
  limits: limits.prefault({}),
  resolver: listOf(text(parseNameServer)).default([]),
  forwarded: forwarded.nullable().default(null),
  workers: count(1, MAX_WORKERS).default(() => Math.min(MAX_WORKERS, availableParallelism())),
  engine: z.enum(["auto", "copy", "pipe", "sockmap", "packet"]).default("auto"),
  pipeFrom: size(1, 2 ** 40).prefault("128KiB"),
  sockmapFrom: size(1, 2 ** 30).prefault("512KiB"),
  sockmapTo: size(1, 2 ** 24).prefault("1MiB"),
  interfaces: parsed(listOf(text(parseInterface), 1), interfaceSetting).default("auto"),
  forward: forwardMode.default("auto"),
  accessLog: z.enum(["off", "json", "combined"]).default("off"),
  logLevel: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
});

/** A configuration file with every value parsed and every default in place. */
export type ConfigFile = z.output<typeof configSchema>;
