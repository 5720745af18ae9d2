import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import type { EngineName } from "./test/support/engines.js";
import { namespacePool } from "./test/support/namespace-pool.js";

/** What measures time or load so closely that two cores shared with other test files would make it lie. */
const ALONE = "test/**/*.alone.test.ts";

/** What is about pipes, about heads that are written anew, which those that pass on links are not, or about no engine. */
const OF_OTHER_ENGINES = [
  "test/conformance/pipe-engine.test.ts",
  "test/conformance/sockmap-engine.test.ts",
  "test/hostile/heads-anew.test.ts",
  "test/integration/monitoring.test.ts",
  "test/integration/health.test.ts",
  "test/integration/discovery.test.ts",
  "test/integration/node-versions.test.ts",
];

/** The run of scripts/sanitize. */
const SANITIZED = process.env.LONGSPLICE_NODE !== undefined;

interface Options {
  readonly include: string;
  readonly exclude?: string[];
  readonly timeout?: number;
  readonly alone?: true;
  /** Most attempts after the first; what has no network and no clock in it needs none. */
  readonly retry?: 0;
  /** Test files at once, if not one for each processor. */
  readonly workers?: number;
  /** What the same tests are run with, one after the other. */
  readonly engines?: readonly EngineName[];
}

/** Conformance is mostly waiting for what must not happen. */
const CONFORMANCE_WORKERS = 2 * availableParallelism();
/** Others wait for a third of their time. */
const WORKERS = availableParallelism() + 1;

/** Groups run one after the other. */
const project = (name: string, groupOrder: number, { include, exclude = [], ...options }: Options) => ({
  extends: true as const,
  test: {
    name,
    include: [include],
    exclude,
    sequence: { groupOrder },
    fileParallelism: options.alone === undefined,
    ...(options.workers === undefined ? {} : { maxWorkers: options.workers }),
    testTimeout: options.timeout ?? 60_000,
    retry: options.retry ?? 1,
    provide: { engines: options.engines ?? ["copy", "pipe"] },
  },
});

/** All of a folder of test/ that need not run alone. */
const folder = (
  name: string,
  groupOrder: number,
  options: Pick<Options, "timeout" | "retry" | "workers"> = {},
) => project(name, groupOrder, { include: `test/${name}/**/*.test.ts`, exclude: [ALONE], ...options });

/** The tests of a folder that have to pass by every engine once more, by the packet engine in one of its forward modes. */
const packet = (
  folder: string,
  mode: "exchange" | "request" | "connection",
  groupOrder: number,
  options: Pick<Options, "timeout" | "workers">,
) =>
  project(`${folder}-${mode}`, groupOrder, {
    include: `test/${folder}/**/*.test.ts`,
    exclude: [ALONE, ...OF_OTHER_ENGINES],
    engines: [`packet-${mode}`],
    ...options,
  });

export default defineConfig({
  test: {
    // What is attached to `lo` there is seen by no other test. Only root may.
    pool: process.getuid?.() === 0 ? namespacePool : "forks",
    // vitest would leave one processor idle, of two.
    maxWorkers: "100%",
    setupFiles: ["test/support/seed.ts", ...(SANITIZED ? ["scripts/sanitize-setup.ts"] : [])],
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    // Patience costs nothing where all is well, and one second is little for a machine that is busy.
    expect: { poll: { timeout: 15_000 } },
    projects: [
      folder("unit", 0, { retry: 0 }),
      folder("native", 0, { retry: 0 }),
      project("conformance", 1, {
        include: "test/conformance/**/*.test.ts",
        exclude: [ALONE],
        // Under sanitizers everything takes three times as long. What is copied is fuzzed, and a part of what the others do.
        engines: SANITIZED ? ["pipe", "sockmap"] : ["copy", "pipe", "sockmap"],
        workers: CONFORMANCE_WORKERS,
      }),
      // Loading the programs takes 0.3 s of processor time for each proxy, and some tests start six.
      packet("conformance", "exchange", 1, { timeout: 120_000, workers: CONFORMANCE_WORKERS }),
      packet("conformance", "request", 1, { timeout: 120_000, workers: CONFORMANCE_WORKERS }),
      packet("conformance", "connection", 1, { timeout: 120_000, workers: CONFORMANCE_WORKERS }),
      folder("hostile", 2, { timeout: 120_000, workers: WORKERS }),
      packet("hostile", "connection", 2, { timeout: 120_000, workers: WORKERS }),
      folder("kernel", 2, { timeout: 120_000, workers: WORKERS }),
      folder("integration", 2, { timeout: 180_000, workers: WORKERS }),
      packet("integration", "connection", 2, { timeout: 180_000, workers: WORKERS }),
      project("alone", 3, { include: ALONE, timeout: 180_000, alone: true }),
      project("leak", 4, { include: "test/leak/**/*.test.ts", timeout: 240_000, alone: true }),
    ],
  },
});
