import { isIP } from "node:net";
import { dirname } from "node:path";
import { z } from "zod";
import { LongspliceError } from "../errors/index.js";
import { resolveAddress } from "./address.js";
import { formatPath, type Issue } from "./problem.js";
import { backendSchema } from "./schema.js";
import { translateIssue } from "./schema-issues.js";
import { parseSource } from "./source.js";
import type { BackendConfig, DiscoverConfig } from "./types.js";

/**
 * Reads the list of backends of a file that a pool watches: YAML or JSON, in the form of `pools.NAME.backends`. An empty list is one,
 * an empty file is none.
 *
 * @param file its path, absolute: relative paths of Unix sockets begin there
 * @throws LongspliceError LS_DISCOVERY_FILE with the first thing that is wrong
 */
export function parseMembers(
  file: string,
  text: string,
  { weight, labels }: DiscoverConfig,
): BackendConfig[] {
  const source = parseSource(file, text);
  const refuse = (line: number, message: string) =>
    new LongspliceError("LS_DISCOVERY_FILE", `${file}:${line}: ${message}`);
  const [syntax] = source.problems;
  if (syntax !== undefined) throw refuse(syntax.line, syntax.message);
  const withWeight = z.array(backendSchema.extend({ weight: backendSchema.shape.weight.default(weight) }));
  const result = withWeight.safeParse(source.value, { reportInput: true });
  const issues = result.success ? notLiteral(result.data) : result.error.issues.flatMap(translateIssue);
  const [first] = issues;
  if (first !== undefined) {
    const where = first.path.length > 0 ? `${formatPath(first.path)}: ` : "";
    throw refuse(source.place(first.path, first.part).line, `${where}${first.message}`);
  }
  return (result.data ?? []).map((backend) => ({
    ...backend,
    labels: { ...labels, ...backend.labels },
    address: resolveAddress(backend.address, dirname(file)),
  }));
}

/** Names would have to be looked up again and again, which is what `dns` is there for. */
function notLiteral(backends: readonly BackendConfig[]): Issue[] {
  return backends.flatMap(({ address }, index): Issue[] => {
    if (address.kind === "unix" || (address.kind === "tcp" && isIP(address.host) !== 0)) return [];
    const message = "expected an IP address with a port, or unix:/path";
    return [{ path: [index, "address"], part: "value", code: "LS_DISCOVERY_FILE", message }];
  });
}
