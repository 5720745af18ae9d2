/**
 * Runs each test file in a process, and that process in a network namespace of its own: what its proxies attach to `lo` is
 * seen by nobody else. The namespace has no name, so it ends with the last process in it, however that ends.
 */
import { fork } from "node:child_process";
import { ForksPoolWorker, type PoolOptions } from "vitest/node";

class NamespacePoolWorker extends ForksPoolWorker {
  override readonly name = "namespaces";

  override async start(): Promise<void> {
    const node = process.execPath;
    const enter = ["--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", node];
    const own = {
      execPath: "unshare",
      execArgv: [...enter, ...this.execArgv],
      env: this.env,
      stdio: "pipe",
      serialization: "advanced",
    } as const;
    // The rest of it is vitest's, and takes the process that is there.
    (this as unknown as { _fork?: unknown })._fork ??= fork(this.entrypoint, [], own as object);
    await super.start();
  }
}

export const namespacePool = {
  name: "namespaces",
  createPoolWorker: (options: PoolOptions) => new NamespacePoolWorker(options),
};
