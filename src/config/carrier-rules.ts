import type { Issue, Path } from "./problem.js";
import { type Fields, fields, issue, items } from "./raw.js";
import { show } from "./show.js";

/** What is allowed but hardly meant. */
type Oddity = Omit<Issue, "code">;

/** What is wrong with who moves the bytes (`engine`) and what user space sees of them (`forward`). */
export function carrierRules(root: Fields): Issue[] {
  const modes: [unknown, Path][] = [[root.forward, ["forward"]]];
  for (const [index, route] of items(root.routes).entries()) {
    modes.push([fields(route).forward, ["routes", index, "forward"]]);
  }
  return [
    ...engineRules(root.engine),
    ...modes.flatMap(([mode, path]) => forwardRules(mode, path)),
    ...connectionRoutes(root).flatMap(({ route, path }) => unseenResponses(route, path)),
  ];
}

/** What is allowed but hardly meant, in a configuration without issues. `present`: the interfaces of this machine. */
export function carrierOddities(root: Fields, present: () => readonly string[]): Oddity[] {
  return [...connectionOddities(root), ...interfaceOddities(root, present)];
}

function connectionOddities(root: Fields): Oddity[] {
  const connections = connectionRoutes(root);
  if (connections.length === 0) return [];
  const oddities: Oddity[] = [];
  if (root.engine !== "packet") {
    const message = "only engine: packet forwards by connection, so this stands for exchange";
    oddities.push(...askedAt(connections).map((path) => ({ path, part: "value" as const, message })));
  }
  for (const { route, path } of connections) {
    for (const key of ["setRequestHeaders", "removeRequestHeaders"]) {
      if (isEmpty(route[key])) continue;
      const message =
        "the route forwards by connection, so only the first request of a connection is changed";
      oddities.push({ path: [...path, key], part: "key", message });
    }
  }
  if (isSet(root.forwarded)) {
    const message =
      "where a route forwards by connection, requests behind the first reach the backend with the headers that the client sent";
    oddities.push({ path: ["forwarded"], part: "key", message });
  }
  return oddities;
}

/** An interface that is not there keeps the engine from starting; but a file may be checked elsewhere than it is used. */
function interfaceOddities({ engine, interfaces }: Fields, present: () => readonly string[]): Oddity[] {
  if (engine !== "packet" || !isSet(interfaces) || interfaces === "auto") return [];
  const here = present();
  const named: [unknown, Path][] = Array.isArray(interfaces)
    ? interfaces.map((name, index) => [name, ["interfaces", index]])
    : [[interfaces, ["interfaces"]]];
  return named
    .filter(([name]) => name !== "auto" && !here.includes(String(name)))
    .map(([name, path]) => {
      const message = `there is no interface ${show(name)} on this machine, only ${here.join(", ")}`;
      return { path, part: "value", message };
    });
}

interface ConnectionRoute {
  readonly route: Fields;
  readonly path: Path;
  /** Where the mode is written: at the route, or at the top level. */
  readonly asked: Path;
}

/** The routes whose forward mode is `connection`. */
function connectionRoutes(root: Fields): ConnectionRoute[] {
  return items(root.routes).flatMap((value, index): ConnectionRoute[] => {
    const route = fields(value);
    const path = ["routes", index];
    if (route.forward !== undefined) {
      return route.forward === "connection" ? [{ route, path, asked: [...path, "forward"] }] : [];
    }
    return root.forward === "connection" ? [{ route, path, asked: ["forward"] }] : [];
  });
}

/** Each place once, however many routes it stands for. */
function askedAt(routes: readonly ConnectionRoute[]): Path[] {
  return [...new Map(routes.map(({ asked }) => [asked.join("."), asked])).values()];
}

function engineRules(engine: unknown): Issue[] {
  if (engine !== "pipe" && engine !== "sockmap") return [];
  const message = `the engine ${engine} is not in this version, expected auto, copy or packet`;
  return [issue(["engine"], "LS_CONFIG_NOT_BUILT", message)];
}

function forwardRules(mode: unknown, path: Path): Issue[] {
  if (mode !== "request") return [];
  const message = "this version does not forward by request; expected auto, exchange or connection";
  return [issue(path, "LS_CONFIG_NOT_BUILT", message)];
}

/** No response of such a route is ever seen, so none can be changed. */
function unseenResponses(route: Fields, path: Path): Issue[] {
  return ["setResponseHeaders", "removeResponseHeaders"]
    .filter((key) => !isEmpty(route[key]))
    .map((key) => {
      const message =
        "the route forwards by connection, which sees no response; expected forward: exchange, or no response headers";
      return { path: [...path, key], part: "key", code: "LS_CONFIG_CONFLICT", message };
    });
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isEmpty(value: unknown): boolean {
  return !isSet(value) || (typeof value === "object" && Object.keys(value as object).length === 0);
}
