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
  const config = await options.load();
  const log = createLog(config.logLevel);
  let fail: (code: number) => void = () => {};
  const failed = new Promise<number>((resolve) => {
    fail = resolve;
  });
  try {
    const server = await Server.start(config, {
      configFile: options.configFile,
      log,
      onFatal: () => fail(EXIT_INTERNAL),
    });
    return await Promise.race([failed, untilSignalled(server, options, log)]);
  } finally {
    log.flush();
  }
}

/** Handles signals until one of them has ended the server. */
async function untilSignalled(server: Server, options: RunOptions, log: Log): Promise<number> {
  let reloading = Promise.resolve();
  const onHangup = () => {
    reloading = reloading.then(() => reload(server, options, log));
  };
  process.on("SIGHUP", onHangup);
  const signal = await nextSignal();
  log.logger.info({ signal }, "signal received");
  process.off("SIGHUP", onHangup);
  // A second signal is impatience.
  const impatient = nextSignal().then(() => log.logger.warn("second signal: ending at once"));
  await Promise.race([server.drain(), impatient]);
  await server.close();
  log.logger.info("stopped");
  return 0;
}

function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const done = (signal: NodeJS.Signals) => {
      process.off("SIGTERM", done);
      process.off("SIGINT", done);
      resolve(signal);
    };
    process.on("SIGTERM", done);
    process.on("SIGINT", done);
  });
}

/** A bad configuration changes nothing. */
async function reload(server: Server, options: RunOptions, log: Log): Promise<void> {
  try {
    await server.reload(await options.load());
  } catch (error) {
    log.logger.error({ err: error }, "reload refused: the old configuration stays in effect");
  }
}
