import { LongspliceError } from "../errors/index.js";
import type { PolicyTraits } from "../policy/registry.js";
import type { Refusal, Trial } from "../policy/trial.js";
import { canonicalAddress, isLocal, LOOPBACK, parseAddress } from "./address.js";
import { carrierOddities, carrierRules } from "./carrier-rules.js";
import { healthRules } from "./health-rules.js";
import { loadRules } from "./load-rules.js";
import { suggestion } from "./nearest.js";
import { formatPath, type Issue, type Path } from "./problem.js";
import { type Fields, fields, isMapping, issue, items } from "./raw.js";
import { show } from "./show.js";

/** The policies that a pool may name. */
export interface KnownPolicies {
  readonly names: readonly string[];
  /** What is wrong with the options of one of them; empty if nothing is. */
  check(name: string, options: unknown): readonly { readonly path: Path; readonly message: string }[];
  /** What such policies, one after the other, ask for; options that `check` accepts. */
  traitsOf(specs: readonly { readonly name: string; readonly options: unknown }[]): PolicyTraits;
  /** The request headers that such policies look at, each once. */
  headersFor(specs: readonly { readonly name: string; readonly options: unknown }[]): readonly string[];
  /** What one of them has against being made with a pool's backends; options that `check` accepts. */
  refusals(trial: Trial): readonly Refusal[];
  /** Bytes that the instances of one of them have in common; options that `check` accepts. */
  sharedBytes(name: string, options: unknown): number;
}

/** What the rules need to know besides the configuration. */
export interface RuleContext {
  /** Undefined if they could not be loaded: then nothing is said about policies. */
  readonly policies: KnownPolicies | undefined;
  /** What is wrong with a regular expression, null if nothing is. */
  regexError(pattern: string): string | null;
  /** Where relative paths begin. */
  readonly folder: string;
}

/**
 * Checks what no single value can be blamed for. Works on data that the schema may have refused, and passes over what
 * has not the right shape, so that one run reports everything.
 */
export function checkRules(value: unknown, context: RuleContext): Issue[] {
  const root = fields(value);
  return [
    ...addressRules(root, context.folder),
    ...items(root.routes).flatMap((route, i) => routeRules(route, ["routes", i], root, context)),
    ...Object.entries(fields(root.pools)).flatMap(([name, pool]) =>
      policyRules(fields(pool).policy, ["pools", name, "policy"], context.policies),
    ),
    ...Object.entries(fields(root.pools)).flatMap(([name, pool]) =>
      healthRules(fields(pool), ["pools", name]),
    ),
    ...Object.entries(fields(root.pools)).flatMap(([name, pool]) =>
      loadRules(fields(pool), ["pools", name, "load"]),
    ),
    ...carrierRules(root),
  ];
}

/** What is allowed but hardly meant, in a configuration without issues. */
export function findOddities(value: unknown, interfaces: () => readonly string[]): Omit<Issue, "code">[] {
  const root = fields(value);
  const oddities: Omit<Issue, "code">[] = [];
  const routes = items(root.routes).map(fields);
  const last = routes.findIndex((route) => Object.keys(fields(route.match)).length === 0);
  if (last >= 0 && last < routes.length - 1) {
    const message = `never reached: routes[${last}] matches every request, and the first match wins`;
    oddities.push({ path: ["routes", last + 1], part: "value", message });
  }
  const { address, token } = fields(root.admin);
  if (typeof address === "string" && token === undefined && !isLocal(parseAddress(address, LOOPBACK))) {
    const message = "others can reach this address, so without admin.token nothing can be changed through it";
    oddities.push({ path: ["admin", "address"], part: "value", message });
  }
  return [...oddities, ...carrierOddities(root, interfaces)];
}

/** No address twice among the listeners with the admin server, nor within a pool. */
function addressRules(root: Fields, folder: string): Issue[] {
  const listening = items(root.listeners).map((listener, i): Located => {
    return { text: fields(listener).address, path: ["listeners", i, "address"] };
  });
  listening.push({ text: fields(root.admin).address, path: ["admin", "address"], anyHost: LOOPBACK });
  const pools = Object.entries(fields(root.pools)).map(([name, pool]) =>
    items(fields(pool).backends).map((backend, i): Located => {
      const path = ["pools", name, "backends", i, "address"];
      return { text: fields(backend).address, path, anyHost: LOOPBACK };
    }),
  );
  return [listening, ...pools].flatMap((group) => duplicates(group, folder));
}

interface Located {
  readonly text: unknown;
  readonly path: Path;
  readonly anyHost?: string;
}

function duplicates(addresses: readonly Located[], folder: string): Issue[] {
  const seen = new Map<string, Path>();
  const issues: Issue[] = [];
  for (const { text, path, anyHost } of addresses) {
    const key = typeof text === "string" ? canonicalAddress(text, folder, anyHost) : undefined;
    // Port 0 is another free port each time.
    if (key === undefined || (key.endsWith(":0") && !key.startsWith("unix:"))) continue;
    const first = seen.get(key);
    if (first === undefined) seen.set(key, path);
    else {
      const message = `${show(text)} is already the address of ${formatPath(first.slice(0, -1))}`;
      issues.push(issue(path, "LS_CONFIG_DUPLICATE", message));
    }
  }
  return issues;
}

function routeRules(value: unknown, path: Path, root: Fields, context: RuleContext): Issue[] {
  const issues: Issue[] = [];
  const route = fields(value);
  const { pool } = route;
  if (typeof pool === "string" && isMapping(root.pools) && !Object.hasOwn(root.pools, pool)) {
    const message = `unknown pool ${show(pool)}, ${suggestion(pool, Object.keys(root.pools))}`;
    issues.push(issue([...path, "pool"], "LS_CONFIG_UNKNOWN_POOL", message));
  }
  const match = fields(route.match);
  if (match.path !== undefined && match.pathRegex !== undefined) {
    const message = "a match has either path or pathRegex, not both";
    issues.push({ ...issue([...path, "match", "pathRegex"], "LS_CONFIG_CONFLICT", message), part: "key" });
  }
  if (typeof match.pathRegex === "string" && match.pathRegex !== "") {
    const why = context.regexError(match.pathRegex);
    const message = `${show(match.pathRegex)} is not a regular expression (RE2): ${why}`;
    if (why !== null) issues.push(issue([...path, "match", "pathRegex"], "LS_CONFIG_REGEX", message));
  }
  issues.push(...sameNames(match.header, [...path, "match", "header"]));
  for (const key of ["setRequestHeaders", "setResponseHeaders"]) {
    issues.push(...sameNames(route[key], [...path, key]));
  }
  return issues;
}

/** Header names that differ in case only. */
function sameNames(value: unknown, path: Path): Issue[] {
  const seen = new Set<string>();
  return Object.keys(fields(value)).flatMap((name) => {
    const lower = name.toLowerCase();
    if (!seen.has(lower)) {
      seen.add(lower);
      return [];
    }
    const message = `the header ${show(name)} is already there above, in another spelling`;
    return [
      { path: [...path, name], part: "key" as const, code: "LS_CONFIG_DUPLICATE_KEY" as const, message },
    ];
  });
}

function policyRules(value: unknown, path: Path, known: KnownPolicies | undefined): Issue[] {
  if (known === undefined || value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  return list.flatMap((entry, i) => {
    const spec: Fields = typeof entry === "string" ? { name: entry } : fields(entry);
    const { name, options } = spec;
    if (typeof name !== "string") return [];
    if (!known.names.includes(name)) {
      const message = `unknown policy ${show(name)}, ${suggestion(name, known.names)}`;
      return [issue([...path, i, "name"], "LS_POLICY_UNKNOWN", message)];
    }
    return known
      .check(name, options)
      .map((problem) =>
        issue([...path, i, "options", ...problem.path], "LS_POLICY_OPTIONS", problem.message),
      );
  });
}

/** An error of loading policies as an issue; anything that is not ours goes on. */
export function policyLoadIssue(error: unknown): Issue {
  if (!(error instanceof LongspliceError)) throw error;
  return issue(["policies"], error.code, error.message);
}
