/** Network namespaces of a test: made with names of its own, gone with everything in them when the test is over. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { onTestFinished } from "vitest";

let next = 0;

function ip(...args: string[]): void {
  execFileSync("ip", args, { stdio: ["ignore", "ignore", "pipe"] });
}

/** A network namespace. Processes started in it end with it. */
export class Namespace {
  readonly name = `longsplice-${process.pid}-${next++}`;
  readonly #children: ChildProcess[] = [];

  constructor() {
    ip("netns", "add", this.name);
    onTestFinished(() => this.#remove());
    this.ip("link", "set", "lo", "up");
  }

  /** `ip ARGS` inside. */
  ip(...args: string[]): void {
    ip("-n", this.name, ...args);
  }

  /** Runs a program inside to its end; returns what it wrote on stdout. Throws when it fails. */
  run(program: string, args: readonly string[], input = ""): string {
    return execFileSync("ip", ["netns", "exec", this.name, program, ...args], {
      input,
      encoding: "utf8",
      timeout: 60_000,
    });
  }

  /** Starts a program inside. */
  start(program: string, args: readonly string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name, program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#children.push(child);
    return child;
  }

  async #remove(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await ended;
    }
    ip("netns", "del", this.name);
  }
}

/** Joins two namespaces by a pair of interfaces, each with these addresses (with prefix length). */
export function join(
  a: { in: Namespace; name: string; addresses: readonly string[] },
  b: { in: Namespace; name: string; addresses: readonly string[] },
): void {
  a.in.ip("link", "add", a.name, "type", "veth", "peer", "name", b.name, "netns", b.in.name);
  for (const end of [a, b]) {
    // Without duplicate address detection an IPv6 address can be used at once.
    for (const address of end.addresses) {
      end.in.ip("address", "add", address, "dev", end.name, ...(address.includes(":") ? ["nodad"] : []));
    }
    end.in.ip("link", "set", end.name, "up");
  }
}
