import type { Config } from "../config/index.js";
import { createLog, type Log } from "../observe/index.js";
import { Server } from "./server.js";

export { version } from "./version.js";

/** What `runServer` needs of the command line. */
export interface RunOptions {
  /** Reads the configuration; called again for each SIGHUP. Rejects with a ConfigError when it is wrong. */
  readonly load: () => Promise<Config>;
  /** The file behind it, or null. */
  readonly configFile: string | null;
}

/** A bug of ours or a state that nobody planned for: what a supervisor should restart. */
const EXIT_INTERNAL = 70;

/**
 * Runs the proxy until a signal ends it: SIGTERM and SIGINT drain it (a second one ends it at once), SIGHUP reloads the
 * configuration. Returns the exit code.
 * @throws LongspliceError when it cannot start
 */
export async function runServer(options: RunOptions): Promise<number> {
  // From the beginning: a signal that comes while it starts, or while it drains, must not kill it.
  const signals = new Signals();
  try {
    const config = await options.load();
    const log = createLog(config.logLevel);
    try {
      return await serve(config, options, log, signals);
    } finally {
      log.close();
    }
  } finally {
    signals.close();
  }
}

async function serve(config: Config, options: RunOptions, log: Log, signals: Signals): Promise<number> {
  let fail: (code: number) => void = () => {};
  const failed = new Promise<number>((resolve) => {
    fail = resolve;
  });
  const server = await Server.start(config, {
    configFile: options.configFile,
    log,
    onFatal: () => fail(EXIT_INTERNAL),
  });
  const broken = failed.then(async (code) => {
    await server.close();
    return code;
  });
  let reloading = Promise.resolve();
  signals.onHangup(() => {
    reloading = reloading.then(() => reload(server, options, log));
  });
  const ended = signals.first.then(async (signal) => {
    log.logger.info({ signal }, "signal received");
    signals.onHangup(() => log.logger.info("SIGHUP ignored: draining"));
    // A second signal is impatience.
    const impatient = signals.second.then(() => log.logger.warn("second signal: ending at once"));
    await Promise.race([reloading.then(() => server.drain()), impatient]);
    await server.close();
    log.logger.info("stopped");
    return 0;
  });
  return await Promise.race([broken, ended]);
}

/** The signals of a process that serves. */
class Signals {
  /** The first SIGTERM or SIGINT. */
  readonly first: Promise<NodeJS.Signals>;
  /** Another one. */
  readonly second: Promise<NodeJS.Signals>;
  private hangup: () => void = () => {};
  private readonly stop: (signal: NodeJS.Signals) => void;
  private readonly reload = () => this.hangup();

  constructor() {
    const waiting: ((signal: NodeJS.Signals) => void)[] = [];
    this.first = new Promise((resolve) => waiting.push(resolve));
    this.second = new Promise((resolve) => waiting.push(resolve));
    this.stop = (signal) => waiting.shift()?.(signal);
    process.on("SIGTERM", this.stop).on("SIGINT", this.stop).on("SIGHUP", this.reload);
  }

  /** What SIGHUP does from now on; before the first call it does nothing. */
  onHangup(action: () => void): void {
    this.hangup = action;
  }

  close(): void {
    process.off("SIGTERM", this.stop).off("SIGINT", this.stop).off("SIGHUP", this.reload);
  }
}

/** A bad configuration changes nothing. */
async function reload(server: Server, options: RunOptions, log: Log): Promise<void> {
  try {
    await server.reload(await options.load());
  } catch (error) {
    log.logger.error({ err: error }, "reload refused: the old configuration stays in effect");
  }
}
