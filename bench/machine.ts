/** What the numbers were measured on. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly openFiles: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Null outside of a repository. */
  readonly commit: string | null;
  /** Were there changes that are not in the commit? Results of the bench do not count. */
  readonly dirty: boolean;
}

/** The first output of a command that the pattern matches; "unknown" if it does not or cannot be run. */
function ask(pattern: RegExp, program: string, ...args: string[]): string {
  let output: string;
  try {
    output = execFileSync("sh", ["-c", 'exec "$@" 2>&1', "sh", program, ...args], {
      encoding: "utf8",
      cwd: root,
    });
  } catch (error) {
    // wrk tells its version with a failure.
    output = String((error as { stdout?: string }).stdout ?? "");
  }
  return pattern.exec(output)?.[1] ?? "unknown";
}

function git(...args: string[]): string | null {
  try {
    return execFileSync("git", args, {
      encoding: "utf8",
      cwd: root,
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return null;
  }
}

const packageVersion = (folder: string): string =>
  (JSON.parse(readFileSync(`${root}${folder}package.json`, "utf8")) as { version: string }).version;

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    openFiles: ask(/^(\S+)$/m, "sh", "-c", "ulimit -n"),
    versions: {
      longsplice: packageVersion(""),
      node: process.versions.node,
      haproxy: ask(/version (\S+)/, "haproxy", "-v"),
      nginx: ask(/nginx\/(\S+)/, "nginx", "-v"),
      wrk: ask(/^wrk (\S+)/m, "wrk", "-v"),
      autocannon: packageVersion("node_modules/autocannon/"),
      "g++": ask(/^(\S+)$/m, "g++", "-dumpfullversion"),
    },
    commit: git("rev-parse", "HEAD"),
    dirty: git("status", "--porcelain", "--", ".", ":!bench/results") !== "",
  };
}
