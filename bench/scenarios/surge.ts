/** What the two scenarios with the SURGE load have in common: eight origins, longsplice before them, users before that. */
import { fileURLToPath } from "node:url";
import { listens, type RunningServer, runToEnd, startServer } from "../processes.js";
import type { OriginSpec, PhaseReport, SurgeReport, SurgeSpec } from "../surge/protocol.js";
import { freePort, startTarget } from "../targets.js";
import type { ScenarioContext } from "./scenario.js";

export const origins = 8;
const program = (name: string) => fileURLToPath(new URL(`../surge/${name}.ts`, import.meta.url));
const run = (name: string, spec: OriginSpec | SurgeSpec) =>
  [process.execPath, "--import", "tsx", program(name), JSON.stringify(spec)] as const;

/** A policy that is compared with others: a built-in one, or the bench's own `random`. */
export interface Contender {
  readonly name: string;
  /** As YAML. */
  readonly options?: string;
  /** It chooses by what backends report of their load. */
  readonly byReports?: true;
}

export interface Origins {
  /** host:port */
  readonly addresses: readonly string[];
  stop(): Promise<void>;
}

export async function startOrigins(spec: Pick<OriginSpec, "cacheBytes" | "serviceMillis">): Promise<Origins> {
  const ports: number[] = [];
  const servers: RunningServer[] = [];
  for (let number = 0; number < origins; number++) {
    const port = await freePort();
    ports.push(port);
    const command = run("origin", { ...spec, name: String(number), port });
    servers.push(await startServer(command, (pid) => listens(pid, port)));
  }
  return {
    addresses: ports.map((port) => `127.0.0.1:${port}`),
    stop: async () => {
      for (const server of servers) await server.stop();
    },
  };
}

/** Users before a longsplice of its own with that policy, before these origins. */
export async function runSurge(
  { topology, plan, folder }: ScenarioContext,
  { addresses }: Origins,
  { name, options, byReports }: Contender,
  spec: Omit<SurgeSpec, "address" | "origins">,
): Promise<SurgeReport> {
  const target = await startTarget("longsplice", {
    topology,
    origins: addresses,
    workers: plan.workers,
    folder,
    policy: options === undefined ? name : `{ name: ${name}, options: ${options} }`,
    policyFiles: program("random-policy"),
    ...(byReports ? { loadSource: "header" } : {}),
  });
  const [address = ""] = target.addresses;
  const seconds = spec.phases.reduce((sum, { length }) => sum + (length === "warm-up" ? 60 : length), 30);
  try {
    return JSON.parse(await runToEnd(run("surge", { ...spec, address, origins }), seconds)) as SurgeReport;
  } finally {
    await target.server?.stop();
  }
}

/** What was wrong in a phase, or null: a single failed request spoils it. */
export function failureOfPhase({ errors, requests }: PhaseReport): string | null {
  const kinds = Object.entries(errors);
  if (kinds.length > 0) return kinds.map(([kind, count]) => `${count} x ${kind}`).join(", ");
  return requests === 0 ? "no request was answered" : null;
}
