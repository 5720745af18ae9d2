/** Starting programs and ending them again: servers that stay and load generators that report. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const readyTimeout = 15_000;
const stopTimeout = 5_000;
/** Of a program's output, for the message if it fails. */
const outputKept = 8_000;

/** A program and its arguments. */
export type CommandLine = readonly [string, ...string[]];

export interface RunningServer {
  /** Its process group, which has all that it forks. */
  readonly group: number;
  stop(): Promise<void>;
}

/** Everything that runs now; whatever ends the bench, `stopEverything` ends these. */
const running = new Set<Child>();

interface Child {
  readonly process: ChildProcess;
  readonly exited: Promise<string>;
  output: string;
}

function launch(command: CommandLine, env: Record<string, string>, stdout: "pipe" | number): Child {
  const [program, ...args] = command;
  // Detached: a process group of its own, which Ctrl-C does not reach and which can be ended as a whole.
  const started = spawn(program, args, {
    detached: true,
    stdio: ["ignore", stdout, "pipe"],
    env: { ...process.env, ...env },
  });
  const exited = new Promise<string>((resolve) => {
    started.once("error", (error) => resolve(error.message));
    started.once("close", (code, signal) =>
      resolve(code === null ? `signal ${signal}` : `exit code ${code}`),
    );
  });
  const child: Child = { process: started, exited, output: "" };
  running.add(child);
  void exited.then(() => running.delete(child));
  const keep = (chunk: Buffer) => {
    child.output = (child.output + chunk.toString()).slice(-outputKept);
  };
  started.stdout?.on("data", keep);
  started.stderr?.on("data", keep);
  return child;
}

function signalGroup({ process: { pid } }: Child, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}

async function stop(child: Child): Promise<void> {
  if (!running.has(child)) return;
  signalGroup(child, "SIGTERM");
  await Promise.race([child.exited, sleep(stopTimeout, undefined, { ref: false })]);
  signalGroup(child, "SIGKILL");
  await child.exited;
}

export async function stopEverything(): Promise<void> {
  await Promise.all([...running].map(stop));
}

/**
 * Does a process of that network namespace listen on the TCP port? State 0A in /proc/net/tcp is LISTEN. Nobody does
 * where the process has just ended.
 */
export function listens(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const table = `/proc/${pid}/net/tcp`;
  try {
    return new RegExp(`^ *\\d+: [0-9A-F]{8}:${hex} \\S+ 0A `, "m").test(readFileSync(table, "latin1"));
  } catch {
    return false;
  }
}

/**
 * Starts a program that stays, and waits until it is ready.
 *
 * @param isReady is told the process id and the output so far
 * @param stdout a file descriptor, if its output is not just for messages and `isReady`
 * @throws Error with its output if it ends or does not get ready in time
 */
export async function startServer(
  command: CommandLine,
  isReady: (pid: number, output: string) => boolean,
  { stdout = "pipe", timeout = readyTimeout }: { stdout?: "pipe" | number; timeout?: number } = {},
): Promise<RunningServer> {
  const child = launch(command, {}, stdout);
  const { pid } = child.process;
  const deadline = performance.now() + timeout;
  while (pid === undefined || !running.has(child) || !isReady(pid, child.output)) {
    if (pid === undefined || !running.has(child) || performance.now() > deadline) {
      await stop(child);
      throw new Error(`${command.join(" ")}: not ready (${await child.exited})\n${child.output}`);
    }
    await sleep(20);
  }
  return { group: pid, stop: () => stop(child) };
}

/** Runs a program to its end and returns its output. @throws Error if that is a failure or takes too long */
export async function runToEnd(
  command: CommandLine,
  timeoutSeconds: number,
  env: Record<string, string> = {},
): Promise<string> {
  const child = launch(command, env, "pipe");
  const watchdog = setTimeout(() => signalGroup(child, "SIGKILL"), timeoutSeconds * 1000);
  const end = await child.exited;
  clearTimeout(watchdog);
  if (end !== "exit code 0") throw new Error(`${command.join(" ")}: ${end}\n${child.output}`);
  return child.output;
}
