/** The processes of the demo: sample origins and the proxy, each in a process of its own as in real life. */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const readyTimeout = 20_000;

/** Ends something that was started; rejects if that did not end as it should. */
export type Cleanup = () => Promise<void> | void;

export interface RunningOrigin {
  readonly name: string;
  readonly port: number;
}

export interface RunningProxy {
  /** host:port */
  readonly listener: string;
  /** host:port */
  readonly admin: string;
  /** Resolves when the process ends, however that came. */
  readonly exited: Promise<unknown>;
}

// Detached, here and below: each child has a process group of its own, so that Ctrl-C reaches only the demo, which
// then stops them in order. Cleanups go on the list at once: an interrupt may come before anything is ready.

export async function startOrigin(name: string, cleanups: Cleanup[]): Promise<RunningOrigin> {
  const child = fork(join(root, "scripts/demo-origin.ts"), [name], { detached: true });
  const exited = once(child, "exit");
  cleanups.push(async () => {
    child.kill();
    await exited;
  });
  const started = once(child, "message") as Promise<[number]>;
  const [port] = await Promise.race([started, exited.then(() => [undefined])]);
  if (port === undefined) throw new Error(`the origin ${name} did not start`);
  return { name, port };
}

/** Resolves when the proxy has said that it is ready; rejects with its log if it does not. */
export async function startProxy(configFile: string, cleanups: Cleanup[]): Promise<RunningProxy> {
  const child = spawn(process.execPath, [join(root, "bin/longsplice.js"), "run", "-c", configFile], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  const exited = once(child, "exit") as Promise<[number | null]>;
  cleanups.push(async () => {
    child.kill("SIGTERM");
    const [code] = await exited;
    if (code !== 0) throw new Error(`the proxy ended with exit code ${code}`);
  });
  const log: string[] = [];
  const ready = new Promise<RunningProxy>((resolve) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (log.length < 50) log.push(line);
      const entry = line.startsWith("{") ? JSON.parse(line) : {};
      if (entry.msg === "ready") resolve({ listener: entry.listeners[0], admin: entry.admin, exited });
    });
  });
  const ended = exited.then(() => "the proxy ended before it was ready");
  const late = new Promise<string>((resolve) => {
    setTimeout(resolve, readyTimeout, `the proxy is not ready after ${readyTimeout / 1000} s`).unref();
  });
  const outcome = await Promise.race([ready, ended, late]);
  if (typeof outcome !== "string") return outcome;
  throw new Error([outcome, ...log].join("\n"));
}
