/**
 * Runs each test file in a process, and that process in a network namespace of its own: what its proxies attach to `lo` is
 * seen by nobody else. The namespace has no name, so it ends with the last process in it, however that ends.
 */
import { fork } from "node:child_process";
import { ForksPoolWorker, type PoolOptions } from "vitest/node";

/** Kernels from 6.17 on let a receiver have 32 MB, so that what tests send into a stall would not fill it. */
const RECEIVE_BUFFERS = "4096 131072 6291456";
const SET_UP = `ip link set lo up && echo ${RECEIVE_BUFFERS} > /proc/sys/net/ipv4/tcp_rmem && exec "$@"`;

class NamespacePoolWorker extends ForksPoolWorker {
  override readonly name = "namespaces";

  override async start(): Promise<void> {
    const node = process.execPath;
    const enter = ["--net", "sh", "-c", SET_UP, "sh", node];
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
