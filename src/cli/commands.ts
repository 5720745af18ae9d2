import type { AgentAddress } from "../agent/index.js";
import {
  type Config,
  type ConfigFlags,
  configFromFlags,
  formatWarning,
  InvalidValue,
  type LoadedConfig,
  loadConfig,
  parseAddress,
  printConfig,
} from "../config/index.js";
import { memberFileProblems } from "../discovery/index.js";
import { LongspliceError } from "../errors/index.js";
import { renderDoctor } from "./doctor.js";
import { renderPlan } from "./plan.js";
import type { CliSystem } from "./system.js";

/** Options of `run`, as the argument parser delivers them. */
export interface RunArguments extends ConfigFlags {
  readonly config?: string;
  readonly keepOnCrash?: boolean;
  readonly takeover?: boolean;
}

/** Options of `check`. */
export interface CheckArguments {
  readonly config: string;
  readonly print?: boolean;
  readonly plan?: boolean;
}

/** Options of `agent`. */
export interface AgentArguments {
  readonly listen: string;
  readonly agentCheck?: string;
}

/** Serves until the end; the exit code. */
export async function run(options: RunArguments, system: CliSystem): Promise<number> {
  checkArguments(options);
  const { config: file, ...flags } = options;
  const load = async (): Promise<Config> => {
    const deps = await system.configDeps();
    const loaded = await (file === undefined ? configFromFlags(flags, deps) : loadConfig(file, deps, flags));
    warn(loaded, system);
    return loaded.config;
  };
  return system.runServer({ load, configFile: file ?? null });
}

/** Tells how busy this machine is until the end; the exit code. */
export async function agent(options: AgentArguments, system: CliSystem): Promise<number> {
  const { listen, agentCheck } = options;
  return system.runAgent({
    listen: agentAddress("--listen", listen),
    agentCheck: agentCheck === undefined ? null : agentAddress("--agent-check", agentCheck),
  });
}

/** Proxies find an agent by the host of its backend, so it has a port. */
function agentAddress(option: string, text: string): AgentAddress {
  try {
    const address = parseAddress(text);
    if (address.kind === "tcp") return address;
  } catch (error) {
    if (!(error instanceof InvalidValue)) throw error;
    throw wrong(`${option}: ${error.message}`);
  }
  throw wrong(`${option}: an agent cannot be asked at a Unix socket, expected host:port, [v6]:port or :port`);
}

/** Says whether a file can be served from, and on demand what that would mean; the exit code. */
export async function check(options: CheckArguments, system: CliSystem): Promise<number> {
  const { config: file } = options;
  if (options.print && options.plan) throw wrong("--print and --plan do not go together");
  const loaded = await loadConfig(file, await system.configDeps());
  warn(loaded, system);
  const { config } = loaded;
  for (const problem of await memberFileProblems(config))
    system.stderr.write(`${file}: warning: ${problem}\n`);
  if (options.print) system.stdout.write(printConfig(config));
  else if (options.plan) system.stdout.write(`${renderPlan(config, await packetObstacle(system))}\n`);
  else system.stdout.write(`${file}: ok (${summary(config)})\n`);
  return 0;
}

async function packetObstacle(system: CliSystem): Promise<string | undefined> {
  const packet = (await system.probe()).engines.find(({ name }) => name === "packet");
  return packet?.usable === true ? undefined : `packet: ${packet?.reason ?? "not there"}`;
}

/** Says what this machine can do; the exit code, 2 where longsplice could not start. */
export async function doctor(options: { readonly json?: boolean }, system: CliSystem): Promise<number> {
  const report = await system.probe();
  const { stdout } = system;
  const text = options.json
    ? JSON.stringify(report, null, 2)
    : renderDoctor(report, stdout.isTTY === true && process.env.NO_COLOR === undefined);
  stdout.write(`${text}\n`);
  return report.addon.ok ? 0 : 2;
}

function checkArguments(options: RunArguments): void {
  const { config, listen = [], backend = [], policy, keepOnCrash, takeover } = options;
  if (keepOnCrash || takeover) {
    throw wrong(`${keepOnCrash ? "--keep-on-crash" : "--takeover"} is not in this version`);
  }
  if (config !== undefined) {
    const topology = listen.length > 0 ? "--listen" : backend.length > 0 ? "--backend" : "--policy";
    if (listen.length + backend.length > 0 || policy !== undefined) {
      throw wrong(`${topology} describes a configuration without a file, it does not go together with -c`);
    }
  } else if (listen.length === 0 || backend.length === 0) {
    throw wrong("what to serve? Give -c FILE, or at least one --listen ADDR and one --backend ADDR");
  }
}

function wrong(detail: string): LongspliceError {
  return new LongspliceError("LS_CLI_ARGUMENTS", detail);
}

function warn({ warnings }: LoadedConfig, system: CliSystem): void {
  for (const warning of warnings) system.stderr.write(`${formatWarning(warning)}\n`);
}

function summary({ listeners, routes, pools }: Config): string {
  const backends = [...pools.values()].reduce((sum, pool) => sum + pool.backends.length, 0);
  const sources = [...pools.values()].reduce((sum, pool) => sum + pool.discover.length, 0);
  const counts: [number, string][] = [
    [listeners.length, "listener"],
    [routes.length, "route"],
    [pools.size, "pool"],
    [backends, "backend"],
    ...(sources > 0 ? [[sources, "source of backends"] as [number, string]] : []),
  ];
  const plural = (what: string) => what.replace(/\w+/, "$&s");
  return counts.map(([count, what]) => `${count} ${count === 1 ? what : plural(what)}`).join(", ");
}
