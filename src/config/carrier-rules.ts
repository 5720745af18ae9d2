import type { Issue, Path } from "./problem.js";
import { type Fields, fields, items } from "./raw.js";
import { show } from "./show.js";

/** What is allowed but hardly meant. */
type Oddity = Omit<Issue, "code">;

/** What is wrong with who moves the bytes (`engine`) and what user space sees of them (`forward`). */
export function carrierRules(root: Fields): Issue[] {
  return joiningRoutes(root).flatMap(({ mode, route, path }) => unseenResponses(mode, route, path));
}

/** What is allowed but hardly meant, in a configuration without issues. `present`: the interfaces of this machine. */
export function carrierOddities(root: Fields, present: () => readonly string[]): Oddity[] {
  return [...joiningOddities(root), ...interfaceOddities(root, present)];
}

function joiningOddities(root: Fields): Oddity[] {
  if (root.engine === undefined || root.engine === "auto" || root.engine === "packet") return [];
  const asked = new Map(joiningRoutes(root).map((route) => [route.asked.join("."), route]));
  return [...asked.values()].map(({ mode, asked: path }) => {
    const message = `only engine: packet or auto forwards by ${mode}, so this stands for exchange`;
    return { path, part: "value", message };
  });
}

/** An interface that is not there keeps the engine from starting; but a file may be checked elsewhere than it is used. */
function interfaceOddities({ engine, interfaces }: Fields, present: () => readonly string[]): Oddity[] {
  if (engine !== "packet" || isEmpty(interfaces) || interfaces === "auto") return [];
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

interface JoiningRoute {
  readonly mode: "request" | "connection";
  readonly route: Fields;
  readonly path: Path;
  /** Where the mode is written: at the route, or at the top level. */
  readonly asked: Path;
}

/** The routes whose connections are to be joined. */
function joiningRoutes(root: Fields): JoiningRoute[] {
  return items(root.routes).flatMap((value, index): JoiningRoute[] => {
    const route = fields(value);
    const path = ["routes", index];
    const mode = route.forward ?? root.forward;
    if (mode !== "request" && mode !== "connection") return [];
    return [{ mode, route, path, asked: route.forward === undefined ? ["forward"] : [...path, "forward"] }];
  });
}

/** No response of such a route is ever seen, so none can be changed. */
function unseenResponses(mode: string, route: Fields, path: Path): Issue[] {
  return ["setResponseHeaders", "removeResponseHeaders"]
    .filter((key) => !isEmpty(route[key]))
    .map((key) => {
      const message = `the route forwards by ${mode}, which sees no response; expected forward: exchange, or no response headers`;
      return { path: [...path, key], part: "key", code: "LS_CONFIG_CONFLICT", message };
    });
}

function isEmpty(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    (typeof value === "object" && Object.keys(value as object).length === 0)
  );
}
