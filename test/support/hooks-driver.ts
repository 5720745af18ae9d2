/** The program that uses the packet engine's hooks and routes by themselves, in a namespace of a test. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { Namespace } from "./netns.js";
import { ifThere } from "./process-info.js";
import { PATIENCE_MS, within } from "./wait.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILT = join(ROOT, "build/test/hooks_driver");
const MODULES = [
  "native/core/address",
  ...["clsact", "filters", "guardian", "hooks", "netlink", "rtnetlink"].map(
    (name) => `native/engine/packet/${name}`,
  ),
];
const SOURCES = ["test/kernel/native/hooks_driver.cc", ...MODULES.map((module) => `${module}.cc`)];
const HEADERS = ["native/core/fd.h", ...MODULES.map((module) => `${module}.h`)];
const OPTIONS = ["-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Werror"];

const changed = (file: string): number => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** Compiles the driver when something that it is made of has changed; call it before the tests, it takes a while. */
export function buildHooksDriver(): void {
  if ([...SOURCES, ...HEADERS].every((file) => changed(join(ROOT, file)) < changed(BUILT))) return;
  mkdirSync(dirname(BUILT), { recursive: true });
  const unfinished = `${BUILT}.${process.pid}`;
  execFileSync("g++", [...OPTIONS, "-o", unfinished, ...SOURCES, "-lbpf"], { cwd: ROOT, stdio: "inherit" });
  renameSync(unfinished, BUILT);
}

export type Kind = "tcx" | "clsact";

/** Processes whose parent is this one. */
export function childrenOf(pid: number): number[] {
  const parents = readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    const status = ifThere(() => readFileSync(`/proc/${entry}/status`, "latin1"));
    return status.map((text) => ({
      child: Number(entry),
      parent: Number(/^PPid:\s+(\d+)$/m.exec(text)?.[1]),
    }));
  });
  return parents.filter(({ parent }) => parent === pid).map(({ child }) => child);
}

/** Whether the process runs; one that is only waited for by its parent does not. */
export function runs(pid: number): boolean {
  const status = ifThere(() => readFileSync(`/proc/${pid}/status`, "latin1"));
  return status.some((text) => !/^State:\s+Z/m.test(text));
}

/** Hooks and routes in a process of their own, which can end in any way. */
export class HooksDriver {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    onTestFinished(() => this.kill());
  }

  /** Starts it; nothing is attached yet. */
  static start(space: Namespace, kind: Kind = "tcx"): Promise<HooksDriver> {
    return HooksDriver.#start(space, [kind]);
  }

  /** The same with a kernel that does not know tcx, as far as it can tell. */
  static startWithoutTcx(space: Namespace): Promise<HooksDriver> {
    return HooksDriver.#start(space, ["without-tcx", BUILT, "tcx"]);
  }

  static async #start(space: Namespace, args: readonly string[]): Promise<HooksDriver> {
    const child = spawn("ip", ["netns", "exec", space.name, BUILT, ...args], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const driver = new HooksDriver(child);
    const line = await driver.#line("the start of the driver");
    if (line !== "ready") throw new Error(`the driver says: ${line}`);
    return driver;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  async #line(what: string): Promise<string> {
    const { value } = await within(this.#lines.next(), PATIENCE_MS, what);
    return value as string;
  }

  /** One command and its answer; hooks_driver.cc has them all. */
  async ask(command: string): Promise<string> {
    this.#child.stdin!.write(`${command}\n`);
    return await this.#line(`the answer to ${command}`);
  }

  /** Lets it end in order. */
  async quit(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.stdin!.end("quit\n");
    await within(ended, PATIENCE_MS, "the end of the driver");
  }

  /** Kills it; resolves when it is dead. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

/** What is attached to an interface by this kind of hook, as "ingress:outer_ingress", whoever did it. */
export function programsOn(space: Namespace, kind: Kind, name: string): string[] {
  if (kind === "tcx") return space.run(BUILT, ["programs", name]).trim().split(" ").filter(Boolean);
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const filters = space.run("tc", ["filter", "show", "dev", name, direction]);
    return [...filters.matchAll(/ handle .* name (\S+) tag /g)].map(([, text]) => `${direction}:${text}`);
  });
}

/** Which of the two qdiscs that filters of programs need an interface has. */
export function hookQdiscs(space: Namespace, name: string): string[] {
  const qdiscs = space.run("tc", ["qdisc", "show", "dev", name]);
  return [...qdiscs.matchAll(/^qdisc (clsact|ingress) /gm)].map(([, kind]) => kind!);
}
